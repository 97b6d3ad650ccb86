"""What is different between two moments, row by row and field by field, and which event did it.

Both moments are made in one connection, and the rows whose `seq` is not the same are compared. A
row tells by its `seq` the last event that changed it. Where a row was changed by several, they are
folded once more, round by round: in a round each thing has its next event, so what a round changes
in a row, that one event did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import orjson

from projections.errors import MomentError
from projections.moment import Place
from projections.past import fold, make
from projections.slice import SLICE, Folds, within
from projections.store import Rows, Store
from projections.table import Table, tables
from streams.clock import to_wire

# What is compared when nothing is chosen: what people call the state of a network. The others are
# reports of work (sweep, sighting, step, execution), or the log itself.
STATE = (
    "device", "interface", "address", "controller", "blocked", "policy", "change", "approval",
    "token", "lock", "config", "degradation", "drift", "anomaly",
)  # fmt: skip
COLUMNS = [
    "what", "table", "scope", "id", "field", "before", "after", "event", "type", "by",
    "recorded_at",
]  # fmt: skip
_ROUNDS_MAX = 100
_KEYED = frozenset({"address", "sighting"})  # one event changes rows of others
# Which event deleted a row of `gone`. An address is gone when who claimed it last is seen without.
_GONE = {
    "address": """
        WITH sighted AS (
            SELECT scope, seq, data->>'controller_id' AS controller_id,
                   data->>'device_id' AS device_id, data->>'$.addresses[*].address' AS addresses
            FROM between_both WHERE type = 'device.sighted'
        ), claim AS (
            SELECT scope, seq, controller_id, device_id, address FROM gone
            UNION ALL
            SELECT * FROM (SELECT scope, seq, controller_id, device_id,
                                  unnest(addresses) AS address FROM sighted)
            SEMI JOIN gone USING (scope, address)
        ), last AS (
            FROM claim
            QUALIFY row_number() OVER (PARTITION BY scope, address ORDER BY seq DESC) = 1
        )
        SELECT scope, address, min(s.seq)
        FROM last l JOIN sighted s USING (scope, controller_id, device_id)
        WHERE s.seq > l.seq GROUP BY ALL""",
    "interface": """
        SELECT scope, device_id, ifindex, max(said.seq)
        FROM gone JOIN (
            SELECT scope, seq, data->>'device_id' AS device_id,
                   unnest(json_transform(data->'gone', '["INTEGER"]')) AS ifindex
            FROM between_both WHERE type = 'interface.sighted'
        ) said USING (scope, device_id, ifindex) GROUP BY ALL""",
}
Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(slots=True)
class Delta:
    """One row of a table, before and after; None where it is not there."""

    table: Table
    key: Key
    before: Row | None
    after: Row | None
    by: dict[str, int] = field(default_factory=dict)  # field → the event that made it what it is

    def fields(self) -> list[str]:
        """Name the fields that differ; where and when it was said last is none."""
        old, new = self.before or {}, self.after or {}
        return [
            n
            for n in {**old, **new}
            if old.get(n) != new.get(n) and not n.endswith("seq") and n != "sighted_at"
        ]


def difference(
    store: Store, first: Place, last: Place, names: Sequence[str] = STATE, *, size: int = SLICE
) -> Rows:
    """Compare two moments: one row for each field that changed, or row that came or went."""
    if first.observed or last.observed:
        raise MomentError(
            "moments of the world's clock are not compared",
            hint="ask for both lists with --observed-at, and compare what you want to know",
        )
    for scope, seq in first.positions:
        if seq > last.seq.get(scope, 0):
            raise MomentError(
                f"{first} does not come before {last}: look at {scope}",
                hint="--from names the earlier moment",
            )
    with store.cursor() as cursor:
        cursor.begin()
        cursor.execute(
            "CREATE TEMP VIEW between_both AS SELECT * FROM event"  # noqa: S608  # our own names
            f" WHERE ({within(last.seq, 'seq <= {}')})"
            f" AND NOT ({within(first.seq, 'seq <= {}')})"
        )
        there = cursor.execute("SELECT DISTINCT type FROM between_both").fetchall()
        types = {row[0] for row in there}
        chosen = [table for table in tables() if table.name in names]
        wanted = [table for table in chosen if table.wants(types) or not table.types]
        changing = [table for table in wanted if not table.only_grows]
        _make_both(cursor, changing, first, last, size)
        found = [delta for table in wanted for delta in _deltas(cursor, table, first, last)]
        gone = {table.name: _gone(cursor, table) for table in changing}
        for table in changing:
            _attribute(cursor, table, [one for one in found if one.table is table])
        rows = _told(cursor, found, gone)
        cursor.rollback()
    return Rows(COLUMNS, rows)


def _make_both(
    cursor: duckdb.DuckDBPyConnection, changing: list[Table], first: Place, last: Place, size: int
) -> None:
    """Make each table twice: as it was at the first moment (`_before`), and at the last."""
    make(cursor, changing, first, size)
    for table in changing:
        cursor.execute(f"ALTER TABLE temp.{table.name} RENAME TO {table.name}_before")
    if sum(last.seq.values()) - sum(first.seq.values()) > size:
        make(cursor, changing, last, size)
        return
    for table in changing:
        cursor.execute(f"CREATE TEMP TABLE {table.name} AS FROM {table.name}_before")
    if changing:
        fold(cursor, tuple(changing), first.seq, last.seq)


def _deltas(
    cursor: duckdb.DuckDBPyConnection, table: Table, first: Place, last: Place
) -> Iterable[Delta]:
    name, key = table.name, ", ".join(table.key)
    if table.only_grows:
        until, after = within(last.seq, "seq <= {}"), within(first.seq, "seq <= {}")
        cursor.execute(
            f"SELECT NULL, to_json(t) FROM {name} t WHERE ({until}) AND NOT ({after})"  # noqa: S608
        )
    else:
        cursor.execute(
            "SELECT CASE WHEN x.seq IS NOT NULL THEN to_json(x) END,"  # noqa: S608  # our own names
            f" CASE WHEN y.seq IS NOT NULL THEN to_json(y) END FROM {name}_before x"
            f" FULL JOIN {name} y USING ({key}) WHERE x.seq IS DISTINCT FROM y.seq"
        )
    for before, after in cursor.fetchall():
        old, new = (orjson.loads(one) if one else None for one in (before, after))
        row = old or new or {}
        yield Delta(table, tuple(row[part] for part in table.key), old, new)


def _attribute(cursor: duckdb.DuckDBPyConnection, table: Table, deltas: Sequence[Delta]) -> None:
    """Find which event made each field what it is, for the rows that more than one changed."""
    changed = {one.key: one for one in deltas if one.before and one.after and one.fields()}
    if not changed or table.name in _KEYED:
        return
    name, whose = table.name, table.key[1]
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE several AS"  # noqa: S608  # our own names
        f" SELECT *, data->>'{whose}' AS whose,"
        " row_number() OVER (PARTITION BY scope, whose ORDER BY seq) AS round"
        " FROM between_both WHERE list_contains($types, type) AND whose IS NOT NULL"
        " QUALIFY count(*) OVER (PARTITION BY scope, whose) > 1",
        {"types": sorted(table.types)},
    )
    (rounds,) = cursor.execute("SELECT coalesce(max(round), 0) FROM several").fetchone() or (0,)
    if not 0 < rounds <= _ROUNDS_MAX:
        return
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {name}_before"  # noqa: S608  # our own names
        f" WHERE (scope, CAST({whose} AS VARCHAR)) IN (SELECT (scope, whose) FROM several)"
    )
    folds, known = Folds((table,)), {key: one.before or {} for key, one in changed.items()}
    for number in range(1, rounds + 1):
        for row in _round(cursor, table, folds, number):
            key = tuple(row[part] for part in table.key)
            if key in known:
                old, known[key] = known[key], row
                changed[key].by |= {n: row["seq"] for n in row if row[n] != old.get(n)}


def _round(cursor: duckdb.DuckDBPyConnection, table: Table, folds: Folds, number: int) -> list[Row]:
    """Fold the next event of each thing, and return the rows that it changed."""
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE batch AS SELECT * REPLACE ("
        " CAST(basis AS VARCHAR) AS basis, CAST(data AS VARCHAR) AS data),"
        " data->>'controller_id' AS controller_id, data->>'device_id' AS device_id"
        " FROM several WHERE round = ?",
        [number],
    )
    types = {row[0] for row in cursor.execute("SELECT DISTINCT type FROM batch").fetchall()}
    folds.run(cursor, {table.name}, types)
    cursor.execute(
        f"SELECT to_json(t) FROM {table.name} t SEMI JOIN batch USING (scope, seq)"  # noqa: S608
    )
    return [orjson.loads(row[0]) for row in cursor.fetchall()]


def _told(
    cursor: duckdb.DuckDBPyConnection,
    deltas: Iterable[Delta],
    gone: Mapping[str, Mapping[Key, int]],
) -> list[tuple[Any, ...]]:
    """Write one row for each field, with the event that did it."""
    found: list[tuple[Delta, str, str | None, int | None]] = []
    for one in deltas:
        if one.before and one.after:
            seq = one.after["seq"]
            found += [(one, "changed", name, one.by.get(name, seq)) for name in one.fields()]
        elif one.after:
            found.append((one, "appeared", None, one.after.get("first_seq", one.after["seq"])))
        elif one.before:
            found.append((one, "vanished", None, gone[one.table.name].get(one.key)))
    events = _events(cursor, {(one.key[0], seq) for one, _, _, seq in found if seq})
    rows = [
        (
            what,
            one.table.name,
            one.key[0],
            " ".join(str(part) for part in one.key[1:]),
            name,
            _plain(one.table, name, one.before),
            _plain(one.table, name, one.after),
            f"{one.key[0]}:{seq}" if seq else None,
            *events.get((one.key[0], seq or 0), (None, None, None)),
        )
        for one, what, name, seq in found
    ]
    return sorted(rows, key=lambda row: (row[10] or "", row[1], row[3], row[4] or ""))


def _gone(cursor: duckdb.DuckDBPyConnection, table: Table) -> dict[Key, int]:
    """Find, by key, the events that deleted rows."""
    if table.name not in _GONE:
        return {}
    name, key = table.name, ", ".join(table.key)
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS FROM {name}_before"  # our own names
        f" ANTI JOIN {name} USING ({key})"
    )
    return {tuple(row[:-1]): row[-1] for row in cursor.execute(_GONE[name]).fetchall()}


def _events(
    cursor: duckdb.DuckDBPyConnection, wanted: set[tuple[str, int]]
) -> Mapping[tuple[str, int], tuple[Any, ...]]:
    """Read who said what, when."""
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for scope in {scope for scope, _ in wanted}:
        cursor.execute(
            "SELECT seq, type, source, recorded_at FROM event"
            " WHERE scope = ? AND seq IN (SELECT unnest(?))",
            [scope, [seq for name, seq in wanted if name == scope]],
        )
        for seq, kind, source, at in cursor.fetchall():
            found[scope, seq] = (kind, source, to_wire(at.replace(tzinfo=UTC)))
    return found


def _plain(table: Table, name: str | None, row: Row | None) -> Any:
    """Give a value as JSON knows it, instants as in the log; of a whole row, all of it."""
    if row is None:
        return None
    if name is None:
        rest = {n: v for n, v in row.items() if n not in table.key and not n.endswith("seq")}
        return {n: _plain(table, n, row) for n, v in rest.items() if v not in (None, [], "")}
    value = row.get(name)
    if isinstance(value, str) and name.endswith(("_at", "_until", "_by")):
        try:
            return to_wire(datetime.fromisoformat(value).replace(tzinfo=UTC))
        except ValueError:
            return value
    return value
