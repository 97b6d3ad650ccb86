"""One process: a role, signals, an orderly end.

With cli/main.py the only place that catches PdsnoError.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from pdsno.controllers.archivist import Archivist
from pdsno.controllers.central import Central
from pdsno.controllers.edge import Edge
from pdsno.controllers.regional import Regional
from pdsno.controllers.seat import Seat, take_seat
from pdsno.errors import NotFoundError, SettingsError
from pdsno.home import GLOBAL_ID, Home
from pdsno.reaching import connect
from streams.connection import Connection, RefusedError
from streams.errors import PdsnoError
from streams.name import parse_controller

_log = structlog.get_logger()
NIB = "nib"


def configure_logging(name: str, *, verbose: bool = False) -> None:
    """Write one line per event on stderr: for people on a terminal, JSON elsewhere."""
    on_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=name)


async def run_role(home: Home, name: str, url: str) -> None:
    """Run `nib` or the controller with this id until SIGTERM or SIGINT."""
    connection = await _connect(home, url, name)
    try:
        if name == NIB:
            archivist = Archivist(home, connection)
            await _until_signal(archivist.run, archivist.close)
            return
        seat = await take_seat(home, name, connection)
        await _until_signal(_work(seat), seat.close)
    finally:
        await connection.close()


def _work(seat: Seat) -> Callable[[], Awaitable[None]]:
    """Find what a controller does; what it needs and lacks is said before it begins."""
    try:
        match parse_controller(seat.controller_id).role:
            case "global":
                return Central(seat).run
            case "regional":
                return Regional(seat).run
            case "local":
                return Edge(seat).run
            case "operator":
                raise NotFoundError(f"{seat.controller_id} is a person, not a controller")
    except PdsnoError:
        seat.close()
        raise


async def _connect(home: Home, url: str, name: str) -> Connection:
    """Connect, patiently: a server that is just starting is no reason to give up at once."""
    for attempt in range(10):
        try:
            return await connect(home, url, name)
        except PdsnoError as error:
            if attempt == 9 or isinstance(error, RefusedError):
                raise
            _log.info("waiting for NATS", url=url, why=str(error))
            await asyncio.sleep(0.5)
    raise AssertionError("the loop returns or raises")


async def _until_signal(work: Callable[[], Awaitable[None]], close: Callable[[], None]) -> None:
    """Run until a signal; then let the work end where it is safe, and close."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    task = asyncio.ensure_future(work())
    waiting = asyncio.create_task(stop.wait())
    _log.info("running", pid=os.getpid())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            _log.info("stopping")
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    except BaseExceptionGroup as group:
        error = _first(group)
        if error is None:
            raise
        raise error from group
    finally:
        waiting.cancel()
        await asyncio.to_thread(close)
        _log.info("stopped")


def _first(group: BaseExceptionGroup[BaseException]) -> PdsnoError | None:
    """Pick the first of our errors out of groups of groups; None when there is another in them."""
    ours, others = group.split(PdsnoError)
    if others is not None or ours is None:
        return None
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PdsnoError)
    return error


def controller_named(home: Home, role: str, region: str | None, controller_id: str | None) -> str:
    """Find the controller that `pdsno run ROLE` means; NotFoundError lists what there is."""
    if role == "global":
        return GLOBAL_ID
    if role == "nib":
        return NIB
    known = [one for one in home.members() if one.startswith(role + ".")]
    fitting = [
        one
        for one in known
        if (region is None or parse_controller(one).scope == region)
        and (controller_id is None or one == controller_id)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NotFoundError(
            f"no {role} controller fits; this home has {', '.join(known) or 'none'}",
            hint="it joins first: pdsno controller invite, then pdsno controller join",
        )
    raise SettingsError(
        f"which one: {', '.join(fitting)}?", hint="name it with --id, or its region with --region"
    )


def path_of(home: Home, name: str) -> Path:
    """Name the output file of a process that `pdsno up` runs."""
    return home.run / f"{name}.log"
