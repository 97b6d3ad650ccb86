"""pdsno security: what was attempted and did not count."""

from typing import Annotated

import typer

from cli import option
from cli.context import given
from cli.option import Listing
from cli.render import Column, Format

app = typer.Typer(
    name="security", help="What was attempted and did not count.", no_args_is_help=True
)
_LIST = """
WITH found AS (
    SELECT raised_at AS happened_at, 'alarm' AS kind, scope, reason, source AS about,
           refused AS count, detail, scope || ':' || refused_from AS event
    FROM alarm
    UNION ALL
    SELECT recorded_at, CASE type WHEN 'join.failed' THEN 'failure' ELSE 'refusal' END, scope,
           data->>'reason', data->>'temp_id', coalesce(CAST(data->>'count' AS UBIGINT), 1),
           data->>'detail', scope || ':' || seq
    FROM event WHERE type IN ('join.refused', 'join.failed')
    UNION ALL
    SELECT revoked_at, 'revocation', scope, 'REVOKED', controller_id, 1, revoked_reason,
           scope || ':' || seq
    FROM controller WHERE revoked_at IS NOT NULL
    UNION ALL
    SELECT changed_at, 'block', scope, 'BLOCKLISTED', blocked, 1, reason, scope || ':' || seq
    FROM blocked WHERE in_force
)
SELECT * FROM found
WHERE (? IS NULL OR scope = ?) AND (? IS NULL OR kind = ?)
  AND (? IS NULL OR reason = upper(replace(?, '-', '_')))
ORDER BY happened_at DESC, scope, event DESC LIMIT ?
"""
_COLUMNS = (
    Column("happened_at", "when", "age"),
    Column("kind"),
    Column("scope", rank=2),
    Column("reason"),
    Column("about"),
    Column("count", kind="number", rank=1),
    Column("detail", rank=3),
    Column("event", rank=1),
)
_ALL = 1_000_000


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    kind: Annotated[
        str | None,
        typer.Option(help="alarm, refusal, failure, revocation or block.", show_default=False),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Like BAD_MAC or bad-mac.", show_default=False)
    ] = None,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List alarms, refused joins, revocations and blocks, the latest first.

    Example: pdsno security list --kind alarm --reason bad-mac
    """
    wanted = [region, region, kind, kind, reason, reason, limit or _ALL]
    rows = given(context).rows(log, _LIST, wanted, option.moment(at, observed_at))
    Listing(form, columns, sort).write(rows, _COLUMNS, "nothing was attempted")
