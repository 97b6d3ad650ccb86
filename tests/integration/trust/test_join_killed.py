"""kill -9 at every step of a join, and the join given again: one identity, and nothing half."""

import asyncio

import pytest
from killing import KILLED, killed_everywhere, one_identity, run, sound, start
from running_network import copied, eventually
from trust_network import LC_A, LC_B, RC_A, RC_B, A, B, invited, shared_network

from pdsno.ceremony import create_for
from pdsno.home import Home
from pdsno.membership.invite import write_invite
from pdsno.membership.newcomer import join
from streams.connection import Connection
from streams.keys import KeyId

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]
network = shared_network()


@pytest.fixture
def paper(network, tmp_path):
    """Give what invites a newcomer of region A: its home, and the file."""

    async def made(n, region=A):
        invite = await invited(network, region=region)
        folder, file = tmp_path / f"home-{n}", tmp_path / f"{n}.invite"
        home = create_for(folder, invite.region, invite.regions, invite.roots, invite.url)
        write_invite(file, invite)
        return home, file, invite

    return made


async def works(network, home, name):
    """See that an identity is whole: the server lets it in, and its keys are those of the log."""
    connection = await Connection.open(
        network.supervisor.url, name=name, credentials=home.credentials(name)
    )
    await connection.close()
    (row,) = await network.query("SELECT * FROM controller WHERE controller_id = ?", [name])
    key = home.controller(name)
    assert (row["key_id"], row["public_key"]) == (str(key.key_id), key.public_key())
    assert row["server_user"] == home.server_user(name)
    assert not [one for one in (home.keys / "pending").iterdir() if one.suffix != ".lock"]
    assert not list(home.folder.rglob("*.new"))


async def test_a_newcomer_killed_at_any_effect_joins_again_and_is_the_same(network, paper):
    async def after(subject, point):
        home, file, invite = subject
        code, said = await run("join", home.folder, file, -1)
        assert code == 0, (point, said)
        name = await one_identity(network, invite.temp_id)
        assert said.split()[0] == name, point
        await works(network, home, name)

    made = []

    async def before(point):
        made.append(await paper(point))
        return made[-1]

    points, _ = await killed_everywhere(
        before,
        "join",
        lambda n: made[n][0].folder,
        lambda subject: subject[1],
        after=after,
    )
    assert points > 15  # four messages, and each file of an identity
    await sound(network)


async def test_a_member_killed_at_any_effect_of_its_renewal_renews_again(network, paper):
    home, file, invite = await paper("renewed")
    code, _ = await run("join", home.folder, file, -1)
    assert code == 0
    name = await one_identity(network, invite.temp_id)

    async def before(point):
        return name

    async def after(subject, point):
        code, said = await run("renew", home.folder, name, -1)
        assert code == 0, (point, said)
        await eventually(lambda: told(network, home, name))
        await works(network, Home(home.folder), name)

    points, said = await killed_everywhere(
        before, "renew", lambda _: home.folder, lambda subject: subject, after=after
    )
    assert points > 10
    retired = {one.key_id for one in Home(home.folder).keys_of(name)}
    assert KeyId.parse(said.split()[0]).controller_epoch == len(retired) > points
    await sound(network)


async def test_a_controller_that_runs_finds_the_answer_that_was_lost_by_itself(network):
    """What was asked in its name is on the disk, what came of it in the log: it asks once more."""
    home, before = network.home, network.home.controller(LC_A).key_id
    for point in (4, 5, 6):  # asked; answered; the first file of the identity written
        code, said = await run("renew", home.folder, LC_A, point)
        assert code == KILLED, said

        async def settled():
            pending = home.keys / "pending" / f"{LC_A}.json"
            return not pending.exists() and await told(network, home, LC_A)

        await eventually(settled)
    assert home.controller(LC_A).key_id.controller_epoch >= before.controller_epoch + 2
    await asyncio.sleep(6)  # what was before is over by now
    await network.ended(await network.request(LC_A, "127.0.0.0/30"))


async def told(network, home, name):
    rows = await network.query("SELECT * FROM controller WHERE controller_id = ?", [name])
    return rows[0]["key_id"] == str(Home(home.folder).controller(name).key_id)


async def test_two_processes_with_one_invitation_at_the_same_instant_one_is_in(network, paper):
    for n in range(3):
        homes = [await paper(f"twin-{n}")]
        _, file, invite = homes[0]
        other = create_for(
            file.parent / f"other-{n}", invite.region, invite.regions, invite.roots, invite.url
        )
        twins = [await start("join", one.folder, file, -1) for one in (homes[0][0], other)]
        ended = await asyncio.gather(*(one.communicate(b"now\n") for one in twins))
        codes = [one.returncode for one in twins]
        assert sorted(codes) == [0, 1], ended
        loser = ended[codes.index(1)][0].decode()
        assert "BOOTSTRAP_TOKEN_USED" in loser
        name = await one_identity(network, invite.temp_id)
        winner = (homes[0][0], other)[codes.index(0)]
        await works(network, winner, name)
        assert [home.members() for home in (homes[0][0], other)].count([]) == 1


VALIDATOR = range(8)  # a join is two answers and two appends, each begun and ended


@pytest.mark.parametrize("point", VALIDATOR)
async def test_a_validator_killed_at_any_step_is_followed_by_another(
    network, paper, tmp_path, point
):
    """The newcomer goes on by itself: what was said to the dead one stands in the log."""
    home, _, invite = await paper(f"followed-{point}", B)
    await network.supervisor.kill(RC_B)
    try:
        with (tmp_path / "child.log").open("wb") as output:
            words = ("run", network.home.folder, RC_B, point, network.supervisor.url)
            child = await start(*words, output=output)
        await said_running(tmp_path / "child.log")
        joining = asyncio.create_task(join(home, invite, within_s=60))
        assert await asyncio.wait_for(child.wait(), 30) == KILLED
    finally:
        await network.supervisor.resume(RC_B)
    key = await joining
    assert await one_identity(network, invite.temp_id) == key.name
    await works(network, home, key.name)


async def said_running(file):
    async def there():
        return b'"running"' in file.read_bytes()

    await eventually(there, 60)


async def test_one_of_two_validators_is_killed_while_many_join(network, paper):
    async with copied(network, RC_A) as (original, _):
        papers = [await paper(f"many-{n}") for n in range(12)]
        joining = [asyncio.create_task(join(h, i, within_s=60)) for h, _, i in papers]
        await asyncio.sleep(0.2)
        await original.kill()
        names = [(await one).name for one in joining]
        await original.start()
    assert len(set(names)) == len(papers)
    for (home, _, invite), name in zip(papers, names, strict=True):
        assert await one_identity(network, invite.temp_id) == name
        await works(network, home, name)


async def test_after_all_of_it_the_network_is_sound(network):
    await network.ended(await network.request(LC_B, "127.0.0.0/30"))
    await sound(network)
