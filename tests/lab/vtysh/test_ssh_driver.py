"""The SSH driver against FRR's vtysh: lines entered in their contexts, and taken back."""

import subprocess
import time

import pytest
from sshd import keygen

from pdsno.execution.drivers.ssh import SshDriver
from pdsno.execution.drivers.ssh.configuration import configuring
from pdsno.execution.errors import (
    AuthenticationError,
    HostKeyError,
    MovedError,
    PayloadError,
    RefusedError,
    UnreachableError,
)


def lines(*text):
    return {"platform": "frr", "lines": list(text)}


ROUTED = lines(
    "ip route 10.9.0.0/16 blackhole",
    "interface eth0",
    " description to the core",
    "router ospf",
    " network 10.70.0.0/24 area 0",
    " passive-interface default",
    "ip prefix-list CORE seq 5 permit 10.0.0.0/8 le 24",
    "route-map OUT permit 10",
    " match ip address prefix-list CORE",
    " set metric 7",
)


async def change(device, payload):
    before = await device.read()
    plan = await device.plan(payload, before)
    await device.apply(plan, persist_id="c1", confirm_within_s=60)
    return before, plan


def test_a_change_is_made_seen_saved_and_undone(managed):
    async def story(driver, device):
        before, plan = await change(device, ROUTED)
        after = await device.read()
        assert driver.shortfall(plan, after) == ()
        assert set(driver.diff(before, after)) == set(plan.differences)
        assert not plan.confirmed_commit
        await device.confirm(persist_id="c1")
        assert "10.9.0.0/16" in managed.config.read_text()
        for _ in range(2):  # it may be repeated
            await device.revert(before, persist_id="c1")
        assert await device.read() == before
        assert "10.9.0.0/16" not in managed.config.read_text()

    managed.run(managed.reach(), story)


def test_a_line_that_takes_anothers_place_is_planned_so_and_undone_to_the_other(managed):
    async def story(driver, device):
        start, _ = await change(device, lines("interface eth0", " description one"))
        before, plan = await change(device, lines("interface eth0", " description two"))
        after = await device.read()
        assert [(one.before, one.after) for one in plan.differences] == [
            ("description one", None),
            (None, "description two"),
        ]
        assert driver.diff(before, after) == plan.differences
        await device.revert(before, persist_id="c1")
        assert await device.read() == before
        gone = lines("interface eth0", " no description")
        before, plan = await change(device, gone)
        assert driver.shortfall(plan, await device.read()) == ()
        assert [(one.before, one.after) for one in plan.differences] == [("description one", None)]
        await device.revert(before, persist_id="c1")
        assert await device.read() == before
        await device.revert(start, persist_id="c1")
        assert await device.read() == start

    managed.run(managed.reach(), story)


def test_a_context_without_lines_does_not_swallow_what_follows(managed):
    payload = lines(
        "router ospf", "ip route 10.8.0.0/16 blackhole", "interface eth0", " bandwidth 7"
    )

    async def story(driver, device):
        before, plan = await change(device, payload)
        assert driver.shortfall(plan, await device.read()) == ()
        await device.revert(before, persist_id="c1")
        assert await device.read() == before

    managed.run(managed.reach(), story)


def test_a_refused_line_leaves_those_before_it_until_they_are_taken_back(managed):
    payload = lines(
        "ip route 10.9.0.0/16 blackhole",
        "router ospf",
        " network 10.70.0.0/24 area 0",
        " nonsense 7",
        "ip route 10.8.0.0/16 blackhole",
    )

    async def story(driver, device):
        before = await device.read()
        plan = await device.plan(payload, before)
        said = r"refused 'router ospf / nonsense 7': % Unknown command"
        with pytest.raises(RefusedError, match=said) as refused:
            await device.apply(plan, persist_id="c1", confirm_within_s=60)
        assert refused.value.may_have_changed
        half = (await device.read()).text
        assert "10.9.0.0/16" in half
        assert "10.8.0.0/16" not in half
        await device.revert(before, persist_id="c1")
        assert await device.read() == before

    managed.run(managed.reach(), story)


@pytest.mark.parametrize(
    "wrong", ["ip route 10.9.0.0/33 blackhole", "nonsense", "no ip route 10.99.0.0/16 blackhole"]
)
def test_a_first_line_that_is_refused_changes_nothing(managed, wrong):
    async def story(driver, device):
        before = await device.read()
        with pytest.raises(RefusedError) as refused:
            await change(device, lines(wrong))
        assert not refused.value.may_have_changed
        assert await device.read() == before

    managed.run(managed.reach(), story)


def test_a_line_that_is_taken_and_changes_nothing_falls_short(managed):
    async def story(driver, device):
        before, plan = await change(device, lines("log facility daemon"))
        after = await device.read()
        assert after == before  # it is the default already, and FRR does not show those
        assert [one.wanted for one in driver.shortfall(plan, after)] == ["log facility daemon"]

    managed.run(managed.reach(), story)


def test_what_needs_no_saying_is_no_shortfall(managed):
    async def story(driver, device):
        before = await device.read()
        assert "no ip forwarding" in before.text.splitlines()
        _, plan = await change(device, lines("ip forwarding"))
        assert driver.shortfall(plan, await device.read()) == ()
        assert driver.shortfall(plan, before) != ()
        await device.revert(before, persist_id="c1")
        assert await device.read() == before

    managed.run(managed.reach(), story)


def test_a_config_that_moved_since_the_plan_is_not_touched(managed):
    async def story(driver, device):
        start = await device.read()
        plan = await device.plan(lines("ip route 10.9.0.0/16 blackhole"), start)
        await change(device, lines("ip route 10.8.0.0/16 blackhole"))
        moved = await device.read()
        with pytest.raises(MovedError):
            await device.apply(plan, persist_id="c1", confirm_within_s=60)
        assert await device.read() == moved
        await device.revert(start, persist_id="c1")
        assert await device.read() == start

    managed.run(managed.reach(), story)


def test_a_successor_takes_back_what_was_half_done(managed):
    reach = managed.reach()

    async def story():
        driver = SshDriver()
        async with driver.open(reach) as device:
            before, _ = await change(device, ROUTED)
            device._shell._process.channel.get_connection().abort()
            with pytest.raises(UnreachableError, match="ended unasked"):
                await device.read()
        async with driver.open(reach) as device:
            assert await device.read() != before
            await device.revert(before, persist_id="c1")
            assert await device.read() == before

    managed.run_bare(story)


def test_a_slow_device_meets_the_deadline_and_what_was_entered_may_have_happened(managed):
    reach = managed.reach(timeout_s=0.7)

    async def story():
        driver = SshDriver()
        async with (
            driver.open(reach) as device,
            configuring(device._shell, device._words, 0.7) as entry,
        ):
            with managed.daemons["staticd"].stopped():
                await entry.enter(("ip route 10.9.0.0/16 blackhole",))

    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no prompt within 0.7 s") as slow:
        managed.run_bare(story)
    assert slow.value.may_have_changed
    assert time.monotonic() - started < 4

    async def later(driver, device):
        before = await device.read()
        assert "10.9.0.0/16" in before.text  # it had been waiting in staticd's socket
        _, plan = await change(device, lines("no ip route 10.9.0.0/16 blackhole"))
        assert driver.shortfall(plan, await device.read()) == ()

    managed.run(managed.reach(), later)


def test_a_config_that_cannot_be_saved_is_told(managed):
    async def story(driver, device):
        backup = managed.config.with_name("frr.conf.sav")
        for file in (managed.config, backup):  # vtysh can neither put the old one away nor
            file.unlink(missing_ok=True)  # write a new one in its place
            file.mkdir()
        (backup / "full").touch()
        with pytest.raises(RefusedError, match="does not save its config"):
            await device.confirm(persist_id="c1")
        (backup / "full").unlink()
        for file in (managed.config, backup):
            file.rmdir()
        await device.confirm(persist_id="c1")

    managed.run(managed.reach(), story)


@pytest.mark.parametrize(
    "line",
    [
        "description x\nip route 10.9.0.0/16 blackhole",
        "description x\r",
        "description \x1b[A",
        "description \x03",
        "description a\tb",
        "description what?",
        "end",
        " ex",
        "do show version",
        "wr mem",
        "description caf\u00e9",
        "description \u202e",
    ],
)
def test_a_line_that_is_more_than_a_line_never_reaches_the_device(managed, line):
    async def story(driver, device):
        before = await device.read()
        with pytest.raises(PayloadError, match="line 1"):
            await device.plan(lines("interface eth0", line), before)
        assert await device.read() == before

    managed.run(managed.reach(), story)


def never(managed, reach):
    async def story():
        async with SshDriver().open(reach):
            raise AssertionError

    managed.run_bare(story)


def test_a_device_whose_link_is_down_is_unreachable(managed):
    managed.ctl.ip("link", "set", "eth0", "down")
    try:
        with pytest.raises(UnreachableError) as away:
            never(managed, managed.reach(timeout_s=0.5))
        assert not away.value.may_have_changed
    finally:
        managed.ctl.ip("link", "set", "eth0", "up")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no file", "no host key is known"),
        ("unknown", "no host key is known"),
        ("changed", "its host key is not the one"),
        ("of another type", "its host key is not the one"),
    ],
)
def test_a_host_key_that_is_unknown_or_changed_ends_it_before_the_login(
    managed, tmp_path, case, said
):
    kind = "rsa" if case == "of another type" else "ed25519"
    another = f"{keygen(tmp_path / 'another', kind)}\n"
    names = {"no file": "", "unknown": f"10.70.0.99 {another}"}
    reach = managed.reach(known=names.get(case, f"10.70.0.10 {another}"))
    if case == "no file":
        (managed.home / "known_hosts").unlink()
    log = managed.sshd.daemon.log
    logins = log.read_text().count("Accepted")
    with pytest.raises(HostKeyError, match=said) as refused:
        never(managed, reach)
    assert "known_hosts" in refused.value.hint
    assert log.read_text().count("Accepted") == logins


def test_a_hashed_known_host_is_known(managed, tmp_path):
    hashed = tmp_path / "known_hosts"
    hashed.write_text(managed.sshd.known)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True, capture_output=True)
    assert managed.sshd.address not in hashed.read_text()

    async def story(driver, device):
        assert (await device.read()).text

    managed.run(managed.reach(known=hashed.read_text()), story)


def test_a_key_the_device_does_not_know_is_a_clear_refusal(managed, tmp_path):
    keygen(tmp_path / "stranger")
    with pytest.raises(AuthenticationError, match="root is not let in with this key"):
        never(managed, managed.reach(key_file=str(tmp_path / "stranger")))


def test_a_file_that_is_no_key_is_told(managed, tmp_path):
    file = tmp_path / "odd"
    file.touch(mode=0o600)
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nodd\n")
    with pytest.raises(AuthenticationError, match="is no private key"):
        never(managed, managed.reach(key_file=str(file)))


def test_a_password_is_in_no_error_and_no_log(managed, caplog):
    caplog.set_level("DEBUG")
    file = managed.home / "secrets" / "password"
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("hunter2-hunter2")
    reach = managed.reach(key_file="", password="secret://file/password")
    with pytest.raises(AuthenticationError) as refused:
        never(managed, reach)
    shown = repr((refused.value, refused.value.__context__, refused.value.hint, reach))
    assert "hunter2" not in shown
    assert "hunter2" not in caplog.text
