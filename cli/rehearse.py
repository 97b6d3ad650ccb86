"""pdsno policy test and replay: what a policy would make of cases, and of the past."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import option
from cli.bound import Bound
from cli.context import Context, given
from cli.option import Listing
from cli.propose import wanted
from cli.render import Column, Format
from cli.replay import judged
from cli.version import File, read_policy, read_text, version
from pdsno.controllers.governed import SUBJECTS, subject_of
from pdsno.controllers.outlining import outlines
from pdsno.errors import PolicyCaseError, PolicyReplayError
from pdsno.governance.case import Cases, Expected, Proposed, propose
from pdsno.governance.document import (
    default_policy,
    parse_addition,
    parse_policy,
    parse_trial,
)
from pdsno.governance.effective import Effective
from pdsno.governance.facts import Subject, World
from pdsno.governance.policy import Policy
from pdsno.governance.rehearsal import rehearse
from pdsno.governance.wish import Wish, proposed
from pdsno.replay.candidate import Compared, Passed, compare
from streams.clock import to_wire, utc_now
from streams.name import GLOBAL

_CASES = (
    Column("name", "case"),
    Column("tier"),
    Column("decision"),
    Column("reason"),
    Column("needs"),
    Column("decided_by", "by", rank=1),
    Column("why"),
    Column("expected"),
)
_REPLAY = (
    Column("decision", "decision at"),
    Column("recorded_at", "time", "instant"),
    Column("change_id", "change", rank=2),
    Column("author", rank=1),
    Column("moment"),
    Column("version", kind="number", rank=3),
    Column("differs", "would be another"),
)


def try_out(
    context: typer.Context,
    cases: Annotated[
        Path, typer.Argument(help="Cases, or a change as it could be proposed: YAML or TOML.")
    ],
    policy: Annotated[
        Path | None,
        typer.Option(help="This policy; else the one in force.", show_default=False),
    ] = None,
    addition: Annotated[
        Path | None,
        typer.Option(help="Tightened by what a region adds, in this file.", show_default=False),
    ] = None,
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    log: option.LogFile = None,
) -> None:
    """Try a policy on cases: the tier of each, why, whose approval it needs, and what comes of it.

    Devices that the cases do not describe are looked up in the NIB. Nothing is written.
    Example: pdsno policy test cases.yaml --policy policy.toml
    """
    found, trial = given(context), parse_trial(*read_text(cases))
    document = read_policy(policy, GLOBAL)[0] if policy else None
    added = parse_addition(*read_text(addition)) if addition else None
    known: dict[str, Subject] = {}
    if isinstance(trial, Cases):
        known = {name: one.subject(name) for name, one in trial.devices.items()}
    events: list[Proposed] = []
    if document is None or isinstance(trial, Wish) or trial.unknown:
        looked_up, in_force, events = asyncio.run(_looked_up(found, trial, log))
        known |= looked_up
        document = document or in_force
    assert isinstance(document, Policy), "the network's is no addition"
    by = Effective(document, 1, added, 1 if added else 0)
    if isinstance(trial, Cases):
        rows = [_tried(propose(o, known, 1), known, by, o.name, o.expect, o.at) for o in trial.case]
    else:
        name = trial.reason or str(cases)
        rows = [_tried(one, known, by, name, Expected(), None) for one in events]
    shown = [row | _plainly(row) for row in rows] if form is Format.TABLE else rows
    Listing(form, columns).write(shown, _CASES)
    failed = [row for row in rows if row["expected"] not in {"as expected", None}]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise PolicyCaseError(f"{failed[0]['name']}: {failed[0]['expected']}{more}")


async def _looked_up(
    found: Context, trial: Cases | Wish, log: Path | None
) -> tuple[dict[str, Subject], Policy, list[Proposed]]:
    """Read devices and the policy in force from the NIB, and make the proposal of a wish."""
    events: list[Proposed] = []
    async with found.nib(log) as nib:
        if isinstance(trial, Wish):
            asked = await wanted(nib, trial, ((), ()), None)
            event = proposed(trial, asked, "case", "operator.global.1", "nobody", 1)
            regions = {one.region for one in asked}
            events.append(Proposed(regions.pop() if len(regions) == 1 else GLOBAL, event))
            names = [one.device_id for one in asked]
        else:
            names = trial.unknown
        sql = f"{SUBJECTS} AND d.device_id IN (SELECT unnest(?))"
        rows = (await nib.query(sql, [names])).rows
        now = await version(nib, GLOBAL)
    document = now.document if now else parse_policy(default_policy(), "the default")
    assert isinstance(document, Policy), "the network's is no addition"
    return {one.device_id: one for one in map(subject_of, rows)}, document, events


def _tried(
    one: Proposed,
    known: Mapping[str, Subject],
    policy: Effective,
    name: str,
    expected: Expected,
    at: datetime | None,
) -> dict[str, Any]:
    world = World(known, outlines(one.event.targets, one.event.payloads))
    outcome = rehearse(one.event, one.scope, policy, world, at or utc_now())
    shortfalls = expected.shortfalls(outcome)
    asked = expected.model_dump(exclude_defaults=True)
    return {
        "name": name,
        "tier": outcome.tier or None,
        "decision": outcome.decision,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "needs": dict(outcome.approvals),
        "decided_by": outcome.decided_by,
        "why": [one.model_dump(mode="json") for one in outcome.why],
        "expected": "; ".join(shortfalls) or ("as expected" if asked else None),
    }


def _plainly(row: dict[str, Any]) -> dict[str, Any]:
    """Write lists and groups for people."""
    needs = ", ".join(f"{count} of {group}" for group, count in row["needs"].items())
    reason = ": ".join(part for part in (row["reason"], row["detail"]) if part)
    why = ", ".join(one["rule"] for one in row["why"])
    return {"needs": needs, "why": why, "reason": reason}


def replay(
    context: typer.Context,
    file: File,
    since: Annotated[
        str, typer.Option(help="From here on: SCOPE:SEQ, a time, or like 30d for so long ago.")
    ] = "30d",
    form: option.Form = Format.TABLE,
    columns: option.Columns = None,
    log: option.LogFile = None,
) -> None:
    """List each decision of the past that this policy would have made otherwise, and how.

    Each is made again twice on the facts of then, by the policy of then and by the file.
    Example: pdsno policy replay policy.toml --since 2026-11-01
    """
    candidate, _ = read_policy(file, GLOBAL)
    assert isinstance(candidate, Policy), "the network's is no addition"
    begin = Bound.parse(since, "--since")
    decided, passed = asyncio.run(_replayed(given(context), candidate, begin, log))
    others = [one for one in decided if one.differs]
    rows = [_row(one) for one in others]
    if form is Format.TABLE:
        rows = [row | {"differs": "; ".join(row["differs"])} for row in rows]
    Listing(form, columns).write(rows, _REPLAY)
    option.say(
        f"{len(decided)} decisions looked at, {len(others)} would be others,"
        f" {len(passed)} cannot be told"
    )
    for one in passed[:10]:
        option.say(f"  {one.scope}:{one.seq} change {one.change_id}: {one.why}")
    odd = [one for one in decided if one.is_odd]
    if odd:
        option.say(
            f"  of {len(odd)} today's code makes something else under the policy of then, the"
            f" first is {odd[0].scope}:{odd[0].seq}: see pdsno log replay"
        )
    if others:
        raise PolicyReplayError(
            f"{file} would have decided {len(others)} of {len(decided)} otherwise"
        )


async def _replayed(
    found: Context, candidate: Policy, begin: Bound, file: Path | None
) -> tuple[list[Compared], list[Passed]]:
    keyring = found.keyring(file)
    decided: list[Compared] = []
    passed: list[Passed] = []
    async with found.log(file) as (log, there):
        compared = compare(judged(keyring, log), there, candidate, since=begin.reached_by)
        async with contextlib.aclosing(compared):
            async for one in compared:
                (decided if isinstance(one, Compared) else passed).append(one)  # type: ignore[arg-type]  # each to its own
    return decided, passed


def _row(one: Compared) -> dict[str, Any]:
    return {
        "decision": f"{one.scope}:{one.seq}",
        "recorded_at": to_wire(one.recorded_at),
        "change_id": one.change_id,
        "author": one.author,
        "proposal": one.reason,
        "moment": one.moment,
        "version": one.version,
        "before": one.before.comparable,
        "after": one.after.comparable,
        "differs": one.differs,
    }
