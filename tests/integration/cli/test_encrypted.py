"""A whole network over TLS, listening beyond loopback: every process and every command verifies."""

import json
import signal
from datetime import timedelta

import pytest
from command import Ran, eventually, pdsno, start

from pdsno.home import Home
from streams.clock import utc_now
from streams.tls import OwnAuthority

TLS = 'nats_listen = "0.0.0.0"\nnats_host = "localhost"\n'


def settings_of(home, before="", after=""):
    file = home / "pdsno.toml"
    text = file.read_text().replace("nats_port = 4222", f"nats_port = 0\n{before}")
    file.write_text(text + after)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    home = tmp_path_factory.mktemp("encrypted") / "home"
    assert pdsno(home, "init").code == 0
    settings_of(home, TLS, "\n[tls]\nown = true\n")
    said = home.parent / "up.err"
    with said.open("w") as output:
        child = start(home, "up", output=output)
    eventually(lambda: "\nnext, in another shell" in said.read_text(), 90)
    yield home
    child.send_signal(signal.SIGTERM)
    Ran(child)


def test_every_process_and_command_speaks_tls(up):
    assert (up / "run" / "nats.url").read_text().startswith("tls://localhost:")
    listed = pdsno(up, "controller", "list", "-o", "json")
    assert {one["controller_id"] for one in listed.json()} >= {
        "global.global.1",
        "regional.zone-a.1",
        "local.zone-a.1",
    }
    assert "eof_received" not in listed.err
    doctor = pdsno(up, "doctor", "-o", "json")
    assert doctor.code == 0, doctor.out
    found = [one["detail"] for one in doctor.json() if one["check"] == "tls"]
    assert [one.partition(":")[0] for one in found] == ["ca", "server"]


def test_a_newcomer_takes_the_ca_with_its_invitation(up, tmp_path):
    paper, elsewhere = tmp_path / "person.invite", tmp_path / "elsewhere"
    words = ["--role", "operator", "--region", "zone-a", "--out", paper]
    assert pdsno(up, "controller", "invite", *words).code == 0
    joined = pdsno(elsewhere, "controller", "join", paper)
    assert joined.code == 0, joined.err
    home = Home(elsewhere)
    assert home.ca.read_text() == Home(up).ca_text()
    assert home.settings.nats_url.startswith("tls://localhost:")
    assert pdsno(elsewhere, "log", "stats").code == 0


def test_a_home_with_another_ca_is_told_so(up, tmp_path):
    home, other = tmp_path / "home", OwnAuthority(tmp_path / "other")
    assert pdsno(home, "init").code == 0
    other.prepare()
    url = (up / "run" / "nats.url").read_text().strip()
    text = (home / "pdsno.toml").read_text().replace('nats_url = ""', f'nats_url = "{url}"')
    (home / "pdsno.toml").write_text(f'{text}\n[tls]\nca = "{other.ca}"\n')
    pdsno(home, "device", "list").refused(21, "certificate verify failed", "[tls]")


def test_a_home_without_tls_is_told_so(up, tmp_path):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    url = (up / "run" / "nats.url").read_text().strip()
    pdsno(home, "device", "list", env={"PDSNO_NATS_URL": url}).refused(
        21, "the server asks for TLS", "[tls]"
    )


def test_plaintext_beyond_this_machine_is_refused(tmp_path):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    far = {"PDSNO_NATS_URL": "nats://192.0.2.1:4222"}
    pdsno(home, "device", "list", env=far).refused(5, "without encryption", "docs/settings.md")
    settings_of(home, 'nats_listen = "0.0.0.0"')
    pdsno(home, "up").refused(5, "without encryption", "docs/settings.md")


def test_the_doctor_says_which_certificate_is_about_to_end(tmp_path):
    home = tmp_path / "home"
    assert pdsno(home, "init").code == 0
    settings_of(home, "", "\n[tls]\nown = true\n")
    for age, state in ((80, "warning"), (91, "wrong"), (3500, "warning")):
        folder = home / "tls"
        for file in folder.glob("*"):
            file.unlink()
        OwnAuthority(folder).prepare(utc_now() - timedelta(days=age))
        if age > 365:
            OwnAuthority(folder, ("127.0.0.1",)).prepare()
        ran = pdsno(home, "doctor", "-o", "json")
        rows = [one for one in json.loads(ran.out) if one["check"] == "tls"]
        assert state in {one["state"] for one in rows}, rows
