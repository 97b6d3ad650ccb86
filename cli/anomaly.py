"""pdsno anomaly: findings for a person to look at."""

from typing import Annotated

import typer

from cli import option
from cli.context import given
from cli.option import Listing
from cli.render import Column, Format

app = typer.Typer(
    name="anomaly", help="Findings: flagged for you, never acted on.", no_args_is_help=True
)
_LIST = """
SELECT kind, about, scope AS region, flagged_at, detail, anomaly_id, scope || ':' || seq AS event
FROM anomaly
WHERE (? IS NULL OR scope = ?) AND (? IS NULL OR kind = upper(replace(?, '-', '_')))
ORDER BY flagged_at DESC, scope, anomaly_id LIMIT ?
"""
_COLUMNS = (
    Column("kind"),
    Column("about"),
    Column("region", "scope", rank=1),
    Column("flagged_at", "flagged", "age"),
    Column("detail", rank=2),
    Column("event", rank=3),
)
_ALL = 1_000_000


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    kind: Annotated[
        str | None, typer.Option(help="Like SWEEP_OVERDUE or sweep-overdue.", show_default=False)
    ] = None,
    limit: option.Limit = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List findings, the latest first.

    Example: pdsno anomaly list --kind mac-in-two-regions
    """
    wanted = [region, region, kind, kind, limit or _ALL]
    rows = given(context).rows(log, _LIST, wanted, option.moment(at, observed_at))
    Listing(form, columns, sort).write(option.parsed(rows, "detail"), _COLUMNS, "no anomalies")
