import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from streams.errors import KeyFileError
from streams.tls import OwnAuthority, ServerTls, client_context, is_loopback, read_certificate

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path):
    made = OwnAuthority(tmp_path / "tls", ("nats.example.org", "192.0.2.7"))
    made.prepare(NOW)
    return made


def state(authority):
    return {file.name: file.read_bytes() for file in authority.folder.iterdir()}


def test_what_is_made_is_a_ca_and_a_server_for_the_names(authority):
    cert = read_certificate(authority.server().cert)
    cert.verify_directly_issued_by(read_certificate(authority.ca))
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "nats.example.org"]
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "192.0.2.7"]
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_every_file_is_private(authority):
    assert authority.folder.stat().st_mode & 0o077 == 0
    for file in authority.folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_preparing_again_changes_nothing(authority):
    before = state(authority)
    authority.prepare(NOW + 59 * DAY)
    assert state(authority) == before


def test_the_servers_certificate_is_renewed_before_its_end_and_the_ca_stays(authority):
    before = state(authority)
    authority.prepare(NOW + 61 * DAY)
    after = state(authority)
    assert after["ca.pem"] == before["ca.pem"]
    assert after["ca.key"] == before["ca.key"]
    assert after["server.pem"] != before["server.pem"]
    ends = read_certificate(authority.server().cert).not_valid_after_utc
    assert ends == NOW + 61 * DAY + 90 * DAY


def test_another_name_makes_another_certificate(authority):
    before = state(authority)
    OwnAuthority(authority.folder, ("other.example.org",)).prepare(NOW)
    assert state(authority)["ca.pem"] == before["ca.pem"]
    assert state(authority)["server.pem"] != before["server.pem"]


@pytest.mark.parametrize("file", ["server.pem", "server.key"])
@pytest.mark.parametrize("harm", ["missing", "cut", "of another"])
def test_a_spoiled_server_file_is_made_anew(authority, tmp_path, file, harm):
    spoiled = authority.folder / file
    other = OwnAuthority(tmp_path / "other")
    other.prepare(NOW)
    match harm:
        case "missing":
            spoiled.unlink()
        case "cut":
            spoiled.write_bytes(spoiled.read_bytes()[:90])
        case "of another":
            spoiled.write_bytes((other.folder / file).read_bytes())
    authority.prepare(NOW)
    assert authority.server().refresh()
    cert = read_certificate(authority.server().cert)
    cert.verify_directly_issued_by(read_certificate(authority.ca))


def test_a_ca_without_its_key_signs_nothing(authority, tmp_path):
    other = OwnAuthority(tmp_path / "other")
    other.prepare(NOW)
    (authority.folder / "ca.key").write_bytes((other.folder / "ca.key").read_bytes())
    with pytest.raises(KeyFileError, match="is not the key of") as caught:
        authority.prepare(NOW + 61 * DAY)
    assert "restore" in caught.value.hint
    (authority.folder / "ca.key").unlink()
    with pytest.raises(KeyFileError, match="cannot be read"):
        authority.prepare(NOW + 61 * DAY)


def test_refreshing_tells_whether_the_files_are_others(authority):
    given = ServerTls(authority.server().cert, authority.server().key)
    assert given.refresh()
    assert not given.refresh()
    authority.prepare(NOW + 61 * DAY)
    assert given.refresh()
    assert not given.refresh()


def test_a_key_that_others_can_read_is_not_used(authority):
    files = authority.server()
    files.key.chmod(0o640)
    with pytest.raises(KeyFileError, match="can be read by others"):
        ServerTls(files.cert, files.key).refresh()


def test_a_key_of_another_certificate_is_told_apart(authority, tmp_path):
    other = OwnAuthority(tmp_path / "other")
    other.prepare(NOW)
    with pytest.raises(KeyFileError, match="is not the key of"):
        ServerTls(authority.server().cert, other.server().key).refresh()


def test_a_client_verifies_with_the_given_ca_and_no_other(authority):
    for ca in (authority.ca, authority.ca.read_text()):
        context = client_context(ca)
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert len(context.get_ca_certs()) == 1


def test_a_ca_that_is_none_is_told_apart(tmp_path):
    with pytest.raises(KeyFileError, match="cannot be used: No such file"):
        client_context(tmp_path / "none.pem")
    (tmp_path / "empty.pem").write_text("")
    for ca in (tmp_path / "empty.pem", "no PEM"):
        with pytest.raises(KeyFileError, match="cannot be used"):
            client_context(ca)


LOOPBACK = {
    "localhost": True,
    "127.0.0.1": True,
    "127.9.9.9": True,
    "::1": True,
    "0.0.0.0": False,
    "::": False,
    "192.0.2.1": False,
    "localhost.example.org": False,
    "example.org": False,
    "": False,
    None: False,
}


@pytest.mark.parametrize("host", LOOPBACK)
def test_only_this_machine_is_loopback(host):
    assert is_loopback(host) is LOOPBACK[host]
