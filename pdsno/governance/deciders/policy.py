"""The policy in force: which submitted document replaces it (DOMAIN.md 8).

stream    pdsno.<scope>.policy.current
decides   the global controller; of a region's additions, its regional controller
"""

from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from pdsno.governance.document import document_hash, to_json
from pdsno.governance.effective import loosenings
from pdsno.governance.policy import Addition, Policy
from streams.catalogue.policy import PolicyApplied, PolicyRefused, PolicySubmitted
from streams.event import Event
from streams.name import GLOBAL, parse_controller


@dataclass(frozen=True, slots=True)
class Current:
    """What the log says of the policy of a scope so far."""

    scope: str
    number: int = 0  # none yet
    document: dict[str, JsonValue] | None = None
    document_hash: str = ""


initial = Current


def evolve(state: Current, event: Event, seq: int) -> Current:  # noqa: ARG001  # as all deciders
    """Fold one event: versions count by one, and the network's are the global controller's."""
    match event:
        case PolicyApplied() if event.number == state.number + 1 and (
            state.scope != GLOBAL or parse_controller(event.applied_by).role == "global"
        ):
            return Current(state.scope, event.number, event.document, event.document_hash)
        case _:
            return state


def decide(
    state: Current, event: PolicySubmitted, network: Policy | None, by: str
) -> list[PolicyApplied | PolicyRefused]:
    """Answer a submission; `network` is the policy that a region's addition is added to."""
    try:
        document = read(state.scope, event.document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        return [_refused(event, by, "MALFORMED_DOCUMENT", f"{where}: {first['msg']}")]
    name = document_hash(document)
    if name == state.document_hash and event.edited_from != state.number:
        return []  # applied, and delivered again
    refusal = _refusal(state, event, document, network)
    if refusal is not None:
        return [_refused(event, by, *refusal)]
    return [
        PolicyApplied(
            number=state.number + 1,
            applied_by=by,
            submitted_by=event.submitted_by,
            document=to_json(document),
            document_hash=name,
            note=event.note,
        )
    ]


def _refusal(
    state: Current, event: PolicySubmitted, document: Policy | Addition, network: Policy | None
) -> tuple[str, str] | None:
    if event.edited_from != state.number:
        detail = f"edited from version {event.edited_from}, in force is {state.number}"
        return "POLICY_VERSION_MISMATCH", detail
    if document_hash(document) == state.document_hash:
        return "UNCHANGED", f"it is version {state.number} already"
    if isinstance(document, Addition):
        if network is None:
            return "MALFORMED_DOCUMENT", "there is no policy to add to"
        looser = loosenings(network, document)
        if looser:
            return "LOOSENS", "; ".join(looser)
    return None


def read(scope: str, document: dict[str, JsonValue]) -> Policy | Addition:
    """Read a recorded or submitted document; ValidationError when it is none."""
    model: type[Policy | Addition] = Policy if scope == GLOBAL else Addition
    return model.model_validate(document)


def _refused(event: PolicySubmitted, by: str, reason: str, detail: str) -> PolicyRefused:
    return PolicyRefused.model_validate(
        {
            "request_id": event.request_id,
            "refused_by": by,
            "reason": reason,
            "detail": detail[:2000],
        }
    )
