"""A proof in one file: an event, its path to a signed head, and whose word that is (docs/audit.md).

    {"pdsno": "proof/1",
     "event": a record, "inclusion": {"size": n, "hashes": [base64url, ...]},
     "checkpoint": "a signed note, with its witnesses",
     "records": [the seal, the witnesses' words, and the certificates they all rest on]}

Records are written as certificates are (pdsno/membership/certificate.py) and judged by the reader
that judges every event. So whoever pins the root checks a proof without us, and without a network.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from pdsno.audit import note
from pdsno.audit.errors import ProofError
from pdsno.audit.leaf import hash_of
from pdsno.audit.merkle import verify_inclusion
from pdsno.audit.word import line_of
from pdsno.membership.certificate import read_record
from streams.catalogue.seal import SealMade, SealWitnessed
from streams.envelope import take_apart
from streams.keys import Keyring, decode
from streams.log import Recorded
from streams.reader import Accepted, Reader, Rejected, Verdict

MAGIC = "proof/1"


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves."""

    event: Recorded
    verdict: Verdict
    body: dict[str, Any] | None
    head: note.Head
    sealed_by: str
    sealed_at: str
    witnesses: list[str]
    checkpoint: str


def check(text: str, keyring: Keyring) -> Proven:
    """Check a proof with a root public key, and no more; ProofError says what does not hold."""
    try:
        parsed = json.loads(text)
        if parsed["pdsno"] != MAGIC:
            raise ValueError("not a proof of PDSNO")  # noqa: TRY301  # same end as any other damage
        event = read_record(json.dumps(parsed["event"]))
        records = [read_record(json.dumps(one)) for one in parsed["records"]]
        size = int(parsed["inclusion"]["size"])
        hashes = [decode(one) for one in parsed["inclusion"]["hashes"]]
        kept = note.read(parsed["checkpoint"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProofError(f"the proof is damaged: {error}") from error
    verdicts, reader = _judged([*records, event], keyring)
    made = _sealed(verdicts, event.scope, kept.head, reader)
    seen = _seen(verdicts.values(), event.scope, kept.head, reader)
    lines = [line_of(reader, one) or "" for one in (made, *seen)]
    if note.write(kept.head, lines) != parsed["checkpoint"]:
        raise ProofError("the checkpoint carries other signatures than its records")
    if size != kept.head.size or not verify_inclusion(
        hash_of(event), event.seq - 1, size, kept.head.root, hashes
    ):
        raise ProofError(f"the path does not lead from {event.scope}:{event.seq} to the root")
    return Proven(
        event,
        verdicts[event.scope, event.seq],
        _body(event),
        kept.head,
        made.source,
        made.recorded.recorded_at.isoformat(),
        [f"{one.source} at {one.recorded.scope}:{one.recorded.seq}" for one in seen],
        parsed["checkpoint"],
    )


def _judged(
    records: Iterable[Recorded], keyring: Keyring
) -> tuple[dict[tuple[str, int], Verdict], Reader]:
    unique = dict[tuple[str, int], Recorded]()
    for one in records:
        if unique.setdefault((one.scope, one.seq), one) != one:
            raise ProofError(f"the proof holds two records at {one.scope}:{one.seq}")
    reader = Reader(keyring)
    return {key: reader.read(unique[key]) for key in sorted(unique)}, reader


def _sealed(
    verdicts: dict[tuple[str, int], Verdict], scope: str, head: note.Head, reader: Reader
) -> Accepted:
    """Find the seal that made the checkpoint; ProofError when nobody who may seals it."""
    why = "it holds no seal of that head"
    for one in verdicts.values():
        if isinstance(one, Rejected) and one.recorded.subject.endswith(".seal.head"):
            why = f"its seal does not count: {one.detail}"
        if (
            isinstance(one, Accepted)
            and isinstance(one.event, SealMade)
            and one.recorded.scope == scope
            and note.Head(one.event.origin, one.event.size, decode(one.event.root)) == head
        ):
            if line_of(reader, one) is not None:
                return one
            why = "the checkpoint is not signed by who sealed it"
    raise ProofError(f"the proof does not hold: {why}", hint="is it of the network of this root?")


def _seen(
    verdicts: Iterable[Verdict], scope: str, head: note.Head, reader: Reader
) -> list[Accepted]:
    return [
        one
        for one in verdicts
        if isinstance(one, Accepted)
        and isinstance(one.event, SealWitnessed)
        and one.event.sealed == scope
        and note.Head(one.event.origin, one.event.size, decode(one.event.root)) == head
        and line_of(reader, one) is not None
    ]


def _body(event: Recorded) -> dict[str, Any] | None:
    try:
        body = orjson.loads(take_apart(event.raw).body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
