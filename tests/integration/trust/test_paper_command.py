"""`pdsno controller join` with every kind of bad paper: one line that says what, and its exit code.

No secret of the paper is in what it says, and no home is left that a better paper could not use.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from running_network import ROOT, eventually
from trust_network import A, B, invited, shared_network, written

from pdsno.membership.invite import write_invite
from streams.catalogue.controller import ControllerBlocked

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()
OFF_CLOCK = Path(__file__).with_name("off_clock.py")
INVITE, JOIN = 14, 15  # exit codes


async def joined(home, file, *, off_s=0, words=()):
    """Join by the command; give the exit code, and what it said on stderr."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(OFF_CLOCK), str(off_s)),
        *("--home", str(home), "controller", "join", str(file), *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)
    assert b"Traceback" not in err, err
    assert out == b"" or child.returncode == 0
    return child.returncode, err.decode()


async def paper(network, tmp_path, **wish):
    invite = await invited(network, **wish)
    file = tmp_path / "paper.invite"
    write_invite(file, invite)
    return file, invite


def secrets_of(invite):
    return [invite.invitation, *invite.credentials.split("\n")[1::2]]


async def refused(tmp_path, file, code, *says, invite=None, home="home", **more):
    """See that the command fails as it should, in one line and a hint, without a secret."""
    found, err = await joined(tmp_path / home, file, **more)
    assert found == code, err
    last = err.strip().splitlines()[-2:]
    assert last[0].startswith("pdsno: "), err
    assert last[1].startswith("  hint: "), err
    for word in says:
        assert word in err, err
    for secret in filter(None, secrets_of(invite) if invite else []):
        assert secret not in err
    return err


DAMAGED = {
    "empty": lambda _: "",
    "half of it": lambda text: text[: len(text) // 2],
    "without its last brace": lambda text: text.rstrip()[:-1],
    "without its token": lambda text: json.dumps(
        {k: v for k, v in json.loads(text).items() if k != "invitation"}
    ),
    "with a field too many": lambda text: json.dumps(json.loads(text) | {"x": 1}),
    "of another kind": lambda text: json.dumps(json.loads(text) | {"pdsno": "key/1"}),
    "not text": lambda text: text.encode("utf-16").decode("latin-1"),
}


@pytest.mark.parametrize("case", DAMAGED)
async def test_a_damaged_paper(network, tmp_path, case):
    file, invite = await paper(network, tmp_path)
    file.write_text(DAMAGED[case](file.read_text()))
    await refused(tmp_path, file, INVITE, "paper.invite", invite=invite)
    assert not (tmp_path / "home").exists()


async def test_no_paper(tmp_path):
    await refused(tmp_path, tmp_path / "nowhere", INVITE, "cannot be read")
    await refused(tmp_path, tmp_path, INVITE, "cannot be read")


async def test_a_paper_of_another_network(network, tmp_path):
    file, invite = await paper(network, tmp_path)
    code, err = await joined(tmp_path / "home", file)
    assert code == 0, err
    roots = ["A" * 43]
    file.write_text(invite.model_copy(update={"roots": roots}).model_dump_json())
    await refused(tmp_path, file, INVITE, "another network", invite=invite)


async def test_a_paper_of_another_region(network, tmp_path):
    file, _ = await paper(network, tmp_path, region=B)
    code, err = await joined(tmp_path / "home", file)
    assert code == 0, err
    file.unlink()
    file, invite = await paper(network, tmp_path, region=A)
    await refused(tmp_path, file, INVITE, f"into {A}", invite=invite)


async def test_a_paper_that_says_another_region_than_it_was_made_for(network, tmp_path):
    file, invite = await paper(network, tmp_path, region=A)
    file.write_text(invite.model_copy(update={"region": B}).model_dump_json())
    await refused(tmp_path, file, INVITE, "of another region", invite=invite)


async def test_a_paper_whose_server_user_was_swapped_with_another(network, tmp_path):
    _, other = await paper(network, tmp_path, region=A)
    file = tmp_path / "swapped.invite"
    invite = await invited(network)
    write_invite(file, invite.model_copy(update={"credentials": other.credentials}))
    await refused(tmp_path, file, INVITE, "the server lets", invite=invite)


async def test_a_used_paper(network, tmp_path):
    file, invite = await paper(network, tmp_path)
    code, err = await joined(tmp_path / "first", file)
    assert code == 0, err
    await refused(tmp_path, file, JOIN, "BOOTSTRAP_TOKEN_USED", "find out who", invite=invite)
    code, err = await joined(tmp_path / "first", file)  # who has it may show it again
    assert code == 0, err


async def test_a_paper_that_ended(network, tmp_path):
    file, invite = await paper(network, tmp_path, valid_for=timedelta(seconds=1))
    await asyncio.sleep(1.5)
    await refused(tmp_path, file, INVITE, "expired", invite=invite)


async def test_a_paper_with_a_longer_end_than_it_was_given(network, tmp_path):
    file, invite = await paper(network, tmp_path)
    later = invite.model_copy(update={"expires_at": invite.expires_at + timedelta(days=9)})
    file.write_text(later.model_dump_json())
    await refused(tmp_path, file, JOIN, "INVALID_BOOTSTRAP_TOKEN", invite=invite)


@pytest.mark.parametrize(
    ("off_s", "reason", "way"),
    [(-360, "STALE_TIMESTAMP", "is behind"), (360, "FUTURE_TIMESTAMP", "is ahead")],
)
async def test_a_machine_whose_clock_is_off_by_minutes(network, tmp_path, off_s, reason, way):
    file, invite = await paper(network, tmp_path)
    await refused(tmp_path, file, JOIN, reason, way, "NTP", invite=invite, off_s=off_s)
    code, err = await joined(tmp_path / "home", file)  # its clock was set
    assert code == 0, err


async def test_a_paper_that_was_blocked(network, tmp_path):
    file, invite = await paper(network, tmp_path)
    blocked = ControllerBlocked(blocked=invite.temp_id, reason="sent astray")
    await written(network, network.home.person(), blocked, scope=A)

    async def known():
        return await network.query("SELECT 1 FROM blocked WHERE blocked = ?", [invite.temp_id])

    await eventually(known)
    await refused(tmp_path, file, JOIN, "BLOCKLISTED", invite=invite)


async def test_a_server_that_is_not_there(network, tmp_path):
    file, invite = await paper(network, tmp_path)
    words = ("--url", "nats://127.0.0.1:1")
    await refused(tmp_path, file, 21, "127.0.0.1:1", invite=invite, words=words)
