"""A first command counts, however early it is given after `pdsno up`."""

import signal
import time

import pytest
from command import Ran, pdsno, start

LOG_UNREACHABLE, NO_LOG = 21, 24
PATIENCE_S = 60


@pytest.fixture
def starting(tmp_path):
    """Start everything; nobody waits for it to be ready."""
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    settings = home / "pdsno.toml"
    settings.write_text(settings.read_text().replace("nats_port = 4222", "nats_port = 0"))
    with (tmp_path / "up.err").open("w") as output:
        child = start(home, "up", output=output)
    yield home
    child.send_signal(signal.SIGTERM)
    Ran(child)


def test_a_request_before_the_region_knows_who_asks_waits_and_counts(starting):
    until = time.monotonic() + PATIENCE_S
    ran = pdsno(starting, "discover", "127.0.0.0/28", "--probe", "icmp", "-o", "json")
    while ran.code in {LOG_UNREACHABLE, NO_LOG} and time.monotonic() < until:  # no server yet
        ran = pdsno(starting, "discover", "127.0.0.0/28", "--probe", "icmp", "-o", "json")
    assert len(ran.json()) == 14, ran.err
    checked = pdsno(starting, "log", "check")
    assert checked.code == 0, checked.err
