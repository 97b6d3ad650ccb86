"""An executor to be killed: `executor_child.py <home> <url> <controller> <moment> <nth>`.

`moment` is where it kills itself, at the n-th time: `said:execution.applying` right after that is
in the log, `apply:after` right after the driver did its part, `never` leaves it to others.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from governed_region import follow_and_execute  # noqa: E402  # the path comes first

from pdsno.controllers import journal  # noqa: E402
from pdsno.controllers.runtime import configure_logging  # noqa: E402
from pdsno.controllers.seat import take_seat  # noqa: E402
from pdsno.execution.drivers.netconf import driver as netconf  # noqa: E402
from pdsno.execution.drivers.snmp import driver as snmp  # noqa: E402
from pdsno.execution.drivers.ssh import driver as ssh  # noqa: E402
from pdsno.home import Home  # noqa: E402
from streams.connection import Connection  # noqa: E402


class Moment:
    """Ends this process when it has come so many times."""

    def __init__(self, name, nth):
        self.name, self.left = name, nth

    def comes(self, name):
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(moment):
    """Tell the moment of every word that is said, and every call that changes a device."""
    evolve = journal.evolve

    def told(state, event, seq):
        moment.comes(f"said:{event.declared.name}")
        return evolve(state, event, seq)

    journal.evolve = told
    for device in (snmp.Agent, netconf.NetconfDevice, ssh.CommandLine):
        for name in ("apply", "confirm", "revert", "read"):
            setattr(device, name, _mortal(getattr(device, name), name, moment))


def _mortal(method, name, moment):
    async def call(*given, **named):
        found = await method(*given, **named)
        moment.comes(f"{name}:after")
        return found

    return call


async def main(home, url, controller_id, moment, nth):
    configure_logging(controller_id)
    arm(Moment(moment, nth))
    connection = await Connection.open(url, name=controller_id)
    seat = await take_seat(Home(Path(home)), controller_id, connection)
    print("open", flush=True)
    await follow_and_execute(seat)


asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
