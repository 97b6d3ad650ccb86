"""What an issuer holds, and hands to whom it lets in: keys, server credentials, the chain.

The global controller derives from the root and signs with any scoped key; a regional controller has
its region's key and the scoped keys of its delegation, and can hand out nothing else.
"""

from datetime import UTC, datetime

from pdsno.controllers import registry
from pdsno.controllers.delegations import renew_if_lost
from pdsno.controllers.seat import Seat
from pdsno.membership import bundle as bundles
from pdsno.membership import certificate, delegation, invite, message
from pdsno.membership.message import AskToJoin, Welcome
from streams.credential import user_jwt
from streams.errors import PdsnoError
from streams.keys import KeyFile, KeyId, controller_key, encode, region_file
from streams.name import GLOBAL, parse_controller, token
from streams.permission import signing_name


class Issuer:
    """The issuing half of a validator."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        role, scope, _ = parse_controller(seat.controller_id)
        self.serves = None if role == GLOBAL else scope

    def regions(self, asked: str) -> frozenset[str]:
        """List the regions there are, as far as this tier knows: a regional one knows its own."""
        if self.serves is not None:
            return frozenset({asked})
        return frozenset({*self._seat.home.settings.regions, GLOBAL})

    def epochs(self, scope: str) -> tuple[int, int]:
        """Tell the generation of the root and the epoch of the region's key that are in force."""
        home = self._seat.home
        if self.serves is not None:
            own = home.region(self.serves)
            return own.generation, own.region_epoch
        generation = home.root().generation
        return generation, registry.due_epoch(self._seat.store, scope, generation)

    def next_region_epoch(self, scope: str, key_id: str) -> int:
        """Tell under which key of the region a regional controller seals after its rotation.

        Who is behind gets the key that is in force; who is not, a new one.
        """
        generation, in_force = self.epochs(scope)
        if not key_id:
            return in_force
        own = KeyId.parse(key_id)
        behind = (own.generation, own.region_epoch) < (generation, in_force)
        return in_force if behind or own.generation != generation else in_force + 1

    def region(self, scope: str, generation: int, epoch: int) -> KeyFile | None:
        """Find a region's key by its epochs; None when nothing held leads to it."""
        home = self._seat.home
        if self.serves is None:
            roots = {one.generation: one for one in home.roots()}
            root = roots.get(generation)
            return region_file(root, scope, epoch) if root else None
        return next(
            (
                one
                for one in home.region_keys(scope)
                if (one.generation, one.region_epoch) == (generation, epoch)
            ),
            None,
        )

    def invitation_holds(self, scope: str, request: AskToJoin) -> bool:
        """Tell whether a bootstrap token was made with a key of this scope."""
        generation, _, epoch = request.invited_under.partition(".")
        if not (generation.isdecimal() and epoch.isdecimal()):
            return False
        key = self.region(scope, int(generation), int(epoch))
        return key is not None and invite.token_holds(
            key.key,
            request.invitation,
            request.temp_id,
            request.role,
            request.region,
            request.expires_at,
        )

    async def welcome(
        self, scope: str, controller_id: str, exchange_key: str, server_user: str
    ) -> Welcome:
        """Hand an identity to its owner: what the log says of it, and the secrets that go with it.

        The same identity is handed out again to whoever asks with the same keys: only the owner of
        the exchange key can open it.
        """
        seat = self._seat
        rows = seat.store.query(
            "SELECT key_id, valid_until, server_user FROM controller"
            " WHERE scope = ? AND controller_id = ?",
            [scope, controller_id],
        ).rows
        key_id, valid_until, user = rows[0]
        if user != server_user:
            raise PdsnoError(f"{controller_id} has other server credentials by now")
        bundle = self._bundle(controller_id, key_id, valid_until.replace(tzinfo=UTC), server_user)
        sealed = bundles.seal(bundle, exchange_key, controller_id)
        signed = message.sealed_bytes(controller_id, sealed)
        return Welcome(
            controller_id=controller_id,
            sealed=sealed,
            signature=message.sign(seat.signer.signing_key, signed),
            chain=await self._chain(scope, controller_id),
        )

    def _bundle(
        self, controller_id: str, key_id: str, ends: datetime, server_user: str
    ) -> bundles.Bundle:
        """Collect the secrets of an identity; a regional controller's include its delegation."""
        home, kid = self._seat.home, KeyId.parse(key_id)
        role, scope, _ = parse_controller(controller_id)
        region = self.region(scope, kid.generation, kid.region_epoch)
        if region is None:
            raise PdsnoError(f"no key here leads to {key_id}")
        account, signing = home.account(), home.signing(signing_name(role, scope))
        delegated = role == "regional"
        # before it is handed on: the warden's next look may be too late
        if delegated and not renew_if_lost(self._seat, scope):
            raise PdsnoError(f"the delegation of {scope} is just being replaced")
        names = delegation.names(scope) if delegated else []
        return bundles.Bundle(
            controller_id=controller_id,
            key_id=key_id,
            key=encode(controller_key(region.key, controller_id, kid.controller_epoch)),
            server_jwt=user_jwt(signing, account, server_user, token(controller_id), ends),
            valid_until=ends,
            account=account,
            region_key=encode(region.key) if delegated else "",
            region_keys_before=self._before(scope, kid) if delegated else {},
            signing={name: home.signing(name).seed for name in names},
        )

    def _before(self, scope: str, kid: KeyId) -> dict[str, str]:
        """Give a region's keys before this one: its log is read with them, and nothing sealed."""
        epochs = registry.epochs(self._seat.store, scope)
        earlier = sorted(one for one in epochs if one < (kid.generation, kid.region_epoch))
        found = {one: self.region(scope, *one) for one in earlier}
        return {f"{g}.{e}": encode(key.key) for (g, e), key in found.items() if key is not None}

    async def _chain(self, scope: str, controller_id: str) -> list[str]:
        """Read the records that a certificate rests on, in the order of the log.

        Those of its issuers belong to them: another than we may have let it in, or renewed it.
        What our reader refused is no part of it: anybody may have put that there.
        """
        issuers = registry.issuers(self._seat.store, scope, controller_id)
        names = dict.fromkeys(["root", *(token(one) for one in (*issuers, controller_id))])
        subjects = [f"controller.{name}" for name in names]
        counts = registry.links(self._seat.store, scope, [f"pdsno.{scope}.{s}" for s in subjects])
        found: list[str] = []
        async for batch in self._seat.log.read(scope, subjects=subjects):
            found += [certificate.write_record(one) for one in batch if one.seq in counts]
        return found
