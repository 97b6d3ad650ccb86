"""pdsno controller: who belongs to the hierarchy, and who is being heard."""

import asyncio
from typing import Annotated, Any

import typer

from cli import door, option, render, tenure
from cli.context import Context, Source, given
from cli.option import Listing
from cli.render import Column, Format
from pdsno.errors import NotFoundError

app = typer.Typer(
    name="controller",
    help="Who belongs to the hierarchy, and how they get in.",
    no_args_is_help=True,
)
for _verb in (
    door.invite,
    door.join,
    tenure.renew,
    tenure.rotate,
    tenure.revoke,
    tenure.block,
    tenure.unblock,
):
    app.command()(_verb)
# The root is pinned and not admitted, so it is known by what it wrote alone.
_LIST = """
WITH spoke AS (SELECT source, max(recorded_at) AS last_event_at FROM event GROUP BY ALL),
known AS (
    SELECT controller_id, role, scope AS region,
           CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                WHEN valid_until < now() AT TIME ZONE 'UTC' THEN 'expired'
                ELSE status END AS status,
           admitted_at, changed_at, valid_until, key_id
    FROM controller
    UNION ALL
    SELECT DISTINCT source, 'global', 'global', 'active', NULL, NULL, NULL, NULL FROM spoke
    WHERE starts_with(source, 'global.')
), swept AS (
    SELECT scope, controller_id, max(ended_at) AS last_sweep_at FROM sweep
    WHERE status = 'finished' GROUP BY ALL
), owned AS (
    SELECT scope, controller_id, count(*) AS devices FROM device WHERE merged_into IS NULL
    GROUP BY ALL
)
SELECT k.controller_id, k.role, k.region, k.status, k.admitted_at, k.changed_at, k.valid_until,
       k.key_id, s.last_event_at,
       w.last_sweep_at, o.devices
FROM known k
LEFT JOIN spoke s ON s.source = k.controller_id
LEFT JOIN swept w ON w.controller_id = k.controller_id AND w.scope = k.region
LEFT JOIN owned o ON o.controller_id = k.controller_id AND o.scope = k.region
WHERE (? IS NULL OR k.region = ?) AND (? OR k.role != 'operator') AND (? IS NULL OR k.role = ?)
ORDER BY list_position(['global', 'regional', 'local', 'operator'], k.role), k.region,
         k.controller_id
"""
_COLUMNS = (
    Column("controller_id", "controller"),
    Column("role", rank=2),
    Column("region", rank=3),
    Column("status", kind="status"),
    Column("admitted_at", "admitted", "instant", rank=1),
    Column("valid_until", "valid until", "instant", rank=2),
    Column("last_event_at", "last report", "age"),
    Column("last_sweep_at", "last sweep", "age"),
    Column("devices", kind="number"),
)


@app.command(name="list")
def list_(
    context: typer.Context,
    region: option.Region = None,
    role: Annotated[
        str | None, typer.Option(help="global, regional, local or operator.", show_default=False)
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Also the keys that people's commands are sealed with.")
    ] = False,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    sort: option.Sort = None,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """List controllers: who is admitted, who is silent, who reported last and when.

    Example: pdsno controller list --region zone-a
    """
    wanted = [region, region, everybody or role == "operator", role, role]
    rows = given(context).rows(log, _LIST, wanted, option.moment(at, observed_at))
    Listing(form, columns, sort).write(rows, _COLUMNS, "no controllers")


_ONE = """
SELECT c.*, CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
                 WHEN c.valid_until < now() AT TIME ZONE 'UTC' THEN 'expired' ELSE c.status END
            AS standing
FROM controller c WHERE c.controller_id = ? ORDER BY c.scope
"""
_HISTORY = """
SELECT recorded_at AS happened_at, scope || ':' || seq AS event, type, source AS by,
       coalesce(data->>'reason', data->>'why', data->>'key_id') AS detail
FROM event
WHERE data->>'controller_id' = ?
      AND (starts_with(type, 'controller.') OR type = 'rotation.requested')
   OR type LIKE 'join.%' AND data->>'temp_id' IN (
       SELECT data->>'temp_id' FROM event
       WHERE data->>'controller_id' = ? AND type IN ('controller.admitted', 'controller.renewed'))
ORDER BY recorded_at, scope, seq
"""
_FACTS = (
    Column("controller_id", "id"),
    Column("role"),
    Column("scopes"),
    Column("standing", "status"),
    Column("issuer", "issued by"),
    Column("public_key"),
    Column("key_id"),
    Column("previous_key_id", "key before"),
    Column("previous_until", "accepted until", kind="instant"),
    Column("server_user"),
    Column("admitted_at", kind="instant"),
    Column("renewed_at", kind="instant"),
    Column("valid_until", kind="instant"),
    Column("rotation_at", "renewal asked", kind="instant"),
    Column("revoked_at", kind="instant"),
    Column("revoked_reason"),
)
_EVENTS = (
    Column("happened_at", "when", "instant"),
    Column("event"),
    Column("type"),
    Column("by"),
    Column("detail", rank=1),
)


@app.command()
def show(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="A controller, like local.zone-a.1.")],
    form: option.Form = Format.TABLE,
    at: option.At = None,
    observed_at: option.ObservedAt = None,
    log: option.LogFile = None,
) -> None:
    """Show one controller: its certificate, its keys, how it got in, and what was said of it.

    Example: pdsno controller show local.zone-a.1
    """
    option.object_only(form)
    row = asyncio.run(_shown(given(context), which, (log, option.moment(at, observed_at))))
    page = option.page()
    text = render.facts(row, _FACTS, page)
    if row["history"]:
        text += "\nhistory\n" + render.table(row["history"], _EVENTS, page)
    option.show(row, form, text)


async def _shown(found: Context, which: str, source: Source) -> dict[str, Any]:
    async with found.nib(*source) as nib:
        rows = (await nib.query(_ONE, [which])).dicts()
        if not rows:
            raise NotFoundError(f"no controller {which}", hint="pdsno controller list --all")
        history = (await nib.query(_HISTORY, [which, which])).dicts()
    return rows[0] | {"scopes": [row["scope"] for row in rows], "history": history}
