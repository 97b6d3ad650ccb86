"""The command, run from the outside as a person would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).resolve().parents[3]
PDSNO = (sys.executable, "-m", "cli.main")


def start(home, *args, output=subprocess.PIPE, **more):
    whole = os.environ  # noqa: TID251  # passed on to a child
    environment = {k: v for k, v in whole.items() if not k.startswith(("PDSNO_", "COLUMNS"))}
    environment |= {"PDSNO_HOME": str(home), "PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.Popen(
        [*PDSNO, *map(str, args)],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        **more,
    )


class Ran:
    """What a command left behind."""

    def __init__(self, child, within_s=60):
        try:
            self.out, self.err = child.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            self.out, self.err = child.communicate()
            raise AssertionError(
                f"{child.args} took longer than {within_s} s: {self.err}"
            ) from None
        self.out, self.err = self.out or "", self.err or ""
        self.code = child.returncode
        assert "Traceback" not in self.err, self.err

    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, code, *says):
        """Tell that it failed as it should: this code, these words, nothing on stdout."""
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        for word in says:
            assert word in self.err, self.err
        return self


def pdsno(home, *args, **more):
    return Ran(start(home, *args, **more))


def inside(home, *args):
    """Run a command in this process: for the many that only differ in where they read."""
    result = CliRunner().invoke(app, ["--home", str(home), *map(str, args)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def both(home, first, second):
    """Run two commands side by side: they have two cores to themselves."""
    children = [start(home, *first), start(home, *second)]
    return [Ran(child) for child in children]


def eventually(condition, within_s=30):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)  # noqa: TID251  # between two looks
    raise AssertionError(f"not within {within_s} s")
