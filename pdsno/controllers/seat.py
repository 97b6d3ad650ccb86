"""What every controller sits on: its key, the log, and the NIB it follows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from pdsno.home import Home
from projections.projector import Projector
from projections.store import Store
from streams.clock import utc_now
from streams.connection import Connection
from streams.envelope import Draft, Signer
from streams.errors import TopologyError
from streams.jetstream import JetStreamLog
from streams.keys import KeyFile, Keyring
from streams.log import BATCH_MAX
from streams.name import parse_controller, token

_log = structlog.get_logger()
BATCH = BATCH_MAX // 2
_BATCH_BYTES = 4 * 1024 * 1024


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
    started_at: datetime = field(default_factory=utc_now)

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

    async def emit_many(self, drafts: Sequence[Draft]) -> None:
        """Seal and append any number of events in order, in batches bounded in number and bytes."""
        batch, size = [], 0
        for one in drafts:
            sealed = self.signer.seal([one])[0]
            if batch and (len(batch) >= BATCH or size + len(sealed.raw) > _BATCH_BYTES):
                await self.log.append(batch)
                batch, size = [], 0
            batch.append(sealed)
            size += len(sealed.raw)
        await self.log.append(batch)

    async def follow(self, scopes: Mapping[str, Sequence[str]]) -> None:
        """Keep the NIB at the head of these scopes, waiting for streams that are not there yet."""

        async def joined(scope: str) -> None:
            told = False
            while True:
                try:
                    await self.log.head(scope)
                except TopologyError:
                    if not told:
                        _log.info("waiting for the log", scope=scope)
                        told = True
                    await asyncio.sleep(0.2)
                else:
                    return

        await self.projector.follow(scopes, joined=joined)

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

    def close(self) -> None:
        """Release the NIB file."""
        self.projector.close()


async def take_seat(
    home: Home,
    controller_id: str,
    held: Sequence[KeyFile],
    connection: Connection,
    *,
    nib: str = "",
) -> Seat:
    """Open what a controller needs."""
    key = home.controller(controller_id)
    keyring = home.keyring(*held, key)
    store = Store(home.nib(nib or controller_id), memory_limit=home.settings.nib_memory)
    log = JetStreamLog(connection)
    projector = Projector(store, keyring, log)
    return Seat(home, controller_id, connection, log, Signer(key), keyring, store, projector)
