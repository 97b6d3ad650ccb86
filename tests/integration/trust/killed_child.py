"""A process that does one thing and is killed before its N-th effect, by SIGKILL, by itself.

An effect is what the kernel does for it in its home: a file opened to be written, renamed, removed;
and each question to a validator and each append, once before it is sent and once after its answer.
With N = -1 it lives, and prints how many effects there were.

    killed_child.py join HOME INVITE N      killed_child.py renew HOME CONTROLLER N
    killed_child.py rotate HOME URL N       killed_child.py run HOME CONTROLLER N URL
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from pdsno.controllers.runtime import configure_logging, run_role
from pdsno.controllers.seat import Seat
from pdsno.controllers.tenure import renew
from pdsno.controllers.validator import Validator
from pdsno.home import Home
from pdsno.membership.invite import read_invite
from pdsno.membership.newcomer import join
from pdsno.membership.succession import rotate_root
from pdsno.reaching import connect, nats_url
from streams.connection import Connection
from streams.jetstream import JetStreamLog

WHAT, HOME, ABOUT, LAST = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
count = 0


def effect():
    global count  # noqa: PLW0603  # one process, one count
    if count == LAST:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1


def watch_files(event, arguments):
    match event:
        case "open" if isinstance(arguments[2], int) and arguments[2] & WRITING:
            path = arguments[0]
        case "os.rename" | "os.remove":
            path = arguments[0]
        case _:
            return
    if str(path).startswith(HOME):
        effect()


def around(owner, name, concerns=lambda *_: True):
    """Count a method's start and end."""
    whole = getattr(owner, name)

    async def counted(self, *arguments, **more):
        if not concerns(*arguments):
            return await whole(self, *arguments, **more)
        effect()
        found = await whole(self, *arguments, **more)
        effect()
        return found

    setattr(owner, name, counted)


async def main():
    home = Home(Path(HOME))
    match WHAT:
        case "join":
            paper = read_invite(Path(ABOUT))
            if sys.stdin.readline():  # who starts several says when
                print((await join(home, paper)).name)
        case "renew":
            connection = await connect(home, nats_url(home), ABOUT)
            print((await renew(home, connection, ABOUT, keys=True)).key_id)
            await connection.close()
        case "rotate":
            await rotate_root(home, ABOUT)
        case "run":
            await run_role(home, ABOUT, sys.argv[5])
    print(f"effects {count}")


if WHAT == "run":  # what a validator does for a newcomer, and nothing else of its work
    configure_logging(ABOUT)
    around(Seat, "emit", lambda drafts, *_: drafts[0].event.declared.name.startswith("join."))
    around(Validator, "_answer")
else:
    sys.addaudithook(watch_files)
    around(Connection, "request", lambda subject, *_: subject.startswith("pdsno-"))
    around(JetStreamLog, "append")
asyncio.run(main())
