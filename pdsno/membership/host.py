"""The host: writes an invitation, in the log and on paper.

Needs a region's key (or the root) and the scoped key that newcomers are signed with: the homes of
the global controller and of the region's own have both.
"""

from dataclasses import dataclass
from datetime import timedelta

from pdsno.errors import InviteError
from pdsno.home import Home
from pdsno.membership.delegation import due_epoch
from pdsno.membership.invite import Invite, bootstrap_token, new_temp_id
from projections.nib import Nib
from streams.catalogue.join import JoinInvited
from streams.clock import utc_now
from streams.credential import credentials_text, new_user, user_jwt
from streams.envelope import Signer, draft
from streams.errors import KeyFileError
from streams.keys import KeyFile, region_file
from streams.log import Log
from streams.name import GLOBAL, Role, ScopeName, parse_controller
from streams.permission import NEWCOMER, signing_name


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to invite."""

    role: Role
    region: str
    controller_id: str | None = None  # the id it shall get; None: the next free one
    rejoin: bool = False
    valid_for: timedelta = timedelta(hours=24)
    invited_by: str = ""


def region_key(home: Home, region: str, epoch: int) -> KeyFile:
    """Find the key that invitations of a region are made with; InviteError when it is not here."""
    if home.holds_root():
        return region_file(home.root(), region, epoch)
    try:
        return home.region(region)
    except KeyFileError as error:
        raise InviteError(
            f"this home cannot invite into {region}: it holds neither the root nor that region's"
            " key",
            hint="invite where the global controller or the region's own has its home",
        ) from error


async def region_epoch(nib: Nib, region: ScopeName, generation: int) -> int:
    """Ask the NIB under which epoch of a region's key its controllers shall be."""
    rows = await nib.query(
        "SELECT key_id, revoked_at IS NOT NULL FROM controller"
        " WHERE scope = ? AND role = 'regional'",
        [region],
    )
    return due_epoch([(row[0], row[1]) for row in rows.rows], generation)


async def invite(home: Home, log: Log, wish: Wish, url: str, *, region_epoch: int = 1) -> Invite:
    """Invite one newcomer; what is not said here, the validator judges when it comes."""
    if wish.controller_id is not None:
        name = parse_controller(wish.controller_id)
        if (name.role, name.scope) != (wish.role, wish.region):
            raise InviteError(
                f"{wish.controller_id} is not a {wish.role} controller of {wish.region}",
                hint=f"its id begins with {wish.role}.{wish.region}.",
            )
    if wish.role != "operator" and wish.region == GLOBAL:
        raise InviteError(f"a {wish.role} controller belongs to a region", hint="name it: --region")
    key = region_key(home, wish.region, region_epoch)
    temp_id, expires_at = new_temp_id(), utc_now() + wish.valid_for
    user, joins = new_user(), home.signing(signing_name(NEWCOMER, wish.region))
    jwt = user_jwt(joins, home.account(), user.public, temp_id, expires_at)
    event = JoinInvited(
        temp_id=temp_id,
        role=wish.role,
        region=wish.region,
        controller_id=wish.controller_id,
        rejoin=wish.rejoin,
        expires_at=expires_at,
        invited_by=wish.invited_by,
    )
    signer = Signer(home.operator(wish.region))
    sealed = signer.seal([draft(event, wish.region)])
    await log.append(sealed, {sealed[0].subject: 0})
    return Invite(
        temp_id=temp_id,
        role=wish.role,
        region=wish.region,
        controller_id=wish.controller_id,
        rejoin=wish.rejoin,
        expires_at=expires_at,
        invitation=bootstrap_token(key.key, temp_id, wish.role, wish.region, expires_at),
        invited_under=f"{key.generation}.{key.region_epoch}",
        url=url,
        credentials=credentials_text(jwt, user.seed),
        roots=home.pin().split(),
        regions=list(home.settings.regions),
        ca=home.ca_text(),
    )
