"""Verify a log against its seals and witnesses: what is wrong, where, and how much is proven.

A root public key is enough for the seals and every act of authority; who has more keys besides has
each MAC checked, and a place named more closely.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pdsno.audit import claim
from pdsno.audit.claim import Claim, Claims
from pdsno.audit.finding import Finding
from pdsno.audit.head import Seal, counted
from pdsno.audit.history import History
from streams.keys import Keyring
from streams.log import Log, Recorded
from streams.reader import Reader, Rejected, Verdict

PATIENCE = 3  # times within which a seal was promised


@dataclass(slots=True)
class Summary:
    """What was seen of one scope."""

    scope: str
    events: int = 0
    head: int = 0
    sealed: int = 0
    seals: int = 0
    witnesses: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    last_at: datetime | None = None


@dataclass(slots=True)
class Audit:
    """What an audit came to."""

    summaries: list[Summary]
    findings: list[Finding]
    claims: Claims


async def verify(
    log: Log,
    scopes: Sequence[str],
    keyring: Keyring,
    *,
    at: datetime | None = None,
    mirror: bool = False,
    kept: Callable[[Claims], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Audit:
    """Verify scopes of a log.

    `at` is the time of a live log; of a file, the log's own last time is taken. `kept` adds claims
    from elsewhere. A mirror may be behind what its origin has signed.
    """
    claims = await claim.gather(log, scopes, keyring)
    kept(claims)
    found, summaries, missing = list(claims.findings), list[Summary](), list[tuple[str, int]]()
    beyond: dict[str, list[Claim]] = {}
    for scope in scopes:
        history = History(scope, claims.about[scope])
        one = await _scope(log, scope, keyring, history, progress)
        beyond[scope] = history.end()
        missing.append((scope, history.head))
        one.sealed = min(history.sealed, history.head)
        one.seals = len(claims.seals(scope))
        one.witnesses = len({c.by for c in claims.about[scope] if c.seal is None})
        summaries.append(one)
        found += history.findings
        found += [
            Finding("DOUBTFUL", scope, seq, seq, why) for seq, why in history.unsealed_spots()
        ]
    now = at or max((one.last_at for one in summaries if one.last_at), default=None)
    for scope, head in missing:
        chain = counted(claims.seals(scope))
        cut = _cut(scope, head, beyond[scope], chain, now, mirror=mirror)
        behind = any(one.kind == "LAGGING" for one in cut)  # so is its last seal
        found += cut
        found += [] if behind else _overdue(scope, head, chain, now)
    return Audit(summaries, found, claims)


async def _scope(
    log: Log, scope: str, keyring: Keyring, history: History, progress: Callable[[int], None]
) -> Summary:
    reader, found = Reader(keyring), Summary(scope)
    before: Recorded | None = None
    async with contextlib.aclosing(log.read(scope)) as batches:
        async for batch in batches:
            for one in batch:
                verdict = reader.read(one)
                found.verdicts[type(verdict).__name__.lower()] += 1
                history.take(one, _spot(verdict, before))
                before = one
            found.events += len(batch)
            found.head, found.last_at = batch[-1].seq, batch[-1].recorded_at
            progress(len(batch))
    return found


def _spot(verdict: Verdict, before: Recorded | None) -> str | None:
    """Say what speaks against an event by itself."""
    if isinstance(verdict, Rejected):
        return f"{verdict.reason}: {verdict.detail}"
    if before is not None and verdict.recorded.recorded_at < before.recorded_at:
        return "recorded before the event before it"
    return None


def _cut(
    scope: str,
    head: int,
    beyond: Sequence[Claim],
    chain: Sequence[Seal],
    now: datetime | None,
    *,
    mirror: bool,
) -> list[Finding]:
    """Judge claims about events that are not there."""
    others = [one for one in beyond if one.seal is None] or list(beyond)
    if not others:
        return []
    last = max(others, key=lambda one: one.size)
    patience_s = PATIENCE * (chain[-1].next_within_s if chain else 0)
    times = [one.at for one in others if one.at is not None]
    young = (
        now is not None
        and len(times) == len(others)
        and (now - min(times)).total_seconds() <= patience_s
    )
    who = f"{last.by} ({last.place}) signed {last.size} events, and {head} are there"
    if mirror or young:
        return [Finding("LAGGING", scope, head + 1, last.size, f"{who}; what is there holds")]
    return [Finding("CUT", scope, head + 1, last.size, who)]


def _overdue(scope: str, head: int, chain: Sequence[Seal], now: datetime | None) -> list[Finding]:
    if not head or now is None:
        return []
    if not chain:
        return [Finding("NOT_SEALED", scope, 1, head, "no seal of this scope can be verified")]
    last = chain[-1]
    late_s = (now - last.made_at).total_seconds()
    if late_s <= PATIENCE * last.next_within_s:
        return []
    return [
        Finding(
            "SEAL_OVERDUE",
            scope,
            min(last.head.size + 1, head),
            head,
            f"the last seal is {late_s:.0f} s old; another was due every {last.next_within_s:g} s",
        )
    ]
