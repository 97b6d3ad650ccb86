"""The SSH driver on a command line that forgives nothing."""

import pytest
from strict_cli import PLATFORM, Switch, serving

from pdsno.execution.access import Accesses
from pdsno.execution.drivers.ssh import SshDriver, platform
from pdsno.execution.errors import RefusedError, UnreachableError
from pdsno.settings import AccessSettings


@pytest.fixture
def strict(tmp_path, monkeypatch):
    (tmp_path / "strict.toml").write_text(PLATFORM)
    monkeypatch.setattr(platform, "FOLDER", tmp_path)
    platform.find.cache_clear()
    yield tmp_path
    platform.find.cache_clear()


def reach(folder, port):
    given = {"user": "op", "key_file": "user", "platform": "strict", "timeout_s": 5}
    entry = AccessSettings(name="a", driver="ssh", port=port, **given)
    return Accesses((entry,), folder).reach("d1", "127.0.0.1", "zone-a")


def lines(*text):
    return {"platform": "strict", "lines": list(text)}


async def test_every_line_is_entered_in_its_own_context(strict):
    switch = Switch()
    payload = lines(
        "vlan 7",
        "interface e0",
        " description up",
        "interface e1",
        "vlan 8",
        " name guests",
        "route 10.0.0.0/8 via 10.1.1.1",
    )
    async with serving(switch, strict) as port, SshDriver().open(reach(strict, port)) as device:
        before = await device.read()
        plan = await device.plan(payload, before)
        await device.apply(plan, persist_id="c1", confirm_within_s=60)
        assert list(switch.running()) == [
            "route 10.0.0.0/8 via 10.1.1.1",
            "interface e0",
            " description up",
            "vlan 8",
            " name guests",
        ]
        await device.revert(before, persist_id="c1")
        assert list(switch.running()) == []
        assert await device.read() == before
    assert all(mode != "config" for mode, line in switch.entered if line == "exit")


async def test_what_is_entered_is_what_the_plan_shows(strict):
    switch = Switch()
    payload = lines("interface e0", " description up", "vlan 8", " name guests")
    async with serving(switch, strict) as port, SshDriver().open(reach(strict, port)) as device:
        plan = await device.plan(payload, await device.read())
        switch.entered.clear()
        await device.apply(plan, persist_id="c1", confirm_within_s=60)
    sent = [line for mode, line in switch.entered if mode or line == "configure"]
    assert [one for one in sent if one != "exit"] == [one.strip() for one in plan.commands]


async def test_a_line_below_one_that_opens_no_context_is_refused(strict):
    switch = Switch()
    async with serving(switch, strict) as port, SshDriver().open(reach(strict, port)) as device:
        before = await device.read()
        plan = await device.plan(lines("route a", " description up"), before)
        with pytest.raises(RefusedError, match="'route a' opens no context") as refused:
            await device.apply(plan, persist_id="c1", confirm_within_s=60)
        assert refused.value.may_have_changed
        await device.revert(before, persist_id="c1")
        assert await device.read() == before


async def test_a_line_that_breaks_off_like_a_prompt_is_read_to_its_end(strict):
    switch = Switch()
    switch.config[""] = ["rack# 7", "route a"]
    switch.spoil = "break off"
    async with serving(switch, strict) as port, SshDriver().open(reach(strict, port)) as device:
        text = (await device.read()).text
    assert text.splitlines() == ["rack# 7", "route a"]


@pytest.mark.parametrize("how", ["hang up", "never end"])
async def test_a_device_that_hangs_up_or_never_ends_is_unreachable(strict, how):
    switch = Switch()
    async with serving(switch, strict) as port, SshDriver().open(reach(strict, port)) as device:
        switch.spoil = how
        with pytest.raises(UnreachableError) as broken:
            await device.read()
        assert not broken.value.may_have_changed
