"""pdsno log replay --step: event by event, with what it changed and what was decided."""

from collections.abc import Sequence
from typing import Any

import orjson

from cli import option, render, verdict
from cli.render import Format
from pdsno.replay.again import Again
from pdsno.replay.report import Said
from pdsno.replay.run import Replay
from pdsno.replay.step import Row, Step, steps
from streams.clock import to_wire
from streams.event import Event

_VALUE_MAX, _EVENT_MAX = 60, 200  # characters that a person is shown
_WORDS = {
    "same": "decides the same today",
    "later": "decides the same today, on facts between its basis and itself",
    "otherwise": "decides OTHERWISE today",
    "cannot": "cannot be asked again",
}


async def walk(
    replay: Replay, scopes: Sequence[str], kinds: frozenset[type[Event]] | None, form: Format
) -> None:
    """Write every step, as it is made; of these kinds of events, or of all."""
    for scope in scopes:
        async for one in steps(replay, scope):
            if kinds is None or type(one.event.event) in kinds:
                option.out(_text(one) if form is Format.TABLE else render.line(_row(one)))


def _row(step: Step) -> dict[str, Any]:
    decided = step.decided
    return verdict.row(step.event) | {
        "before": [{"table": o.table, "row": o.before} for o in step.rows],
        "after": [{"table": o.table, "row": o.after} for o in step.rows],
        "decider": decided.decider if decided else None,
        "outcome": decided.outcome if decided else None,
        "why": decided.why if decided else None,
        "today": [_said(one) for one in decided.today] if decided else [],
    }


def _said(one: Said) -> dict[str, Any]:
    return {"subject": one.subject, "type": one.type, "data": dict(one.data)}


def _text(step: Step) -> str:
    event, recorded = step.event, step.event.recorded
    place, name = f"{recorded.scope}:{recorded.seq}", event.event.declared.name
    lines = [f"{place}  {to_wire(recorded.recorded_at)}  {name}  {event.source}"]
    lines += [f"  before  {_state(one, one.before)}" for one in step.rows]
    lines.append(f"  event   {_cut(verdict.summary(event.data) or '-', _EVENT_MAX)}")
    if step.decided is not None:
        lines += _decision(step.decided)
    lines += [f"  after   {_state(one, one.after)}" for one in step.rows]
    return "".join(render.plain(line) + "\n" for line in lines) + "\n"


def _decision(one: Again) -> list[str]:
    basis = ", ".join(f"{scope}:{seq}" for scope, seq in sorted(one.basis.items()))
    answers = f", to {one.cause.scope}:{one.cause.seq}" if one.cause else ""
    word = _WORDS[one.outcome] + (f": {one.why}" if one.why else "")
    lines = [f"  decided by {one.decider} on {basis or 'nothing'}{answers}: {word}"]
    if one.outcome == "otherwise":
        lines += [f"    today {said.type} {orjson.dumps(said.data).decode()}" for said in one.today]
        lines += [] if one.today else ["    today nothing"]
    return lines


def _state(row: Row, at: Any) -> str:
    """Write a row's columns that differ, as they are on one side."""
    if at is None:
        return f"{row.table} {row.key}: not there"
    values = " ".join(f"{name}={_cut(render.flat(at.get(name)) or '-')}" for name in row.changed)
    return f"{row.table} {row.key}: {values or 'the same'}"


def _cut(text: str, most: int = _VALUE_MAX) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
