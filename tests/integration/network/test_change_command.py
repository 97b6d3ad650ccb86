"""pdsno change, typed: what it prints, what it refuses, and the exit code that says so."""

import asyncio
import json
import subprocess
import sys

import pytest
import pytest_asyncio
from governed_network import silent_locals
from running_network import PORT, ROOT, SETTINGS, agents, running

from pdsno.ceremony import create

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOB = "operator.global.2"
ROUTE = "1.3.6.1.2.1.4.1.0=integer:1"
PROPOSE = ("change", "propose", "--reason", "a test")


class Typed:
    """What a command printed, and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


async def typed(home, *words):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "--home", str(home.folder), *words),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)
    return Typed(child.returncode, out.decode(), err.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory):
    async with silent_locals(tmp_path_factory.mktemp("typed")) as found:
        await found.operator(BOB)
        found.type = lambda *words: typed(found.home, *words)
        yield found


async def high(it):
    """Propose something HIGH; give its id and where its classification stands."""
    device = it.names.pop()
    said = await it.type(*PROPOSE, "--device", device, "--set", ROUTE, "--undo", ROUTE)
    assert said.code == 0, said.err
    name = said.out.strip()
    shown = (await it.type("change", "show", name, "-o", "json")).json
    return name, f"zone-a:{shown['classified_seq']}"


async def test_a_low_change_is_approved_before_the_command_returns(it):
    device = it.names.pop()
    said = await it.type(*PROPOSE, "--device", device, "--set", "location=rack 7")
    assert (said.code, "LOW: approved" in said.err) == (0, True), said.err
    name = said.out.strip()
    assert (await it.change(name))["devices"] == [device]


async def test_what_the_nib_knows_becomes_the_rollback(it):
    device = it.names.pop()
    said = await it.type(*PROPOSE, "--device", device, "--set", f"name={device}-new")
    shown = (await it.type("change", "show", said.out.strip(), "-o", "json")).json
    [done] = shown["does"]
    assert done["diff"] == [
        {"path": "1.3.6.1.2.1.1.5.0", "before": device, "after": f"{device}-new"}
    ]


async def test_show_tells_why_and_who_may_approve_and_on_what_it_was_decided(it):
    name, place = await high(it)
    shown = (await it.type("change", "show", name, "-o", "json")).json
    assert shown["classified"]["tier"] == "HIGH"
    assert shown["may_approve"] == [{"group": "network", "needed": 1, "may": [BOB]}]
    assert shown["based_on"]["zone-a"] < shown["classified_seq"]
    text = (await it.type("change", "show", name[:13])).out
    for said in ("UNMATCHED", place, BOB, "blast radius", "1.3.6.1.2.1.4.1.0", "escalated"):
        assert said in text


async def test_an_approval_names_what_was_shown(it):
    name, place = await high(it)
    nobody = await it.type("change", "approve", name, "--as", BOB)
    assert (nobody.code, place in nobody.err) == (86, True)
    other = await it.type("change", "approve", name, "--as", BOB, "--shown", "zone-a:1")
    assert (other.code, place in other.err) == (86, True)
    author = await it.type("change", "approve", name, "--shown", place)
    assert (author.code, "author" in author.err) == (86, True)
    assert (await it.change(name))["phase"] == "PENDING"
    good = await it.type("change", "approve", name, "--as", BOB, "--shown", place)
    assert (good.code, "HIGH: approved" in good.err) == (0, True), good.err
    late = await it.type("change", "approve", name, "--as", BOB, "--shown", place)
    assert late.code == 11


async def test_who_is_asked_says_no(it):
    name, _ = await high(it)
    said = await it.type("change", "deny", name, "--as", BOB, "--reason", "not now")
    assert (said.code, "REFUSED_BY_APPROVER" in said.err) == (0, True), said.err
    assert (await it.type("change", "wait", name)).code == 82


async def test_an_author_takes_it_back(it):
    name, _ = await high(it)
    said = await it.type("change", "withdraw", name, "--reason", "wrong device")
    assert (said.code, "WITHDRAWN" in said.err) == (0, True), said.err


async def test_waiting_ends_as_the_change_does(it):
    device = it.names.pop()
    said = await it.type(*PROPOSE, "--device", device, "--set", "location=rack 8")
    name = said.out.strip()
    assert (await it.type("change", "wait", name, "--within", "0")).code == 85
    assert (await it.type("change", "wait", name, "--decided")).code == 0
    await it.spend(name)
    await it.report(name, "executed")
    assert (await it.type("change", "wait", name, "--within", "20")).code == 0
    failing = await it.type(*PROPOSE, "--device", it.names.pop(), "--set", "location=rack 9")
    name = failing.out.strip()
    await it.reached(name, "APPROVED")
    await it.spend(name)
    await it.report(name, "failed")
    await it.report(name, "rolled_back")
    assert (await it.type("change", "wait", name, "--within", "20")).code == 83


async def test_a_denied_proposal_says_why_and_still_prints_its_id(it):
    device = it.names.pop()
    words = (*PROPOSE, "--device", device, "--set", "location=rack 7")
    first = await it.type(*words)
    second = await it.type(*words)
    assert second.code == 82
    assert "DUPLICATE_PROPOSAL" in second.err
    assert first.out.strip() in second.err
    assert (await it.change(second.out.strip()))["phase"] == "DENIED"


FILE = """
reason: the whole site
ticket: NOC-7
change:
  - devices: [{0}]
    payload: {{set: [{{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 7}}]}}
    rollback: {{set: [{{oid: 1.3.6.1.2.1.1.6.0, type: text, value: rack 6}}]}}
  - devices: [{1}]
    payload: {{set: [{{oid: 1.3.6.1.2.1.1.4.0, type: text, value: noc}}]}}
"""


async def test_a_file_says_several_things_of_several_devices(it, tmp_path):
    one, two = it.names.pop(), it.names.pop()
    file = tmp_path / "change.yaml"
    file.write_text(FILE.format(one, two))
    said = await it.type("change", "propose", "--file", str(file))
    assert said.code == 0, said.err
    shown = (await it.type("change", "show", said.out.strip(), "-o", "json")).json
    assert shown["asked"]["ticket"] == "NOC-7"
    assert [(t["device_id"], t["rollback"]) for t in shown["targets"]] == [
        (one, "yes"),
        (two, "no"),
    ]


WRONG = {
    "nothing at all": (("change", "propose"), 81),
    "a device and nothing to set": ((*PROPOSE, "--device", "acc-1"), 81),
    "an unknown name": ((*PROPOSE, "--device", "acc-1", "--set", "colour=red"), 81),
    "an OID without a type": ((*PROPOSE, "--device", "acc-1", "--set", "1.3.6.1=7"), 81),
    "no number": ((*PROPOSE, "--device", "acc-1", "--set", "1.3.6.1=integer:x"), 81),
    "no reason": (("change", "propose", "--device", "acc-1", "--set", "location=x"), 81),
    "no such device": ((*PROPOSE, "--device", "nowhere", "--set", "location=x"), 9),
    "no such change": (("change", "show", "nothing"), 9),
    "no such instant": (
        (*PROPOSE, "--device", "acc-1", "--set", "location=x", "--opens", "tonight"),
        81,
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_the_command_refuses(it, case):
    words, code = WRONG[case]
    before = await it.rows("SELECT count(*) FROM change")
    said = await it.type(*words)
    assert (said.code, said.out) == (code, ""), said.err
    assert said.err.startswith("pdsno: ")
    assert await it.rows("SELECT count(*) FROM change") == before


async def test_a_file_that_is_wrong_says_where(it, tmp_path):
    file = tmp_path / "change.yaml"
    file.write_text("reason: x\nchange:\n  - devices: []\n    payload: {}\n")
    said = await it.type("change", "propose", "--file", str(file))
    assert (said.code, f"{file}:3" in said.err) == (81, True), said.err


async def test_changes_are_listed_in_every_form(it):
    rows = (await it.type("change", "list", "-o", "json")).json
    assert {"EXECUTED", "DENIED", "ROLLED_BACK"} <= {row["phase"] for row in rows}
    only = (await it.type("change", "list", "--phase", "denied", "-o", "jsonl")).out
    assert {json.loads(line)["phase"] for line in only.splitlines()} == {"DENIED"}
    assert (await it.type("change", "list", "-o", "csv")).out.startswith("change_id,")
    assert "CHANGE ID" in (await it.type("change", "list", "--open")).out


async def test_an_export_tells_the_same_without_a_server(it, tmp_path):
    file = str(tmp_path / "log.pdsno")
    assert (await it.type("log", "export", file)).code == 0
    there = (await it.type("change", "list", "-o", "json")).json
    here = (await it.type("change", "list", "--log", file, "-o", "json")).json
    assert here == there
    [one] = [row for row in here if row["phase"] == "ROLLED_BACK"]
    shown = await it.type("change", "show", one["change_id"], "--log", file, "-o", "json")
    live = await it.type("change", "show", one["change_id"], "-o", "json")
    assert shown.json == live.json


ACCESS = """
[[access]]
name = "agents"
driver = "snmp"
port = {port}
community = "secret://file/snmp-rw"
"""


async def test_a_low_change_is_made_on_a_real_agent_and_read_back(tmp_path):
    settings = SETTINGS.format(port=PORT) + ACCESS.format(port=PORT)
    home = create(tmp_path / "home", settings=settings)
    secret = home.folder / "secrets" / "snmp-rw"
    secret.write_text("private")
    secret.chmod(0o600)
    async with agents(tmp_path), running(tmp_path) as network:
        sweep = await network.request("local.zone-a.1", "127.10.1.0/27")
        await network.ended(sweep)
        words = ("--device", "hq-acc-1", "--set", "location=rack 7")
        said = await typed(home, *PROPOSE, *words)
        assert said.code == 0, said.err
        assert (await typed(home, "change", "wait", said.out.strip(), "--within", "30")).code == 0
        await network.ended(await network.request("local.zone-a.1", "127.10.1.0/27"))
        rows = await network.query(
            "SELECT sys_location FROM device WHERE sys_name = 'hq-acc-1' AND merged_into IS NULL"
        )
        assert rows == [{"sys_location": "rack 7"}]
