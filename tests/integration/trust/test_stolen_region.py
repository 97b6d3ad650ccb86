"""T10: all that a thief of one region's keys and credentials can try against what is not his.

The thief has what stands in the home of region B's controller: its key, the region's key, its
credentials and both signing seeds of its delegation. Invitations are how it would climb.
"""

from datetime import timedelta

import pytest
from trust_network import (
    RC_B,
    B,
    asking,
    shared_network,
    verdict,
    written,
)

from pdsno.membership.invite import Invite, bootstrap_token
from streams.catalogue.join import JoinInvited
from streams.clock import utc_now
from streams.credential import credentials_text, new_user, user_jwt
from streams.event import fresh_id

pytestmark = pytest.mark.asyncio(loop_scope="module")
network = shared_network()


async def own_invitation(network, role, region, controller_id=None, *, rejoin=False):
    """Invite with nothing but the loot; give the position of the event, and the paper."""
    home, temp_id, ends = network.home, f"temp-{fresh_id()}", utc_now() + timedelta(hours=1)
    event = JoinInvited(
        temp_id=temp_id,
        role=role,
        region=region,
        controller_id=controller_id,
        rejoin=rejoin,
        expires_at=ends,
    )
    (seq,) = await written(network, RC_B, event)
    user = new_user()
    jwt = user_jwt(home.signing(f"join.{B}"), home.account(), user.public, temp_id, ends)
    token = bootstrap_token(home.region(B).key, temp_id, role, region, ends)
    return seq, Invite(
        temp_id=temp_id,
        role=role,
        region=region,
        controller_id=controller_id,
        rejoin=rejoin,
        expires_at=ends,
        invitation=token,
        invited_under="1.1",
        url=network.supervisor.url,
        credentials=credentials_text(jwt, user.seed),
        roots=home.pin().split(),
        regions=[],
    )


CLIMBS = {
    "another controller of the region": ("regional", B, None, "ROLE_NOT_ALLOWED"),
    "a person of the region": ("operator", B, None, "ROLE_NOT_ALLOWED"),
    "a person of the whole network": ("operator", "global", None, "ROLE_NOT_ALLOWED"),
    "a global controller": ("global", B, None, "ROLE_NOT_ALLOWED"),
    "a local one of another region": ("local", "zone-a", None, "SCOPE_NOT_ALLOWED"),
    "a local one with a person's id": ("local", B, "operator.global.1", "MALFORMED_DATA"),
}


@pytest.mark.parametrize("case", CLIMBS)
async def test_nobody_is_let_in_by_an_invitation_that_is_not_the_thiefs_to_give(network, case):
    role, region, wanted, reason = CLIMBS[case]
    seq, paper = await own_invitation(network, role, region, wanted)
    assert await verdict(network, B, seq) == reason
    async with asking(network, paper) as asker:
        for door in (role, "regional", "operator", "local"):
            asker.door = (B, door)
            reply = await asker.ask()
            elsewhere = door == "local" and region != B  # that door judges its own region's only
            refusal = "REGION_NOT_SERVED_BY_THIS_RC" if elsewhere else "INVALID_BOOTSTRAP_TOKEN"
            assert getattr(reply, "reason", reply) == refusal
    rows = await network.query(
        "SELECT count(*) AS n FROM event WHERE data->>'temp_id' = ? AND type = 'join.accepted'",
        [paper.temp_id],
    )
    assert rows[0]["n"] == 0


async def test_a_persons_identity_is_not_taken_over_by_a_rejoin(network):
    seq, paper = await own_invitation(network, "operator", B, "operator.global.1", rejoin=True)
    assert await verdict(network, B, seq) == "ROLE_NOT_ALLOWED"
    async with asking(network, paper) as asker:
        assert (await asker.ask()).reason == "INVALID_BOOTSTRAP_TOKEN"
