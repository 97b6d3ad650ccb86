"""pdsno audit from the outside: a proof that travels, a report that is read."""

import asyncio
import json

from command import pdsno


def ask(thief, *words):
    return asyncio.run(thief.ask(*words))


def sealed_sweep(thief):
    return next(
        seq
        for seq, one in enumerate(thief.read(), 1)
        if b".sweep." in one.subject and b"sweep.started" in one.raw
    )


def test_a_proof_is_checked_on_a_machine_that_has_nothing_but_the_file_and_the_root_key(
    thief, tmp_path
):
    seq, file = sealed_sweep(thief), tmp_path / "event.proof"
    made = ask(thief, "audit", "prove", f"zone-a:{seq}", "--out", file)
    assert (made.code, made.out) == (0, ""), made.err
    pin = (thief.home.folder / "keys" / "root.pub").read_text().strip()
    nowhere = tmp_path / "nowhere"
    found = pdsno(nowhere, "audit", "check", file, "--root-key", pin, "-o", "json").json()
    assert found["event"] == f"zone-a:{seq}"
    assert found["type"] == "pdsno.sweep.started.v1"
    assert "not checked" in found["verdict"]
    assert found["witnesses"][0].startswith("global.global.1 at global:")
    region = thief.home.keys / "region.zone-a.key"
    words = ("audit", "check", file, "--root-key", pin, "--key", region, "-o", "json")
    assert "it counts" in pdsno(nowhere, *words).json()["verdict"]
    text = json.loads(file.read_text())
    text["event"]["subject"] += "x"
    file.write_text(json.dumps(text))
    pdsno(nowhere, "audit", "check", file, "--root-key", pin).refused(78, "does not lead")
    file.write_bytes(b"\xff\xfe")
    pdsno(nowhere, "audit", "check", file, "--root-key", pin).refused(78, "not text")


def test_an_event_that_is_not_there_or_not_sealed_has_no_proof(thief, tmp_path):
    out, last = tmp_path / "x.proof", len(thief.read())
    ask(thief, "audit", "prove", f"zone-a:{last + 1}", "--out", out).refused(9, "no event")
    ask(thief, "audit", "prove", f"zone-a:{last}", "--out", out).refused(70, "not sealed yet")
    pdsno(thief.home.folder, "audit", "prove", "zone-a", "--out", out).refused(2, "zone-a:812")
    assert not out.exists()


def test_a_root_key_that_is_none_is_a_usage_error(thief, tmp_path):
    words = ("audit", "verify", "--log", tmp_path / "x", "--root-key")
    for wrong in ("tooshort", "no file!", "A" * 42):
        pdsno(tmp_path, *words, wrong).refused(2, "--root-key")


def test_another_networks_root_vouches_for_no_seal(thief, tmp_path):
    file = tmp_path / "all.export"
    ask(thief, "log", "export", file)
    ran = pdsno(tmp_path, "audit", "verify", "--log", file, "--root-key", "A" * 43)
    assert ran.code == 70
    assert "NOT_SEALED" in ran.out


def test_a_report_names_joins_and_exceptions_as_json_and_as_a_page(thief, tmp_path):
    file, page = tmp_path / "all.export", tmp_path / "report.html"
    ask(thief, "log", "export", file)
    found = pdsno(thief.home.folder, "audit", "report", "--log", file).json()
    assert found["findings"] == []
    assert {"controller.admitted", "join.accepted", "sweep.requested"} <= {
        one["type"] for one in found["acts"]
    }
    assert found["counts"]["seal.made"] > 10
    words = ("audit", "report", "--log", file, "--out", page)
    ran = pdsno(thief.home.folder, *words, "--until", "2020-01-01")
    assert ran.code == 0, ran.err
    assert "0 acts of authority" in ran.err
    assert pdsno(thief.home.folder, *words).code == 0
    assert "join.accepted" in page.read_text()
    pdsno(thief.home.folder, *words, "--since", "yesterday").refused(2, "--since")
