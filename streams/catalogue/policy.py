"""Policy: what may change, who decides, when (DOMAIN.md 8).

One subject in each scope, so that a version replaces the one it was edited from, or nothing. The
document of scope `global` is the global controller's alone; a region's adds to it, and what it adds
can only tighten: both are combined by taking the stricter (pdsno/governance/policy.py).
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from streams.event import Event, event
from streams.name import ControllerId, Token

SUBJECT = "policy.current"
Version = Annotated[int, Field(ge=0, le=2**31 - 1)]  # 0: none yet
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@event(
    "policy.submitted",
    version=1,
    subject="policy.{request_id}",
    emitters={"operator"},
    authority=True,
    owner="submitted_by",
)
class PolicySubmitted(Event):
    """An operator asks for a new version, edited from the one that is named."""

    request_id: Token
    submitted_by: ControllerId
    person: str  # as the machine knows them
    edited_from: Version
    document: dict[str, JsonValue]
    note: str = ""


@event(
    "policy.applied",
    version=1,
    subject=SUBJECT,
    emitters={"global", "regional"},
    authority=True,
    owner="applied_by",
)
class PolicyApplied(Event):
    """From here on decisions follow this document; it is recorded whole."""

    number: Annotated[int, Field(ge=1, le=2**31 - 1)]  # counts by one within its scope
    applied_by: ControllerId
    submitted_by: ControllerId
    document: dict[str, JsonValue]
    document_hash: Sha256  # over the canonical JSON of the document
    note: str = ""


@event(
    "policy.refused",
    version=1,
    subject="policy.{request_id}",
    emitters={"global", "regional"},
    authority=True,
    owner="refused_by",
)
class PolicyRefused(Event):
    """A submitted document does not become policy."""

    request_id: Token
    refused_by: ControllerId
    reason: Literal["MALFORMED_DOCUMENT", "POLICY_VERSION_MISMATCH", "LOOSENS", "UNCHANGED"]
    detail: str
