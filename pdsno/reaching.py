"""How the processes of a home, and people, reach its NATS."""

from pdsno.home import Home
from streams.connection import Connection


def nats_url(home: Home) -> str:
    """Tell where the log of this home is."""
    settings = home.settings
    if settings.nats_url:
        return settings.nats_url
    running = home.run / "nats.url"  # where the embedded server of a running `pdsno up` is
    if running.exists():
        return running.read_text().strip()
    return home.server().url


async def connect_as_operator(home: Home, url: str, *, within_s: float = 5.0) -> Connection:
    """Connect as a person's command does: it may ask, and request what operators may."""
    return await connect(home, url, home.person(), within_s=within_s)


async def connect(home: Home, url: str, name: str, *, within_s: float = 5.0) -> Connection:
    """Connect as a process of this home: with its credentials, encrypted as its settings say."""
    return await Connection.open(
        url,
        name=name,
        credentials=home.credentials(name),
        tls=home.tls(),
        allow_plaintext=home.settings.allow_plaintext,
        within_s=within_s,
    )
