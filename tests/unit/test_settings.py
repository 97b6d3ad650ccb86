"""What the settings admit of servers and encryption; the rest is tried where it is used."""

import pytest

from pdsno.errors import SettingsError
from pdsno.settings import parse_settings

CA = {"ca": "ca.pem"}
GIVEN = CA | {"cert": "server.pem", "key": "server.key"}
FAR = {"nats_url": "nats://nats.example.org:4222"}
ADMITTED = {
    "nothing said": {},
    "listening on another loopback address": {"nats_listen": "127.0.0.2"},
    "a plain server on this machine": {"nats_url": "nats://localhost:4222"},
    "a plain server on this machine, in IPv6": {"nats_url": "nats://[::1]:4222"},
    "a CA of our own, for everybody": {"nats_listen": "0.0.0.0", "tls": {"own": True}},
    "given files, for everybody": {"nats_listen": "0.0.0.0", "tls": GIVEN},
    "a far server, verified": FAR | {"tls": CA},
    "a far server in plaintext, as wished": FAR | {"allow_plaintext": True},
    "listening in plaintext, as wished": {"nats_listen": "::", "allow_plaintext": True},
}
REFUSED = {
    "a far server in plaintext": (FAR, "goes beyond this machine"),
    "a far server without a scheme": ({"nats_url": "nats.example.org"}, "goes beyond this machine"),
    "a tls URL that nothing verifies": (
        {"nats_url": "tls://nats.example.org"},
        "goes beyond this machine",
    ),
    "listening for everybody in plaintext": ({"nats_listen": "0.0.0.0"}, "nats_listen 0.0.0.0"),
    "listening on an address in plaintext": ({"nats_listen": "192.0.2.1"}, "beyond this machine"),
    "our own and a given CA": ({"tls": {"own": True} | CA}, "own makes ca, cert and key"),
    "a certificate without its key": ({"tls": CA | {"cert": "a"}}, "go together"),
    "a certificate that nobody verifies": ({"tls": {"cert": "a", "key": "b"}}, "clients need ca"),
    "our own CA for a server of others": (FAR | {"tls": {"own": True}}, "give tls.ca alone"),
    "a CA for a server that shows nothing": ({"tls": CA}, "name it in nats_url"),
    "an address that is none": ({"nats_url": "nats://[::1"}, "nats_url"),
}


@pytest.mark.parametrize("case", ADMITTED)
def test_the_settings_admit(case):
    parse_settings(ADMITTED[case], "test")


@pytest.mark.parametrize("case", REFUSED)
def test_the_settings_refuse(case):
    text, why = REFUSED[case]
    with pytest.raises(SettingsError, match=why):
        parse_settings(text, "test")


def test_a_password_in_the_address_is_not_shown():
    with pytest.raises(SettingsError) as caught:
        parse_settings({"nats_url": "nats://me:secret@nats.example.org"}, "test")
    assert "secret" not in str(caught.value)
