"""The command on a machine whose clock is off: `off_clock.py SECONDS WORDS OF THE COMMAND`."""

import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import streams.clock

honest, off = streams.clock.utc_now, timedelta(seconds=float(sys.argv[1]))
streams.clock.utc_now = lambda: honest() + off  # before anybody else takes it from there

from cli.main import main  # noqa: E402  # the clock comes first

sys.argv[1:] = sys.argv[2:]
main()
