"""One change as the log has it: its own history, folded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pdsno.governance.change import Change, evolve
from pdsno.governance.deciders import token as token_decider
from streams.catalogue.token import TokenIssued
from streams.event import REGISTRY

_CLASSES = {kind.declared.name: kind for kind in REGISTRY.values()}


@dataclass(frozen=True, slots=True)
class Matter:
    """One change as it stands: what the log says of it, and where the story goes on."""

    state: Change
    last_id: str  # of the newest event about it: the cause of what is decided now
    correlation: str  # the id of the event that began it
    tokens: dict[str, token_decider.Token]  # by executor


def matter_of(scope: str, rows: Sequence[tuple[Any, ...]]) -> Matter:
    """Fold the events of a change: rows of (seq, id, type, data), in their order."""
    state = Change(scope)
    tokens: dict[str, token_decider.Token] = {}
    names: dict[str, str] = {}  # executor by token
    for seq, _, name, data in rows:
        event = _CLASSES[name].model_validate_json(data)
        state = evolve(state, event, seq)
        if isinstance(event, TokenIssued):
            names.setdefault(event.token_id, event.controller_id)
        executor = names.get(getattr(event, "token_id", None) or "")
        if executor is not None:
            before = tokens.get(executor, token_decider.initial())
            tokens[executor] = token_decider.evolve(before, event, seq)
    return Matter(state, rows[-1][1], rows[0][1], tokens)
