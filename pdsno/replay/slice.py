"""A slice of a log as a regression test: what was decided in it, to be decided again for ever.

The file has a line of JSON for what is to be replayed, and one for each event from the beginning of
its scopes: bodies as they were signed, without MACs, signatures and keys, and of what the reader
refused the refusal. It proves nothing about who said what, and verifies nothing: that was done when
it was cut. It runs on the in-memory log, wherever the project is cloned.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from pdsno.errors import SliceError
from pdsno.replay.decider import replayable
from pdsno.replay.report import Report
from pdsno.replay.run import Replay
from pdsno.replay.walk import Verdicts
from pdsno.settings import Settings
from streams.clock import from_wire, to_wire
from streams.envelope import Sealed, take_apart
from streams.event import REGISTRY
from streams.log import Recorded
from streams.memory import MemoryLog
from streams.reader import Accepted, Rejected, Verdict

Ends = Mapping[str, int]  # by scope
M = TypeVar("M", bound=BaseModel)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(_Line):
    """What is to be replayed, and what came of it when the slice was cut."""

    pdsno_slice: Literal[1] = 1
    scopes: tuple[str, ...]
    begin: dict[str, int]  # the first event of a scope that is looked at
    deciders: tuple[str, ...]
    decided: dict[str, int]  # decisions by decider that came out the same
    settings: dict[str, Any]  # those of then that deciders ask for
    note: str = ""


class _Event(_Line):
    scope: str
    seq: int
    subject: str
    recorded_at: str
    body: dict[str, Any] | None = None
    refused: tuple[str, str, str | None, str | None] | None = None  # reason, detail, source, type


@dataclass(slots=True)
class Slice:
    """A slice that was read, in a log in memory."""

    head: Head
    log: MemoryLog
    refused: Mapping[tuple[str, int], tuple[str, str, str | None, str | None]]

    async def replay(self) -> Report:
        """Decide again what is to be decided."""
        deciders = [one for one in replayable() if one.name in self.head.deciders]

        def within(scope: str, seq: int, _: datetime) -> bool:
            return seq >= self.head.begin.get(scope, 1)

        return await Replay(self.verdicts, self.head.scopes, deciders, self.settings, within).run()

    @property
    def settings(self) -> Settings:
        """The settings of then, as far as deciders ask for them."""
        return Settings.model_validate(self.head.settings)

    async def verdicts(self, scope: str) -> AsyncGenerator[list[Verdict], None]:
        """Take every event for what the reader took it for."""
        async for batch in self.log.read(scope):
            yield [self._verdict(one) for one in batch]

    def _verdict(self, one: Recorded) -> Verdict:
        no = self.refused.get((one.scope, one.seq))
        if no is not None:
            return Rejected(one, no[0], *no[1:])  # type: ignore[arg-type]  # a reason of the reader
        body = orjson.loads(one.raw)
        event = REGISTRY[body["type"]].model_validate(body["data"])
        return Accepted(
            one,
            body["id"],
            body["source"].removeprefix("/"),
            body["type"],
            from_wire(body["time"]),
            body.get("causationid"),
            body.get("correlationid"),
            body.get("basis"),
            event,
            body["data"],
        )


async def cut(
    verdicts: Verdicts,
    scopes: Sequence[str],
    begin: Ends,
    end: Ends,
    report: Report,
    settings: Settings,
    path: Path,
) -> int:
    """Write a slice of what a replay came out the same for; return its number of events."""
    decided = {one.decider: 0 for one in report.tallies}
    for one in report.tallies:
        decided[one.decider] += one.same + one.later
    head = Head(
        scopes=tuple(scopes),
        begin=dict(begin),
        deciders=tuple(name for name, count in decided.items() if count),
        decided={name: count for name, count in decided.items() if count},
        settings=_asked_for(settings),
    )
    if not head.decided:
        raise SliceError(
            "nothing was decided in this slice, so that it would test nothing",
            hint="choose another --from and --to: pdsno log replay tells what was decided",
        )
    count = 0
    try:
        with path.open("xb") as file:
            file.write(head.model_dump_json().encode() + b"\n")
            for scope in scopes:
                async for batch in verdicts(scope):
                    lines = [_line(one) for one in batch if one.recorded.seq <= end.get(scope, 0)]
                    file.writelines(
                        line.model_dump_json(exclude_none=True).encode() + b"\n" for line in lines
                    )
                    count += len(lines)
    except FileExistsError as error:
        raise SliceError(f"{path} exists", hint="name another file") from error
    except OSError as error:
        raise SliceError(f"{path} cannot be written: {error.strerror}") from error
    return count


def _asked_for(settings: Settings) -> dict[str, Any]:
    """Keep of the settings what deciders ask for."""
    return settings.model_dump(
        mode="json", include={"regions", "sweep", "local"}, exclude_defaults=True
    )


def _line(one: Verdict) -> _Event:
    recorded = one.recorded
    place = {
        "scope": recorded.scope,
        "seq": recorded.seq,
        "subject": recorded.subject,
        "recorded_at": to_wire(recorded.recorded_at),
    }
    match one:
        case Accepted():
            return _Event(**place, body=orjson.loads(_body(recorded.raw)))
        case Rejected():
            return _Event(**place, refused=(one.reason, one.detail, one.source, one.type))
        case _:
            raise SliceError(
                f"{recorded.scope}:{recorded.seq} cannot be verified with the keys of this home",
                hint="cut it where the keys are: a slice is read without any",
            )


def _body(raw: bytes) -> bytes:
    """Take what was signed out of an event; in a slice it stands by itself."""
    return raw if raw.startswith(b"{") else take_apart(raw).body


async def read(text: bytes, where: str) -> Slice:
    """Read a slice into a log in memory; SliceError says what is wrong with it, and where."""
    lines = text.splitlines()
    head = _parsed(Head, lines[0] if lines else b"", f"{where}:1")
    clock = _Clock()
    log, refused = MemoryLog(clock), {}
    for number, line in enumerate(lines[1:], start=2):
        one = _parsed(_Event, line, f"{where}:{number}")
        clock.at = from_wire(one.recorded_at)
        raw = b"" if one.body is None else orjson.dumps(one.body)
        sealed = Sealed(one.scope, one.subject, f"{one.scope}:{one.seq}", raw)
        (seq,) = await log.append([sealed])
        if seq != one.seq or (one.body is None) == (one.refused is None):
            raise SliceError(f"{where}:{number} is {one.scope}:{one.seq}, and {seq} is due")
        if one.refused is not None:
            refused[one.scope, seq] = one.refused
    return Slice(head, log, refused)


class _Clock:
    """Tells the time of the event that is appended."""

    at: datetime

    def __call__(self) -> datetime:
        """Read it."""
        return self.at


def _parsed(model: type[M], line: bytes, where: str) -> M:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "the line"
        raise SliceError(
            f"{where}: no line of a slice: {name}: {first['msg']}",
            hint="pdsno log slice cuts one",
        ) from error


def failures(head: Head, report: Report) -> Iterable[str]:
    """Tell what is not as it was when the slice was cut."""
    first = report.first
    if first is not None:
        yield f"{first.place} ({first.decider}): recorded {first.recorded}, today {first.today}"
    found: dict[str, int] = {}
    for one in report.tallies:
        found[one.decider] = found.get(one.decider, 0) + one.same + one.later
    for name, count in head.decided.items():
        if found.get(name, 0) != count:
            yield f"{name} decided {count} the same when it was cut, and {found.get(name, 0)} now"
