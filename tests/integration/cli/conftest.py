import json
import signal
import socket
import subprocess
import sys

import pytest
from command import ROOT, Ran, eventually, pdsno, start

AGENTS = 6


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """Run some of the demo's agents on a port that nobody else has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.10.1.1", 0))
        port = one.getsockname()[1]
    inventory = json.loads(
        subprocess.run(
            [sys.executable, "-m", "cli.demo.inventory", "now"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    inventory["agents"] = [one | {"port": port} for one in inventory["agents"][:AGENTS]]
    file = tmp_path_factory.mktemp("agents") / "net.json"
    file.write_text(json.dumps(inventory))
    child = subprocess.Popen(
        [sys.executable, "-m", "cli.demo.agents", str(file)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout.readline().startswith("ready")
    yield port, inventory["agents"]
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)


@pytest.fixture(scope="module")
def up(agents, tmp_path_factory):
    """Run everything, in a home of its own, and sweep twice: by ICMP alone, then by all probes."""
    home = tmp_path_factory.mktemp("live") / "home"
    assert pdsno(home, "init").code == 0
    settings = home / "pdsno.toml"
    port = f"[audit]\nseal_s = 3600\n\n[sweep]\nsnmp_port = {agents[0]}\ndeadline_s = 0.5"
    settings.write_text(settings.read_text().replace("[sweep]", port))
    said = home.parent / "up.err"
    with said.open("w") as output:
        child = start(home, "up", "--port", "0", output=output)
    eventually(lambda: "\nnext, in another shell" in said.read_text(), 60)
    yield home, child
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        Ran(child)


@pytest.fixture(scope="module")
def live(up):
    home, _ = up
    first = pdsno(home, "discover", "127.10.1.1/32", "--probe", "icmp", "-o", "json")
    assert [one["device_id"] for one in first.json()] == ["address-127-10-1-1"], first.err
    second = pdsno(home, "discover", "127.10.1.0/28", "-o", "json", "--rate", "5000")
    assert len(second.json()) == 14, second.err
    return home


@pytest.fixture(scope="module")
def exported(live):
    file = live.parent / "all.export"
    ran = pdsno(live, "log", "export", file)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    return file
