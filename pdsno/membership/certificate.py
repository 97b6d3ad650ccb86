"""A certificate is the admission as it stands in the log, with the admissions it rests on.

No second format: what proves an identity are the signed records themselves, and they are judged
by the reader that judges every event, with the pinned root and no other key. A chain can be
checked offline by whoever pins the root.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from pdsno.home import Home
from streams.catalogue.controller import (
    ControllerAdmitted,
    ControllerRenewed,
    ControllerRevoked,
    RootRotated,
)
from streams.clock import from_wire, to_wire
from streams.envelope import take_apart
from streams.errors import KeyFileError
from streams.keys import Keyring
from streams.log import Recorded
from streams.reader import Accepted, Reader

_LINKS = frozenset(
    kind.declared.wire
    for kind in (ControllerAdmitted, ControllerRenewed, ControllerRevoked, RootRotated)
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a chain proves."""

    controller_id: str
    public_key: str
    key_id: str
    valid_until: datetime
    issuer: str
    issuer_public_keys: tuple[str, ...]  # with which the issuer signs now, or may sign


def is_link(recorded: Recorded) -> bool:
    """Tell whether a record says it is one that certificates rest on; nothing is verified yet."""
    try:
        body = orjson.loads(take_apart(recorded.raw).body)
        return body.get("type") in _LINKS
    except (ValueError, AttributeError):
        return False


def write_record(recorded: Recorded) -> str:
    """Write a record of the log as one line of JSON."""
    return json.dumps(
        {
            "scope": recorded.scope,
            "seq": recorded.seq,
            "subject": recorded.subject,
            "recorded_at": to_wire(recorded.recorded_at),
            "raw": base64.b64encode(recorded.raw).decode(),
        }
    )


def read_record(line: str) -> Recorded:
    """Read a record; ValueError when it is none."""
    try:
        text = json.loads(line)
        return Recorded(
            str(text["scope"]),
            int(text["seq"]),
            str(text["subject"]),
            from_wire(text["recorded_at"]),
            base64.b64decode(text["raw"], validate=True),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a record of a log") from error


def verify_chain(lines: Iterable[str], roots: Sequence[str], controller_id: str) -> Certificate:
    """Judge a chain with nothing but the pinned roots; ValueError says what does not hold."""
    reader = Reader(Keyring(root_public_key="\n".join(roots)))
    keys: dict[str, str] = {}
    trusted = list(roots)
    found: tuple[Accepted, ControllerAdmitted | ControllerRenewed] | None = None
    for line in lines:
        verdict = reader.read(read_record(line))
        if not isinstance(verdict, Accepted):
            why = getattr(verdict, "detail", "nobody known signed it")
            raise ValueError(f"{verdict.recorded.subject} does not count: {why}")  # noqa: TRY004  # no type
        match verdict.event:
            case ControllerAdmitted() | ControllerRenewed() as event:
                keys[event.controller_id] = event.public_key
                if event.controller_id == controller_id:
                    found = verdict, event
            case ControllerRevoked(controller_id=gone) if gone == controller_id:
                raise ValueError(f"{controller_id} was revoked")
            case RootRotated(public_key=root):
                trusted.append(root)
            case _:
                pass
    if found is None:
        raise ValueError(f"it says nothing of {controller_id}")
    source, event = found[0].source, found[1]
    issuers = (keys[source],) if source in keys else tuple(trusted)
    return Certificate(
        controller_id, event.public_key, event.key_id, event.valid_until, source, issuers
    )


def write_chain(path: Path, lines: Iterable[str]) -> None:
    """Keep a chain beside the keys; it is no secret."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(path.name + ".new")
    beside.write_text("".join(line + "\n" for line in lines))
    beside.replace(path)


def read_chain(path: Path) -> list[str]:
    """Read a chain that was kept; KeyFileError when it is not there."""
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise KeyFileError(
            f"certificate {path} cannot be read: {error.strerror}",
            hint="pdsno controller renew asks for it again",
        ) from error


def came_of(home: Home, temp_id: str) -> str | None:
    """Name the identity of this home that an invitation led to; None: there is none."""
    for name in home.members():
        if home.chain(name).exists():
            for line in read_chain(home.chain(name)):
                data = orjson.loads(take_apart(read_record(line).raw).body)["data"]
                if (data.get("temp_id"), data.get("controller_id")) == (temp_id, name):
                    return name
    return None


def kept(home: Home) -> list[Recorded]:
    """Read the records that the identities of a home rest on, each once, in their order."""
    found = {}
    for name in home.members():
        if home.chain(name).exists():
            for line in read_chain(home.chain(name)):
                one = read_record(line)
                found[one.scope, one.seq] = one
    return [found[key] for key in sorted(found)]
