"""The NETCONF driver against netconfd: what is tried, committed, confirmed, and undone by whom."""

import asyncio
import time

import pytest
from sshd import keygen

from pdsno.execution.drivers.netconf import NetconfDriver
from pdsno.execution.errors import (
    AuthenticationError,
    HostKeyError,
    MovedError,
    RefusedError,
    UnreachableError,
)

SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
CONTACT = f"/{{{SYSTEM}}}system/contact"


def system(body):
    return {"config": f'<system xmlns="{SYSTEM}">{body}</system>'}


async def change(device, payload, *, persist_id="c1", confirm_within_s=60):
    before = await device.read()
    plan = await device.plan(payload, before)
    await device.apply(plan, persist_id=persist_id, confirm_within_s=confirm_within_s)
    return before, plan


@pytest.fixture(params=["candidate", "running"])
def server(managed, request):
    return getattr(managed, request.param)


def test_a_change_is_made_seen_kept_and_undone(managed, server):
    payload = system(
        "<contact>noc</contact><ntp><server><name>a</name>"
        "<udp><address>192.0.2.1</address></udp></server><server><name>b</name>"
        "<udp><address>192.0.2.2</address></udp></server></ntp>"
    )

    async def story(driver, device):
        before, plan = await change(device, payload)
        after = await device.read()
        assert driver.shortfall(plan, after) == ()
        assert driver.diff(before, after) == plan.differences
        paths = {one.path: one.after for one in plan.differences}
        assert paths[CONTACT] == "noc"
        assert paths[f'/{{{SYSTEM}}}system/ntp/server[name="b"]/udp/address'] == "192.0.2.2"
        await device.confirm(persist_id="c1")
        assert await device.read() == after
        for _ in range(2):  # it may be repeated
            await device.revert(before, persist_id="c1")
        assert await device.read() == before

    managed.run(managed.reach(server), story)


def test_the_plan_touches_nothing_and_is_the_devices_own_word(managed):
    async def story(driver, device):
        before = await device.read()
        plan = await device.plan(system("<location>x</location>"), before)
        assert plan.confirmed_commit
        assert plan.notes == ()
        assert [one.after for one in plan.differences] == ["x"]
        assert await device.read() == before
        again = await device.plan(system("<contact>y</contact>"), before)
        assert [one.after for one in again.differences] == ["y"]  # nothing was left behind

    managed.run(managed.reach(managed.candidate), story)


def test_without_candidate_the_plan_says_what_is_missing(managed):
    async def story(driver, device):
        plan = await device.plan(system("<location>x</location>"), await device.read())
        assert not plan.confirmed_commit
        assert any("no candidate" in note for note in plan.notes)
        assert any("no confirmed commit" in note for note in plan.notes)

    managed.run(managed.reach(managed.running), story)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<nope>1</nope>", "unknown-element"),
        ("<hostname></hostname>", "invalid-value.*hostname"),
        ("<clock><timezone-utc-offset>x</timezone-utc-offset></clock>", "utc-offset"),
    ],
)
def test_what_the_device_would_not_take_is_refused_by_the_plan(managed, server, body, said):
    async def story(driver, device):
        before = await device.read()
        with pytest.raises(RefusedError, match=said) as refused:
            await device.plan(system(body), before)
        assert not refused.value.may_have_changed
        assert await device.read() == before

    managed.run(managed.reach(server), story)


def test_a_device_that_is_not_confirmed_goes_back_by_itself(managed):
    reach = managed.reach(managed.candidate)

    async def story():
        driver = NetconfDriver()
        async with driver.open(reach) as device:
            before, plan = await change(
                device, system("<contact>lost</contact>"), confirm_within_s=2
            )
            assert driver.shortfall(plan, await device.read()) == ()
            device._session._shut()  # the connection breaks between apply and confirm
            with pytest.raises(UnreachableError):
                await device.read()
        async with driver.open(reach) as device:  # the successor comes too late
            deadline = time.monotonic() + 20
            while await device.read() != before:
                assert time.monotonic() < deadline, "the device keeps what nobody confirmed"
                await asyncio.sleep(1.5)  # netconfd looks at its clock only when it is idle
            with pytest.raises(RefusedError):
                await device.confirm(persist_id="c1")
            await device.revert(before, persist_id="c1")
            assert await device.read() == before

    managed.run_bare(story)


@pytest.mark.parametrize("end", ["confirm", "revert"])
def test_a_successor_confirms_or_cancels_with_the_persist_id_alone(managed, end):
    reach = managed.reach(managed.candidate)

    async def story():
        driver = NetconfDriver()
        async with driver.open(reach) as device:
            before, plan = await change(device, system("<contact>half</contact>"))
            device._session._shut()
        async with driver.open(reach) as device:
            with pytest.raises(RefusedError):
                await device.confirm(persist_id="another")
            if end == "confirm":
                await device.confirm(persist_id="c1")
                assert driver.shortfall(plan, await device.read()) == ()
            await device.revert(before, persist_id="c1")
            assert await device.read() == before

    managed.run_bare(story)


def test_a_config_that_moved_since_the_plan_is_not_touched(managed, server):
    async def story(driver, device):
        start = await device.read()
        plan = await device.plan(system("<contact>planned</contact>"), start)
        _, other = await change(device, system("<location>meanwhile</location>"))
        await device.confirm(persist_id="c1")
        moved = await device.read()
        with pytest.raises(MovedError):
            await device.apply(plan, persist_id="c2", confirm_within_s=60)
        assert await device.read() == moved
        assert driver.shortfall(other, moved) == ()
        await device.revert(start, persist_id="c2")
        assert await device.read() == start

    managed.run(managed.reach(server), story)


def test_a_neighbors_lock_refuses_the_plan_and_is_let_go_of_by_ours(managed):
    reach = managed.reach(managed.candidate)

    async def story():
        driver = NetconfDriver()
        async with driver.open(reach) as one, driver.open(reach) as other:
            before = await one.read()
            async with other._locked("candidate"):
                with pytest.raises(RefusedError, match="lock-denied"):
                    await one.plan(system("<contact>x</contact>"), before)
            await one.plan(system("<contact>x</contact>"), before)
            await other.plan(system("<contact>x</contact>"), before)

    managed.run_bare(story)


def test_a_slow_device_meets_the_deadline_and_what_was_sent_may_have_happened(managed):
    reach = managed.reach(managed.candidate, timeout_s=1.0)

    async def story():
        driver = NetconfDriver()
        async with driver.open(reach) as device:
            before = await device.read()
            with managed.candidate.daemon.stopped():
                started = time.monotonic()
                with pytest.raises(UnreachableError, match="did not answer") as slow:
                    await device.confirm(persist_id="c1")
                assert slow.value.may_have_changed
                with pytest.raises(UnreachableError) as slow:
                    await device.read()
                assert not slow.value.may_have_changed
                assert time.monotonic() - started < 4
        async with driver.open(reach) as device:
            assert await device.read() == before

    managed.run_bare(story)


def test_a_device_whose_link_is_down_is_unreachable(managed):
    async def story():
        async with NetconfDriver().open(managed.reach(managed.candidate, timeout_s=0.5)):
            raise AssertionError

    managed.ctl.ip("link", "set", "eth0", "down")
    try:
        with pytest.raises(UnreachableError) as away:
            managed.run_bare(story)
        assert not away.value.may_have_changed
    finally:
        managed.ctl.ip("link", "set", "eth0", "up")


def strangers(managed, tmp_path):
    known = managed.candidate.sshd.known
    return {
        "no file": "",
        "unknown": managed.running.sshd.known,
        "changed": f"{known.split()[0]} {keygen(tmp_path / 'another')}\n",
        "of another type": f"{known.split()[0]} {keygen(tmp_path / 'rsa', 'rsa')}\n",
    }


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
    reach = managed.reach(managed.candidate, known=strangers(managed, tmp_path)[case])
    seen = managed.candidate.sshd.daemon.log

    async def story():
        async with NetconfDriver().open(reach):
            raise AssertionError

    logins = seen.read_text().count("Accepted")
    with pytest.raises(HostKeyError, match=said) as refused:
        managed.run_bare(story)
    assert "known_hosts" in refused.value.hint
    assert seen.read_text().count("Accepted") == logins


def test_a_key_the_device_does_not_know_is_a_clear_refusal(managed, tmp_path):
    keygen(tmp_path / "stranger")
    reach = managed.reach(managed.candidate, key_file=str(tmp_path / "stranger"))

    async def story():
        async with NetconfDriver().open(reach):
            raise AssertionError

    with pytest.raises(AuthenticationError, match="root is not let in with this key"):
        managed.run_bare(story)


def test_a_password_is_in_no_error_and_no_log(managed, caplog):
    caplog.set_level("DEBUG")
    file = managed.home / "secrets" / "password"
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("hunter2-hunter2")
    reach = managed.reach(managed.candidate, key_file="", password="secret://file/password")

    async def story():
        async with NetconfDriver().open(reach):
            raise AssertionError

    with pytest.raises(AuthenticationError) as refused:
        managed.run_bare(story)
    shown = repr((refused.value, refused.value.__context__, refused.value.hint, reach))
    assert "hunter2" not in shown
    assert "hunter2" not in caplog.text
