"""The last act: the log as evidence, for ourselves and for somebody who trusts nobody here."""

from cli.demo.stage import Stage
from pdsno.audit.errors import AlteredError
from pdsno.errors import LogCheckError
from streams.secret_file import write_secret


async def tell(stage: Stage) -> None:
    """Export the log, bend a copy, and see it caught; prove one event by itself."""
    stage.say("The log is evidence: export it, check it, then bend one byte of it")
    file, bent = "log.pdsno", "bent.pdsno"
    await stage.type("log", "export", file)
    await stage.type("log", "check", "--log", file)
    raw = bytearray((stage.folder / file).read_bytes())
    place = raw.index(b'"sys_name":"') + len(b'"sys_name":"')
    raw[place] ^= 1
    write_secret(stage.folder / bent, bytes(raw))
    stage.console.print(f"   [dim]{bent}: one bit of byte {place:,} flipped[/]")
    out = await stage.type("log", "check", "--log", bent, code=LogCheckError.exit_code)
    stage.hold("BAD_MAC" in out, "log check names the event, and refuses the log")
    await _audit(stage, file, bent)


async def _audit(stage: Stage, file: str, bent: str) -> None:
    stage.say("An auditor trusts nobody here: the root's public key is enough")
    root = ("--root-key", "home/keys/root.pub")
    await stage.type("audit", "verify", "--log", file, *root)
    code = AlteredError.exit_code
    out = await stage.type("audit", "verify", "--log", bent, *root, code=code)
    stage.hold("CHANGED" in out, "the seals say between which events the log was altered")
    await stage.type("audit", "prove", "zone-a:1", "--log", file, "--out", "event.proof")
    out = await stage.type("audit", "check", "event.proof", *root)
    stage.hold("witnesses" in out, "one event proven by itself: sealed, and witnessed by others")
