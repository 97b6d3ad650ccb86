"""What `pdsno doctor` looks at of TLS: whom we trust, and what our server shows."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cli.machine import Finding
from pdsno.home import Home
from streams.clock import utc_now
from streams.errors import KeyFileError
from streams.tls import read_certificate

_SOON = timedelta(days=14)
_CA_SOON = timedelta(days=180)  # everybody must be given another
_START = "start pdsno up again: it makes a new one"


def encryption(found: Home) -> Iterator[Finding]:
    """Look whether the certificates hold, and for how long."""
    settings = found.settings
    if found.ca is None:
        far = settings.allow_plaintext
        yield Finding(
            "tls",
            "warning" if far else "ok",
            "off, and plaintext is allowed beyond this machine" if far else "off: loopback only",
            "set [tls], and take allow_plaintext out" if far else "",
        )
        return
    if settings.tls.own and not found.ca.exists():
        yield Finding("tls", "ok", "pdsno up makes a CA of our own when it starts")
        return
    yield _certificate("ca", found.ca, _CA_SOON, "give everybody the new CA: [tls] ca")
    if settings.tls.own:
        # it is renewed with 30 days left, so one that is about to end was not
        yield _certificate("server", found.ca.with_name("server.pem"), _SOON, _START)
    elif settings.tls.cert:
        renew = "have it renewed; the running server takes the new file by itself"
        yield _certificate("server", found.folder / settings.tls.cert, _SOON, renew)


def _certificate(what: str, file: Path, soon: timedelta, advice: str) -> Finding:
    try:
        ends = read_certificate(file).not_valid_after_utc
    except KeyFileError as error:
        return Finding("tls", "wrong", str(error), error.hint)
    left = ends - utc_now()
    if left < timedelta(0):
        return Finding("tls", "wrong", f"{what}: {file} ended at {ends:%Y-%m-%d}", advice)
    if left < soon:
        return Finding("tls", "warning", f"{what}: {file} ends at {ends:%Y-%m-%d}", advice)
    return Finding("tls", "ok", f"{what}: it ends at {ends:%Y-%m-%d}")
