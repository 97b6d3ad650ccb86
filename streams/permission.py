"""What each role may say and hear on the server, as templates of scoped signing keys.

Every subject that NATS carries for us is granted here and nowhere else. A template is bound to a
role and a scope; `{{name()}}` is the user's name, which the server puts in.

What a name cannot do: whoever holds a signing key chooses the names of its users, and a name may
be `*`, or the name of somebody else. So each template puts role and scope in front of the name
where subjects of several roles meet (answers, heartbeats, renewals): a user that calls itself like
another reaches at most what its own key's users reach anyway.
"""

from collections.abc import Sequence
from typing import Any

from streams.name import GLOBAL
from streams.topology import PARKED_SUBJECT, TIMER_SUBJECT

NEWCOMER = "join"  # the role of whoever may only ask to be let in
_NAME = "{{name()}}"
_NEWCOMER_BYTES = 16 * 1024
_NEWCOMER_SUBS = 4  # one inbox for all answers, and room for a mistake
_ANSWER_S = 60  # for a challenge
_ROWS_S = 600  # for the rows of a long query
_VALIDATED_BY_GLOBAL = ("regional", "operator", GLOBAL)


def signing_name(role: str, scope: str) -> str:
    """Name the scoped signing key of a role in a scope."""
    return f"{role}.{scope}"


def inbox(role: str, scope: str, name: str) -> str:
    """Say where the answers to a user go; nobody of another role or scope can listen there.

    A newcomer's is apart from all others whatever it calls itself: it is one token, not four.
    """
    return f"_INBOX_{name}" if role == NEWCOMER else f"_INBOX.{role}.{scope}.{name}"


def template(role: str, scope: str) -> dict[str, Any]:
    """Say what users of a role in a scope may publish and hear, in the words of a NATS JWT."""
    if role == NEWCOMER:
        return _newcomer(scope)
    publish = ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.*"]
    publish += ["$JS.API.CONSUMER.CREATE.*.>", "$JS.API.CONSUMER.MSG.NEXT.*.*"]
    publish += ["$JS.API.CONSUMER.DELETE.*.*", "$JS.ACK.>", "pdsno-nib.query"]
    subscribe = [inbox(role, scope, _NAME) + ".>"]
    answers: dict[str, int] = {}
    refused: list[str] = []
    nouns: tuple[str, ...]
    match role:
        case "global":
            publish += ["pdsno.>", f"{PARKED_SUBJECT}.>", "$JS.API.STREAM.CREATE.*"]
            publish += [f"{TIMER_SUBJECT}.set.{role}.{scope}.>"]
            subscribe += ["pdsno-beat.>"]
            subscribe += [
                f"pdsno-{door}.*.{asked}.*"
                for door in ("join", "renew")
                for asked in _VALIDATED_BY_GLOBAL
            ]
            answers = _answers(1)
        case "regional":
            # sightings stay with their local controller: they are not the region's to make
            nouns = (
                "controller",
                "device",
                "anomaly",
                "refusal",
                "sweep",
                "join",
                "security",
                "seal",
            )
            nouns += ("policy", "change", "token", "lock")
            publish += [f"pdsno.{scope}.{noun}.>" for noun in nouns]
            publish += [f"{TIMER_SUBJECT}.set.{role}.{scope}.>"]
            publish += [f"pdsno-beat.{scope}.{_NAME}", f"{PARKED_SUBJECT}.>"]
            publish += [f"pdsno-renew.{scope}.{role}.{_NAME}"]
            subscribe += [f"pdsno-beat.{scope}.*"]
            subscribe += [f"pdsno-{door}.{scope}.local.*" for door in ("join", "renew")]
            answers = _answers(1)
        case "local":
            nouns = ("obs", "sweep", "change", "token", "execution", "config", "emergency")
            publish += [f"pdsno.{scope}.{noun}.{_NAME}.>" for noun in nouns]
            publish += [f"pdsno-beat.{scope}.{_NAME}", "pdsno-progress.>"]
            publish += [f"pdsno-renew.{scope}.{role}.{_NAME}"]
        case "operator":
            scopes = "*" if scope == GLOBAL else scope
            nouns = ("sweep", "device", "controller", "join", "policy", "change", "token")
            nouns += ("config", "emergency")
            publish += [f"pdsno.{scopes}.{noun}.>" for noun in nouns]
            refused = [f"pdsno.{scopes}.policy.current"]  # it submits policy, and never applies it
            publish += [f"pdsno-renew.{scope}.{role}.{_NAME}"]
            subscribe += ["pdsno-progress.>"]
        case "nib":
            subscribe += ["pdsno-nib.query"]
            answers = _answers(-1, _ROWS_S)  # an answer has any number of parts
        case _:
            raise ValueError(f"{role} has no place on the server")
    return _permissions(publish, subscribe, answers, refused)


def pusher() -> dict[str, Any]:
    """Say what the user of the system account may do: replace account claims, and read them."""
    publish = [
        "$SYS.REQ.CLAIMS.UPDATE",
        "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
        "$SYS.REQ.ACCOUNT.*.INFO",
    ]
    return _permissions(publish, [inbox("system", GLOBAL, "system") + ".>"], {})


def _newcomer(scope: str) -> dict[str, Any]:
    """Let a newcomer ask for a role in its scope and hear the answer: no log, no other subject."""
    publish, subscribe = [f"pdsno-join.{scope}.*.{_NAME}"], [inbox(NEWCOMER, scope, _NAME) + ".>"]
    return _permissions(publish, subscribe, {}) | {
        "subs": _NEWCOMER_SUBS,
        "payload": _NEWCOMER_BYTES,
    }


def _answers(most: int, for_s: int = _ANSWER_S) -> dict[str, int]:
    """Let a user answer what it is asked: on the subject the asker named, for a while.

    No list of subjects could be tighter: a token cannot be half a wildcard, so `_INBOX_*` matches
    no newcomer's inbox. The asker may name any subject, so Connection answers on inboxes only.
    """
    return {"max": most, "ttl": for_s * 1_000_000_000}


def _permissions(
    publish: list[str],
    subscribe: list[str],
    answers: dict[str, int],
    refused: Sequence[str] = (),
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "pub": {"allow": publish} | ({"deny": list(refused)} if refused else {}),
        "sub": {"allow": subscribe},
        "subs": -1,
        "data": -1,
        "payload": -1,
    }
    return found | ({"resp": answers} if answers else {})
