"""Another root in the place of this one; everybody else takes keys of its generation afterwards.

In this order, so that whoever reads finds the keys before anything is sealed with them, and a crash
at any point is made good by giving the command again: the new root is written down; the log of
every scope says, under the old root, which root follows and which key the first operator has
from then on; the old keys are kept for reading; the new ones take their place.
"""

import dataclasses
import json
from datetime import datetime, timedelta

import orjson

from pdsno.home import FOUNDER, GLOBAL_ID, Home, Member, write_private
from pdsno.reaching import connect
from streams.catalogue.controller import ControllerRenewed, RootRotated
from streams.clock import utc_now
from streams.envelope import Signer, draft_after, take_apart
from streams.event import Event
from streams.jetstream import JetStreamLog
from streams.keys import (
    KeyFile,
    controller_file,
    new_root,
    read_key,
    region_file,
    replace_key,
    write_key,
)
from streams.log import Recorded
from streams.name import GLOBAL


async def rotate_root(home: Home, url: str) -> KeyFile:
    """Rotate the root of this home, and return the one that is in force then."""
    before = home.root()
    after = _next_root(home, before)
    operator = _next_operator(home, after)
    if before.generation < after.generation:
        await _say(home, url, after, operator)
    _settle(home, before, after, operator)
    return after


def _next_root(home: Home, before: KeyFile) -> KeyFile:
    """Take up the root that an earlier try made, or make it and write it down first."""
    file = home.keys / "pending" / "root.key"
    if file.exists():
        return read_key(file)
    after = new_root(before.generation + 1)
    write_key(file, after)
    return after


def _next_operator(home: Home, after: KeyFile) -> KeyFile:
    """Make the first operator's key under the new root; it signs with the key it has."""
    own = home.controller(FOUNDER)
    above = region_file(after, GLOBAL)
    return dataclasses.replace(controller_file(above, FOUNDER), signing_seed=own.signing_seed)


async def _say(home: Home, url: str, after: KeyFile, operator: KeyFile) -> None:
    """Say it in every scope, where it is not said yet."""
    at, signer = utc_now(), Signer(home.controller(GLOBAL_ID))
    connection = await connect(home, url, GLOBAL_ID)
    try:
        log = JetStreamLog(connection)
        for scope in (GLOBAL, *home.settings.regions):
            drafts = [
                draft_after(after.public_key(), event, scope)
                for event in _events(home, after, operator, at)
            ]
            sealed = signer.seal(drafts)
            last = {one.subject: await log.last(scope, one.subject) for one in sealed}
            if not _says(last[sealed[0].subject], after.generation):
                expect = {subject: one.seq if one else 0 for subject, one in last.items()}
                await log.append(sealed, expect)
    finally:
        await connection.close()


def _events(home: Home, after: KeyFile, operator: KeyFile, at: datetime) -> list[Event]:
    settings = home.settings.membership
    until = at + timedelta(seconds=settings.overlap_s)
    return [
        RootRotated(
            generation=after.generation, public_key=after.public_key(), previous_until=until
        ),
        ControllerRenewed(
            controller_id=FOUNDER,
            public_key=operator.public_key(),
            key_id=str(operator.key_id),
            server_user=home.server_user(FOUNDER),
            valid_until=at + timedelta(days=settings.certificate_days),
            previous_until=until,
            why="rotation",
        ),
    ]


def _says(last: Recorded | None, generation: int) -> bool:
    """Tell whether the last word on the root in a scope is this one."""
    if last is None:
        return False
    found = orjson.loads(take_apart(last.raw).body)
    return bool(found["data"].get("generation") == generation)


def _settle(home: Home, before: KeyFile, after: KeyFile, operator: KeyFile) -> None:
    """Put the new keys in the place of the old, which are kept for reading."""
    keys, retired = home.keys, home.keys / "retired"
    pins = home.pin().split()
    if after.public_key() not in pins:
        write_private(keys / "root.pub", "".join(f"{one}\n" for one in [*pins, after.public_key()]))
    if before.generation < after.generation:
        replace_key(retired / f"root#{before.generation}.key", before)
        replace_key(keys / "root.key", after)
    for name, key in ((FOUNDER, operator), (GLOBAL_ID, _global_key(after))):
        own = home.controller(name)
        if own.generation < after.generation:
            replace_key(retired / f"{own.key_id}.key", own)
            replace_key(keys / f"{name}.key", key)
    founder = Member(
        controller_id=FOUNDER,
        role="operator",
        public_key=operator.public_key(),
        key_id=str(operator.key_id),
    )
    roster = json.dumps([founder.model_dump()], indent=1) + "\n"
    write_private(home.folder / "roster.json", roster)
    (keys / "pending" / "root.key").unlink()


def _global_key(root: KeyFile) -> KeyFile:
    """Make the global controller's own key: it signs with the root's."""
    own = controller_file(region_file(root, GLOBAL), GLOBAL_ID)
    return dataclasses.replace(own, signing_seed=root.signing_seed)
