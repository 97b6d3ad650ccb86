"""What every controller sits on: its key, the log, and the NIB it follows."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from pdsno.home import Home
from projections.errors import NibLockedError
from projections.projector import Projector
from projections.store import Store
from streams.connection import Connection
from streams.envelope import Draft, Sealed, Signer
from streams.errors import LogUnreachableError, TopologyError
from streams.jetstream import JetStreamLog
from streams.keys import KeyFile, Keyring
from streams.log import BATCH_MAX
from streams.name import parse_controller, token

_log = structlog.get_logger()
_BATCH_BYTES = 4 * 1024 * 1024
_CATCH_UP_S = 3600.0
_COPIES_MAX = 9


@dataclass(slots=True)
class Seat:
    """One controller in one process."""

    home: Home
    controller_id: str
    connection: Connection
    log: JetStreamLog
    signer: Signer
    keyring: Keyring
    store: Store
    projector: Projector

    @property
    def scope(self) -> str:
        """The controller's own scope."""
        return parse_controller(self.controller_id).scope

    @property
    def token(self) -> str:
        """The controller's name as a token of a subject."""
        return token(self.controller_id)

    async def emit(
        self, drafts: Sequence[Draft], expect: Mapping[str, int] | None = None
    ) -> list[int]:
        """Seal and append, as one atomic batch."""
        return await self.log.append(self.signer.seal(list(drafts)), expect)

    def batches(self, drafts: Iterable[Draft]) -> Iterator[list[Sealed]]:
        """Seal in order, each batch as it is asked for, bounded in number and bytes."""
        batch: list[Sealed] = []
        size = 0
        for one in drafts:
            sealed = self.signer.seal([one])[0]
            if batch and (len(batch) >= BATCH_MAX or size + len(sealed.raw) > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(sealed)
            size += len(sealed.raw)
        if batch:
            yield batch

    async def follow(self, scopes: Mapping[str, Sequence[str]]) -> None:
        """Keep the NIB at the head of these scopes, waiting for streams that are not there yet."""
        await self.projector.follow(scopes, joined=self._joined)

    async def _joined(self, scope: str) -> None:
        told = False
        while True:
            try:
                await self.log.head(scope)
            except (TopologyError, LogUnreachableError) as error:
                if not told:
                    _log.info("waiting for the log", scope=scope, why=str(error))
                    told = True
                await asyncio.sleep(0.2)
            else:
                return

    async def caught_up(self, *scopes: str) -> None:
        """Wait until the NIB is where the log is now: decisions begin there, not in the past."""
        for scope in scopes:
            head = await self.log.head(scope)
            await self.projector.reached({scope: head}, within_s=_CATCH_UP_S)

    async def admitted(self) -> None:
        """Wait until the log says that this controller's events count."""
        told = False
        while not self.store.query(
            "SELECT 1 FROM controller WHERE scope = ? AND controller_id = ?",
            [self.scope, self.controller_id],
        ).rows:
            if not told:
                _log.info("waiting to be admitted by the global controller")
                told = True
            await asyncio.sleep(0.1)

    async def take(self, key: KeyFile) -> None:
        """Go on with these keys and the server credentials that came with them."""
        for one in self.home.keys_of(self.controller_id):
            self.keyring.hold(one)
        self.signer.take(key)
        await self.connection.renew()

    def close(self) -> None:
        """Release the NIB file."""
        self.projector.close()


async def take_seat(home: Home, controller_id: str, connection: Connection) -> Seat:
    """Open what a controller needs: the keys of its tier and no others, the log, a NIB."""
    key = home.controller(controller_id)
    keyring = home.keyring(controller_id)
    store = _store(home, controller_id)
    log = JetStreamLog(connection, ack_wait_s=home.settings.ack_wait_s)
    projector = Projector(store, keyring, log)
    return Seat(home, controller_id, connection, log, Signer(key), keyring, store, projector)


def _store(home: Home, controller_id: str) -> Store:
    """Open the controller's NIB; a copy that runs beside it in the same home has another."""
    for copy in range(1, _COPIES_MAX + 1):
        name = controller_id if copy == 1 else f"{controller_id}-copy-{copy}"
        try:
            return Store(home.nib(name), memory_limit=home.settings.nib_memory)
        except NibLockedError as error:
            if copy == _COPIES_MAX:
                raise
            _log.warning("another copy of this controller runs here", why=str(error))
    raise AssertionError("the loop returns or raises")
