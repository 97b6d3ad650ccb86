"""Each way to bend a log, tried on a real server's files or with every right on the server.

Whoever has the disk makes the server's checksums right (block.py), so the server serves what he
wrote without a word; `pdsno audit verify`, with nothing but the root's public key, says what it is.
"""

import asyncio
import json
import shutil
from dataclasses import replace

import pytest
from command import pdsno
from server_network import connected, issue, signing_seed
from thief import Thief, lived

from streams.jetstream import JetStreamLog


def middle(messages):
    """Pick an event that is no seal, well before the last seal."""
    plain = [n for n, one in enumerate(messages) if b".sweep." in one.subject]
    return plain[len(plain) // 2]


def contains(finding, seq):
    scope, first = finding["place"].split(" to ")[0].split(":")
    last = finding["place"].rpartition(":")[2]
    return scope == "zone-a" and int(first) <= seq <= int(last)


def test_an_honest_log_at_rest_lacks_nothing_but_the_next_seal(thief):
    thief.write(thief.read())  # the thief's tools leave no mark of their own
    code, findings = thief.audit()
    assert findings == []
    assert code in {0, 74}  # it may be just before the next seal is overdue


def test_an_export_of_an_honest_log_holds_with_the_public_key_and_without_a_home(thief, tmp_path):
    file, pin = tmp_path / "all.export", (thief.home.folder / "keys" / "root.pub").read_text()
    asyncio.run(thief.ask("log", "export", file))
    ran = pdsno(tmp_path / "nowhere", "audit", "verify", "--log", file, "--root-key", pin.strip())
    assert ran.code == 0, ran.err
    assert "MACs were not checked" in ran.err
    keys = [f"--key={key}" for key in thief.home.keys.glob("regional.*.key")]
    ran = pdsno(tmp_path / "nowhere", "audit", "verify", "--log", file, "--root-key", pin, *keys)
    assert ran.code == 0, ran.err


def test_one_byte_flipped(thief):
    messages = thief.read()
    place = middle(messages)
    one = messages[place]
    messages[place] = replace(one, raw=one.raw[:-9] + bytes([one.raw[-9] ^ 1]) + one.raw[-8:])
    thief.write(messages)
    code, findings = thief.audit()
    assert code == 71
    assert [one["kind"] for one in findings] == ["CHANGED"]
    assert contains(findings[0], place + 1)
    ran = asyncio.run(thief.ask("audit", "verify"))  # with the keys of the home
    assert f"zone-a:{place + 1} BAD_MAC" in ran.out.replace("\n", " ")


def test_one_event_dropped_and_the_rest_numbered_anew(thief):
    messages = thief.read()
    place = middle(messages)
    del messages[place]
    thief.write(messages)
    code, findings = thief.audit()
    assert code == 72
    assert [one["kind"] for one in findings] == ["DROPPED"]
    assert contains(findings[0], place + 1)


def test_two_events_swapped(thief):
    messages = thief.read()
    place = middle(messages)
    messages[place], messages[place + 1] = messages[place + 1], messages[place]
    thief.write(messages)
    code, findings = thief.audit()
    assert code == 71
    (one,) = findings
    assert (one["kind"], one["place"]) == ("SWAPPED", f"zone-a:{place + 1} to zone-a:{place + 2}")


def test_one_event_inserted(thief):
    messages = thief.read()
    place = middle(messages)
    messages.insert(place, messages[place])
    thief.write(messages)
    code, findings = thief.audit()
    assert code == 71
    assert [one["kind"] for one in findings] == ["INSERTED"]
    assert contains(findings[0], place + 1)


def test_the_tail_cut(thief):
    messages = thief.read()
    thief.write(messages[: middle(messages)])
    code, findings = thief.audit()
    assert code == 72
    (one,) = findings
    assert one["kind"] == "CUT"
    assert one["place"].startswith(f"zone-a:{middle(messages) + 1} to")
    assert "global.global.1" in one["detail"]


def test_the_whole_stream_replaced_by_an_older_copy(thief, history):
    thief.replace("zone-a", Thief(history / "before"))
    code, findings = thief.audit()
    assert code == 72
    assert [one["kind"] for one in findings] == ["CUT"]


def test_everything_replaced_by_an_older_copy_is_caught_by_a_checkpoint_that_was_kept(
    thief, history, tmp_path
):
    note = tmp_path / "zone-a.note"
    kept = asyncio.run(thief.ask("audit", "checkpoint", "zone-a"))
    note.write_text(kept.out)
    assert "global.global.1" in kept.err
    assert thief.audit("--checkpoint", note)[1] == []
    for scope in ("global", "zone-a", "zone-b"):
        thief.replace(scope, Thief(history / "before"))
    assert thief.audit()[1] == []  # it is a log as good as any
    code, findings = thief.audit("--checkpoint", note)
    assert code == 72
    assert [(one["kind"], one["place"].split(":")[0]) for one in findings] == [("CUT", "zone-a")]


def test_a_seal_withheld(thief):
    messages = thief.read()
    seals = [n for n, one in enumerate(messages) if one.subject.endswith(b"seal.head")]
    for place in reversed(seals[-3:]):
        del messages[place]
    thief.write(messages)
    code, findings = thief.audit()
    assert code in {71, 72, 73}
    assert findings
    ran = asyncio.run(thief.ask("audit", "verify", "--scope", "global"))
    assert ran.code == 74  # nobody seals while the controllers rest
    assert "SEAL_OVERDUE" in ran.out


@pytest.mark.timeout(300)
def test_two_histories_shown_to_two_witnesses(history, tmp_path):
    for name in ("one", "other"):
        shutil.copytree(history / "before", tmp_path / name / "home")
        asyncio.run(lived(tmp_path / name, 3))
    thief, other = Thief(tmp_path / "one" / "home"), Thief(tmp_path / "other" / "home")
    thief.replace("zone-b", other)
    code, findings = thief.audit()
    assert code == 73
    split = [one for one in findings if one["kind"] == "SPLIT_VIEW"]
    assert any(
        one["place"].startswith("global:") and "regional.zone-b.1" in one["detail"] for one in split
    )


def test_a_mirror_that_lags(thief, history, tmp_path):
    thief.replace("zone-a", Thief(history / "before"))
    file = tmp_path / "mirror.export"
    asyncio.run(thief.ask("log", "export", file))
    pin = thief.home.folder / "keys" / "root.pub"
    words = ("audit", "verify", "--log", file, "--root-key", pin, "-o", "json")
    ran = pdsno(tmp_path / "nowhere", *words, "--mirror")
    assert ran.code == 75, ran.err
    (one,) = json.loads(ran.out)["findings"]
    assert (one["kind"], one["place"].split(":")[0]) == ("LAGGING", "zone-a")
    assert pdsno(tmp_path / "nowhere", *words).code == 72


def test_a_stream_made_anew_by_a_user_with_every_right(thief):
    """The break-glass user: signed with the account's own key, and so without any limit."""

    async def rewrite():
        async with thief.server() as server:
            file = thief.home.folder / "glass.creds"
            everything = {"subs": -1, "data": -1, "payload": -1} | {
                way: {"allow": [">"]} for way in ("pub", "sub")
            }
            issue(thief.home, "account", "glass", file, permissions=everything)
            connection = await connected(thief.home, server, "glass", credentials=file)
            log = JetStreamLog(connection)
            records = [one async for batch in log.read("zone-a") for one in batch]
            answer = await connection.api("STREAM.DELETE.PDSNO_ZONE-A", {})
            assert answer.get("success"), answer
            await log.prepare(["zone-a"])
            del records[len(records) // 2]
            for one in records:
                await connection.request(one.subject, one.raw, timeout_s=5)
            await connection.close()

    assert signing_seed(thief.home, "account")
    asyncio.run(rewrite())
    code, findings = thief.audit()
    assert code in {71, 72, 73}
    assert contains(findings[0], 1) or findings[0]["place"].startswith("zone-a:1")
