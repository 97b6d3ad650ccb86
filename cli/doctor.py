"""pdsno doctor: look at everything that may be wrong, and say what to do."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import typer

from cli import machine, option
from cli.context import given
from cli.encryption import encryption
from cli.machine import Finding
from cli.option import Listing
from cli.reach import reach
from cli.render import Column, Format
from pdsno.errors import DoctorError
from pdsno.home import Home
from pdsno.reaching import connect_as_operator, nats_url
from projections.nib import RemoteNib
from streams import topology
from streams.clock import utc_now
from streams.connection import Connection
from streams.errors import PdsnoError
from streams.name import GLOBAL
from streams.recent import AHEAD

_COLUMNS = (
    Column("state", kind="status"),
    Column("check"),
    Column("detail"),
    Column("advice", "what to do"),
)
_CLOCK_WARNING = timedelta(seconds=0.5)
_LAG_WARNING = 1000
_CONNECT_S = 2.0


def doctor(context: typer.Context, form: option.Form = Format.TABLE) -> None:
    """Look at the machine, the home, the server, the NIB and the controllers.

    Works without a home and without a server. Ends with exit code 13 when something is wrong.

    Example: pdsno doctor
    """
    folder = given(context).folder
    findings = [*machine.installation(), *machine.probing(), machine.disk(folder)]
    home, more = machine.home(folder)
    findings += more
    if home is not None:
        findings += [*encryption(home), *reach(home)]
        findings += asyncio.run(_server(home))
    Listing(form).write([dataclasses.asdict(one) for one in findings], _COLUMNS)
    wrong = [one for one in findings if one.state == "wrong"]
    if wrong:
        names = ", ".join(dict.fromkeys(one.check for one in wrong))
        raise DoctorError(f"wrong: {names}", hint=wrong[0].advice)


async def _server(home: Home) -> list[Finding]:
    findings = list(_up(home))
    try:
        connection = await connect_as_operator(home, nats_url(home), within_s=_CONNECT_S)
    except PdsnoError as error:
        return [*findings, Finding("nats", "wrong", str(error), "pdsno up starts a server")]
    try:
        findings.append(Finding("nats", "ok", connection.url))
        findings += [one async for one in _streams(connection, home)]
        findings += [one async for one in _nib(connection)]
    except PdsnoError as error:
        findings.append(Finding("nats", "wrong", str(error), error.hint))
    finally:
        await connection.close()
    return findings


def _up(home: Home) -> list[Finding]:
    """Look whether what `pdsno up` left behind still runs."""
    try:
        pid = int((home.run / "up.pid").read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError):
        return []
    except ProcessLookupError:
        return [
            Finding(
                "up",
                "warning",
                f"process {pid} of pdsno up is gone and did not clean up",
                "start it again: pdsno up",
            )
        ]
    except OSError:
        pass
    return [Finding("up", "ok", f"pdsno up runs as process {pid}")]


async def _streams(connection: Connection, home: Home) -> AsyncIterator[Finding]:
    """Look whether the streams are what the log needs, and at the server's clock."""
    clock: timedelta | None = None
    for scope in (GLOBAL, *home.settings.regions):
        name = topology.stream_name(scope)
        before = utc_now()
        answer = await connection.api(f"STREAM.INFO.{name}")
        after = utc_now()
        if "error" in answer:
            yield Finding(
                "log",
                "wrong",
                f"{scope}: {answer['error'].get('description')} ({name})",
                "pdsno up, or pdsno run global, creates it",
            )
            continue
        different = topology.differences(topology.log_stream(scope), answer["config"])
        state = answer["state"]
        if different:
            yield Finding(
                "log",
                "wrong",
                f"{name}: {'; '.join(different)}",
                "give PDSNO a server of its own, or have the stream changed there",
            )
        else:
            yield Finding(
                "log", "ok", f"{scope}: {state['messages']:,} events, {state['bytes']:,} bytes"
            )
        if "ts" in answer and clock is None:
            clock = _time(answer["ts"]) - (before + (after - before) / 2)
    if clock is not None:
        yield _clock(clock)


def _time(text: str) -> datetime:
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}").replace(tzinfo=UTC)


def _clock(ahead: timedelta) -> Finding:
    seconds = ahead.total_seconds()
    where = "ahead of" if seconds > 0 else "behind"
    detail = f"the server is {abs(seconds):.3f} s {where} this machine"
    if abs(ahead) > AHEAD:
        return Finding(
            "clock",
            "wrong",
            detail,
            "set the clocks (chrony, ntpd): events from the future or the past do not count",
        )
    if abs(ahead) > _CLOCK_WARNING:
        return Finding("clock", "warning", detail, "set the clocks (chrony, ntpd)")
    return Finding("clock", "ok", detail)


async def _nib(connection: Connection) -> AsyncIterator[Finding]:
    """Look how far the NIB is, and who is not heard."""
    nib = RemoteNib(connection)
    try:
        for one in await nib.status():
            lag = one["head"] - one["seq"]
            told = f"{one['scope']}: at {one['seq']:,} of {one['head']:,}"
            if one["quarantined"] or one["unverifiable"]:
                yield Finding(
                    "nib",
                    "warning",
                    f"{told}; {one['quarantined']:,} events do not count,"
                    f" {one['unverifiable']:,} cannot be verified",
                    "pdsno log check",
                )
            elif lag > _LAG_WARNING:
                yield Finding(
                    "nib",
                    "warning",
                    f"{told}, {lag:,} behind",
                    "it catches up; ask again, and see run/nib.log if it does not move",
                )
            else:
                yield Finding("nib", "ok", told)
        rows = (
            await nib.query(
                "SELECT controller_id, status, changed_at FROM controller WHERE role != 'operator'"
                " ORDER BY controller_id"
            )
        ).rows
    except PdsnoError as error:
        yield Finding("nib", "wrong", str(error), error.hint)
        return
    silent = [row for row in rows if row[1] == "silent"]
    for controller_id, _, since in silent:
        yield Finding(
            "controller",
            "wrong",
            f"{controller_id} is silent since {since}",
            f"is it running? its output is in run/{controller_id}.log",
        )
    if rows and not silent:
        yield Finding("controller", "ok", f"{len(rows)} are heard")
