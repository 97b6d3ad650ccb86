"""What a region's controller delegates with, and its replacement once somebody else may have it.

A regional controller holds its region's key and the scoped signing keys of its local controllers
and newcomers. Who revokes it, or has it rejoin with new keys, must suppose that a thief has them
too: so the region's key gets a new epoch, and these signing keys are made anew. Those before go on
beside them, in creds/signing/before/, until the honest ones have moved, and then no more.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pdsno.home import Home, write_private
from pdsno.membership.identity import alone
from streams.clock import from_wire, to_wire
from streams.credential import new_seed
from streams.errors import KeyFileError
from streams.keys import KeyId
from streams.permission import NEWCOMER, signing_name

ROLES = ("local", NEWCOMER)  # whose users a regional controller signs


@dataclass(frozen=True, slots=True)
class Replaced:
    """For whose sake a region's signing keys were made anew, and when; empty: never."""

    losses: frozenset[str] = frozenset()
    at: datetime | None = None


def names(region: str) -> list[str]:
    """Name the scoped signing keys of a region's delegation."""
    return [signing_name(role, region) for role in ROLES]


def due_epoch(regional: Iterable[tuple[str, bool]], generation: int) -> int:
    """Say under which epoch of a region's key its controllers shall be.

    `regional` gives the key id of each that there ever was, and whether it was revoked. It is the
    highest that anybody was given, and one more where that one was revoked.
    """
    keys = [(KeyId.parse(key_id), revoked) for key_id, revoked in regional]
    found = [k.region_epoch + revoked for k, revoked in keys if k.generation == generation]
    return max([1, *found])


def replaced(home: Home, region: str) -> Replaced:
    """Read for whose sake a region's signing keys were made anew."""
    try:
        text = json.loads(_file(home, region).read_text())
        return Replaced(frozenset(text["losses"]), from_wire(text["at"]))
    except FileNotFoundError:
        return Replaced()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyFileError(
            f"{_file(home, region)} is damaged", hint="remove it: the keys are made once more"
        ) from error


def replace(home: Home, region: str, losses: Iterable[str], at: datetime) -> bool:
    """Make a region's signing keys anew, unless that was done for all of these losses.

    Those before are kept first, so a crash at any point loses none that somebody honest lives by;
    what is done is said when it is done, so a crash before has it done again.
    """
    with alone(home, f"delegation-{region}") as ours:
        known = replaced(home, region).losses
        begun = _file(home, region).with_suffix(".replacing")
        if not ours or known >= set(losses):
            if ours:
                begun.unlink(missing_ok=True)
            return False
        if not begun.exists():
            for name in names(region):
                write_private(_before(home, name), home.signing(name).seed + "\n")
            write_private(begun, to_wire(at) + "\n")
        for name in names(region):
            seed = new_seed("account").seed
            write_private(home.folder / "creds" / "signing" / f"{name}.nk", seed + "\n")
        text = {"losses": sorted({*known, *losses}), "at": to_wire(at)}
        write_private(_file(home, region), json.dumps(text) + "\n")
        begun.unlink()
    return True


def before(home: Home) -> dict[str, str]:
    """Give the public keys that still hold beside those that replaced them, by name."""
    folder = home.folder / "creds" / "signing"
    found = sorted(file.stem for file in (folder / "before").glob("*.nk"))
    return {name: home.signing(f"before/{name}").public for name in found}


def retire(home: Home, region: str) -> None:
    """Let the keys before hold no more."""
    for name in names(region):
        _before(home, name).unlink(missing_ok=True)


def _file(home: Home, region: str) -> Path:
    return home.folder / "creds" / "signing" / f"{region}.replaced"


def _before(home: Home, name: str) -> Path:
    return home.folder / "creds" / "signing" / "before" / f"{name}.nk"
