"""Act three: changes of devices, each allowed by somebody, and every step of it in the log."""

import re
from typing import Any

import orjson

from cli.demo.stage import Stage
from pdsno.errors import ChangeFailedError
from pdsno.governance.deciders.token import grant_of
from pdsno.reaching import connect_as_operator
from streams.catalogue.token import TokenIssued, TokenPresented
from streams.envelope import Signer, draft
from streams.event import fresh_id
from streams.jetstream import JetStreamLog

_LOCATION = "1.3.6.1.2.1.1.6.0"
_TOO_LONG = "x" * 300  # sysLocation holds 255 octets (RFC 3418): the agent says no
_APPROVERS = ("operator.global.2", "operator.global.3")
_LOOKS = 20  # each takes a second or so
_FILE = """\
reason: two devices, or none
change:
  - devices: [{good}]
    payload: {{set: [{{oid: {location}, type: text, value: "rack 4"}}]}}
  - devices: [{bad}]
    payload: {{set: [{{oid: {location}, type: text, value: {too_long}}}]}}
"""


async def tell(stage: Stage) -> None:
    """Change one device, have two people allow another, see a third undone, replay a token."""
    name = await _low(stage)
    await _high(stage)
    await _undone(stage)
    await _replayed(stage, name)


async def _low(stage: Stage) -> str:
    stage.say("A LOW change runs by itself: policy allows it, a token permits it, once")
    words = ("--device", "hq-acc-1", "--set", "location=rack 7", "--reason", "moved")
    name = (await stage.type("change", "propose", *words)).strip()
    await stage.type("change", "wait", name)
    shown = await _show(stage, name)
    stage.hold(
        [one["matched"] for one in shown["steps"]] == [True],
        "a real agent was changed, and read back as it was asked",
    )
    kinds = [one["type"] for one in shown["story"]]
    stage.hold(
        kinds.index("change.approved") < kinds.index("token.spent")
        and kinds.index("token.spent") < kinds.index("execution.applying"),
        "in the log: approved, then permitted, then the token spent, then the device touched",
    )
    return name


async def _high(stage: Stage) -> None:
    stage.say("A HIGH change waits for two people, whom it shows exactly what they allow")
    for who in _APPROVERS:
        wish = ("--role", "operator", "--region", "global", "--id", who, "--out", f"{who}.invite")
        await stage.type("controller", "invite", *wish, show=False)
        await stage.type("controller", "join", f"{who}.invite", show=False)
    text = await stage.type("policy", "show", show=False)
    (stage.folder / "policy.toml").write_text(re.sub(r"network = 1\b", "network = 2", text))
    await stage.type("policy", "apply", "policy.toml", "--note", "HIGH is allowed by two people")
    words = ("--device", "hq-core-1", "--set", "location=rack 1, top", "--reason", "relabelled")
    name = (await stage.type("change", "propose", *words)).strip()
    shown = await _show(stage, name)
    stage.hold(
        shown["classified"]["tier"] == "HIGH"
        and shown["classified"]["decided_by"].startswith("global."),
        "a core device is critical: the global controller decides",
    )
    await stage.type("change", "show", name)
    place = f"zone-a:{shown['classified_seq']}"
    first, second = _APPROVERS
    await stage.type("change", "approve", name, "--as", first, "--shown", place)
    stage.hold((await _show(stage, name))["phase"] == "PENDING", "one of two is not enough")
    await stage.type("change", "approve", name, "--as", second, "--shown", place)
    await stage.type("change", "wait", name)
    shown = await _show(stage, name)
    stage.hold(
        set(shown["approved"]["approvers"]) == set(_APPROVERS),
        "made, with both approvers in the decision and in the token",
    )


async def _undone(stage: Stage) -> None:
    stage.say("A change fails on its second device: both are as they were before")
    rows = await stage.rows("device", "list", "--region", "zone-a")
    ids = sorted(row["device_id"] for row in rows if str(row["name"]).startswith("hq-acc"))
    good, bad = ids[:2]
    text = _FILE.format(good=good, bad=bad, location=_LOCATION, too_long=_TOO_LONG)
    (stage.folder / "change.yaml").write_text(text)
    name = (await stage.type("change", "propose", "--file", "change.yaml")).strip()
    await stage.type("change", "wait", name, code=ChangeFailedError.exit_code)
    steps = {one["device_id"]: one for one in (await _show(stage, name))["steps"]}
    stage.hold(steps[good]["restored"] is True, f"{good} was taken back, and read back to prove it")


async def _replayed(stage: Stage, name: str) -> None:
    stage.say("A token permits one change once: shown again by hand, it is refused")
    shown = await _show(stage, name)
    issued = next(one["data"] for one in shown["story"] if one["type"] == "token.issued")
    token = TokenIssued.model_validate_json(orjson.dumps(issued))
    connection = await connect_as_operator(stage.home, stage.supervisor.url)
    try:
        who = stage.home.person("zone-a")
        event = TokenPresented(
            token_id=token.token_id,
            controller_id=token.controller_id,
            request_id=fresh_id(),
            presented_by=who,
            grant=grant_of(token),
        )
        sealed = Signer(stage.home.controller(who)).seal([draft(event, "zone-a")])
        await JetStreamLog(connection).append(sealed)
    finally:
        await connection.close()
    for _ in range(_LOOKS):
        refusal = (await _show(stage, name))["tokens"][0]["refusal"]
        if refusal is not None:
            break
    stage.hold(refusal == "TOKEN_SPENT", "token.refused: TOKEN_SPENT, and that is in the log too")


async def _show(stage: Stage, name: str) -> dict[str, Any]:
    text = await stage.type("change", "show", name, "--format", "json", show=False)
    found: dict[str, Any] = orjson.loads(text)
    return found
