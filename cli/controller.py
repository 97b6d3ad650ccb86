"""pdsno controller: who belongs to the hierarchy, and who is being heard."""

from typing import Annotated

import typer

from cli import option
from cli.context import given
from cli.option import Listing
from cli.render import Column, Format

app = typer.Typer(name="controller", help="Who belongs to the hierarchy.", no_args_is_help=True)
# The root is pinned and not admitted, so it is known by what it wrote alone.
_LIST = """
WITH spoke AS (SELECT source, max(recorded_at) AS last_event_at FROM event GROUP BY ALL),
known AS (
    SELECT controller_id, role, scope AS region, status, admitted_at, changed_at FROM controller
    UNION ALL
    SELECT source, 'global', 'global', 'active', NULL, NULL FROM spoke
    WHERE starts_with(source, 'global.')
), swept AS (
    SELECT scope, controller_id, max(ended_at) AS last_sweep_at FROM sweep
    WHERE status = 'finished' GROUP BY ALL
), owned AS (
    SELECT scope, controller_id, count(*) AS devices FROM device WHERE merged_into IS NULL
    GROUP BY ALL
)
SELECT k.controller_id, k.role, k.region, k.status, k.admitted_at, k.changed_at, s.last_event_at,
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
    log: option.LogFile = None,
) -> None:
    """List controllers: who is admitted, who is silent, who reported last and when.

    Example: pdsno controller list --region zone-a
    """
    rows = given(context).rows(
        log, _LIST, [region, region, everybody or role == "operator", role, role]
    )
    Listing(form, columns, sort).write(rows, _COLUMNS, "no controllers")
