"""Every reading command against a running `pdsno up`, run from the outside."""

import csv
import io
import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from command import Ran, both, eventually, inside, pdsno, start

CORE = "127.10.1.1"
JSON = ("-o", "json")


def test_discover_writes_data_on_stdout_and_the_rest_on_stderr(live):
    ran = pdsno(live, "discover", "127.10.1.0/28")
    assert (ran.code, ran.out) == (0, ""), "nothing is new"
    assert "14 addresses asked, 14 devices: 0 new, 0 changed, 0 missing" in ran.err


def test_a_device_at_the_broadcast_address_of_a_narrower_prefix_is_not_missed(live):
    assert pdsno(live, "discover", "127.10.1.15/32").code == 0
    ran = pdsno(live, "discover", "127.10.1.0/28", "-o", "json")
    assert ran.json() == [], ran.err


def test_devices_are_listed_in_every_form(live):
    table, rows = both(live, ["device", "list"], ["device", "list", "-o", "json"])
    rows = rows.json()
    assert table.out.splitlines()[0].split()[:3] == ["DEVICE", "ID", "NAME"]
    assert len(table.out.splitlines()) == len(rows) + 1
    assert rows[0]["addresses"] == [CORE]
    assert [r["addresses"][0] for r in rows] == sorted(
        (r["addresses"][0] for r in rows), key=lambda a: int(a.rsplit(".", 1)[1])
    )
    lines, text = both(live, ["device", "list", "-o", "jsonl"], ["device", "list", "-o", "csv"])
    assert [json.loads(line) for line in lines.out.splitlines()] == rows
    found = list(csv.DictReader(io.StringIO(text.out)))
    assert [r["device_id"] for r in found] == [r["device_id"] for r in rows]
    assert found[0]["last_seen_at"] == rows[0]["last_seen_at"]


def test_devices_are_filtered_and_columns_chosen(live):
    named, few = both(
        live,
        ["device", "list", "--name", "HQ-*", "--columns", "name,status", "-o", "csv"],
        ["device", "list", "--limit", "2", "--vendor", "CISCO", "--sort", "-name", "-o", "json"],
    )
    rows = list(csv.DictReader(io.StringIO(named.out)))
    assert len(rows) == 6
    assert all(r["name"].startswith("hq-") and r["status"] == "active" for r in rows)
    assert set(rows[0]) == {"name", "status"}
    assert [r["name"] for r in few.json()] == ["hq-dist-2", "hq-dist-1"]


def test_a_device_is_shown_by_id_address_and_name_and_they_agree(live):
    by_name = inside(live, "device", "show", "hq-core-1", "-o", "json")
    assert inside(live, "device", "show", CORE, "-o", "json") == by_name
    assert inside(live, "device", "show", by_name["device_id"], "-o", "json") == by_name
    assert by_name["merged"] == ["address-127-10-1-1"]
    assert {"address", "chassis", "engine"} <= {one["kind"] for one in by_name["identities"]}
    assert len(by_name["interfaces"]) > 10
    assert by_name["sightings"][0]["controller"] == "local.zone-a.1"
    assert {"device.sighted", "interface.sighted"} <= {one["type"] for one in by_name["history"]}
    table = pdsno(live, "device", "show", CORE)
    assert "hq-core-1" in table.out
    assert "interfaces\n" in table.out


def test_what_is_not_there_is_said_with_a_code_of_its_own(live):
    device, sweep = both(live, ["device", "show", "nobody"], ["sweep", "show", "nothing-like-it"])
    device.refused(9, "no device has", "hint: pdsno device list")
    sweep.refused(9, "no sweep")
    event, scope = both(live, ["log", "show", "zone-a:99999"], ["log", "tail", "--scope", "zone-x"])
    event.refused(9, "no event zone-a:99999")
    scope.refused(9, "no log of zone-x")


def test_a_merged_record_stands_beside_its_device_only_when_asked_for(live):
    without = {r["device_id"] for r in inside(live, "device", "list", "-o", "json")}
    with_ = {r["device_id"] for r in inside(live, "device", "list", "--merged", "-o", "json")}
    assert with_ - without == {"address-127-10-1-1"}


def test_a_device_is_quarantined_and_released_once_each(live):
    released = pdsno(live, "device", "release", "hq-fw-1", "--reason", "x")
    released.refused(11, "is not quarantined: it is active")
    assert pdsno(live, "device", "quarantine", "hq-fw-1", "--reason", "NOC-112").code == 0
    listed, again = both(
        live,
        ["device", "list", "--status", "quarantined", "-o", "json"],
        ["device", "quarantine", "hq-fw-1", "--reason", "again"],
    )
    assert [r["name"] for r in listed.json()] == ["hq-fw-1"]
    again.refused(11, "is quarantined already")
    assert pdsno(live, "device", "release", "hq-fw-1", "--reason", "done").code == 0
    shown = inside(live, "device", "show", "hq-fw-1", "-o", "json")
    assert shown["status"] == "active"
    assert [one["data"]["reason"] for one in shown["history"][:2]] == ["done", "NOC-112"]


def test_a_wrong_merge_is_undone(live):
    merged, alone = both(
        live,
        ["device", "quarantine", "address-127-10-1-1", "--reason", "x"],
        ["device", "split", "hq-core-2", "--reason", "x"],
    )
    merged.refused(11, "is a record of chassis-")
    alone.refused(11, "is not merged")
    assert pdsno(live, "device", "split", "address-127-10-1-1", "--reason", "wrong").code == 0
    shown = inside(live, "device", "show", "address-127-10-1-1", "-o", "json")
    assert (shown["merged_into"], shown["status"]) == (None, "active")


def test_sweeps_are_listed_and_shown(live):
    rows = inside(live, "sweep", "list", "-o", "json")
    first = rows[-1]
    assert (first["status"], first["trigger"], first["probes"]) == ("finished", "demand", ["icmp"])
    assert rows[-2]["new"] == 14
    last, begun = both(
        live, ["sweep", "show", "last", "-o", "json"], ["sweep", "show", rows[-2]["sweep_id"]]
    )
    assert last.json()["sweep_id"] == rows[0]["sweep_id"]
    assert last.json()["parts"]
    assert "hq-core-1" in begun.out
    assert "parts\n" in begun.out


def test_controllers_are_listed_operators_only_when_asked_for(live):
    rows = pdsno(live, "controller", "list", "-o", "json").json()
    everybody = inside(live, "controller", "list", "--all", "-o", "json")
    assert [r["controller_id"] for r in rows] == [
        "global.global.1",
        "regional.zone-a.1",
        "local.zone-a.1",
    ]
    assert rows[2]["status"] == "active"
    assert rows[2]["last_sweep_at"]
    assert len(everybody) == 5


def test_no_anomalies_are_an_empty_answer(live):
    table = pdsno(live, "anomaly", "list")
    assert (table.code, table.out) == (0, "")
    assert "no anomalies" in table.err
    assert inside(live, "anomaly", "list", "-o", "json") == []


def test_the_log_is_tailed_one_verified_event_a_line(live):
    text, rows = both(
        live, ["log", "tail", "-n", "3"], ["log", "tail", "--type", "controller.*", "-o", "json"]
    )
    assert len(text.out.splitlines()) == 3
    assert {r["type"] for r in rows.json()} == {"controller.admitted"}
    assert {r["verdict"] for r in rows.json()} == {"accepted"}
    assert {r["scope"] for r in rows.json()} == {"global", "zone-a"}


def test_a_follower_sees_what_comes_and_ends_quietly_on_ctrl_c(live):
    child = start(live, "log", "tail", "-f", "-n", "1", "-o", "jsonl", "--type", "device.*")
    first = json.loads(child.stdout.readline())
    assert pdsno(live, "device", "quarantine", "hq-core-2", "--reason", "seen live").code == 0
    later = (json.loads(line) for line in child.stdout)  # sweeps go on meanwhile
    seen = next(one for one in later if one["type"] == "device.quarantined")
    assert (seen["scope"], seen["data"]["reason"]) == ("zone-a", "seen live")
    assert seen["seq"] > first["seq"] or first["scope"] != "zone-a"
    child.send_signal(signal.SIGINT)
    ended = Ran(child)
    assert (ended.code, ended.err) == (130, "")


def test_an_event_is_shown_whole_by_place_and_by_id(live):
    by_place = inside(live, "log", "show", "zone-a:1", "-o", "json")
    by_id, text = both(
        live, ["log", "show", by_place["id"], "-o", "json"], ["log", "show", "zone-a:1"]
    )
    assert by_id.json() == by_place
    assert by_place["verdict"] == "accepted"
    assert by_place["envelope"]["signer"] == "global.global.1#1.1.1"
    assert by_place["body"]["specversion"] == "1.0"
    assert "signature" in text.out


def test_the_log_is_counted(live):
    rows = inside(live, "log", "stats", "-o", "json")
    counted = {(r["scope"], r["type"], r["verdict"]): r["events"] for r in rows}
    assert counted["zone-a", "controller.admitted", "accepted"] == 3
    assert counted["zone-a", "sweep.requested", "accepted"] >= 2
    assert {r["verdict"] for r in rows} == {"accepted"}


def test_the_live_log_is_sound(live):
    found = inside(live, "log", "check", "-o", "json")
    assert all(one["verdict"] == "ok" for one in found["scopes"])
    assert found["problems"] == []


@pytest.mark.parametrize(
    "words",
    [
        "device list --merged",
        "device show hq-core-1",
        "sweep list",
        "sweep show last",
        "controller list --all",
        "anomaly list",
        "log tail -n 100",
        "log stats",
        "log show zone-a:3",
        "log check",
        "nib digest",
        "sql SELECT/**/scope,seq,data/**/FROM/**/event/**/ORDER/**/BY/**/ALL",
        "device list --at zone-a:20",
        "diff --from zone-a:3 --to zone-a:20",
        "sweep list --at zone-a:20",
        "sweep show last --at zone-a:20",
        "controller list --all --at zone-a:1",
        "controller show local.zone-a.1 --at zone-a:20",
        "anomaly list --at zone-a:20",
        "security list --at zone-a:20",
        "sql --at zone-a:20 SELECT/**/now()/**/AT/**/TIME/**/ZONE/**/'UTC',*/**/FROM/**/sighting",
    ],
)
def test_an_export_answers_what_the_server_answers(live, exported, words):
    command = [*words.split(), "-o", "json"]
    if inside(live, *command, "--log", exported) != inside(live, *command):
        assert pdsno(live, "log", "export", exported, "--force").code == 0  # a seal came since
    assert inside(live, *command, "--log", exported) == inside(live, *command)


def test_what_was_believed_is_asked_by_event_and_by_time(live):
    first, rows = both(
        live,
        ["sql", "SELECT min(seq) AS seq FROM event WHERE type = 'device.sighted'", "-o", "json"],
        ["device", "list", "-o", "json"],
    )
    seq = first.json()[0]["seq"]
    event = inside(live, "log", "show", f"zone-a:{seq}", "-o", "json")
    by_event, by_time = both(
        live,
        ["device", "list", "-o", "json", "--at", f"zone-a:{seq}"],
        ["device", "list", "-o", "json", "--at", event["recorded_at"]],
    )
    before = pdsno(live, "device", "list", "--at", f"zone-a:{seq - 1}")
    assert [one["addresses"] for one in by_event.json()] == [[CORE]]
    assert by_time.json() == by_event.json()
    assert (before.out, before.err) == ("", "no such devices\n")
    assert len(rows.json()) > len(by_event.json())
    shown = inside(live, "device", "show", CORE, "-o", "json", "--at", f"zone-a:{seq}")
    assert (shown["name"], [one["type"] for one in shown["history"]]) == (None, ["device.sighted"])


def test_a_difference_names_the_event_that_made_it(live):
    first = inside(live, "sql", "SELECT max(seq) AS seq FROM event WHERE scope = 'zone-a'", *JSON)
    begin = f"zone-a:{first[0]['seq']}"
    assert pdsno(live, "device", "quarantine", "hq-fw-1", "--reason", "a look").code == 0
    everything, of_another = both(
        live,
        ["diff", "--from", begin, "-o", "json"],
        ["diff", "--from", begin, "-o", "json", "--device", "hq-core-1"],
    )
    assert pdsno(live, "device", "release", "hq-fw-1", "--reason", "seen").code == 0
    (row,) = [one for one in everything.json() if one["table"] == "device"]
    assert (row["field"], row["before"], row["after"]) == ("quarantined", False, True)
    assert row["type"] == "device.quarantined"
    event = inside(live, "log", "show", row["event"], *JSON)
    assert event["body"]["data"]["reason"] == "a look"
    assert [one for one in of_another.json() if one["table"] == "device"] == []


def test_the_first_event_after_which_a_condition_fails_is_found(live, exported):
    begin = ("log", "bisect", "--good", "zone-a:1")
    found = inside(live, *begin, "(SELECT count(*) FROM device) < 5", *JSON)
    words = ("sql", "SELECT count(*) AS devices FROM device", *JSON, "--at")
    scope, _, seq = found["event"].partition(":")
    assert (scope, found["type"]) == ("zone-a", "device.sighted")
    assert inside(live, *words, found["event"]) == [{"devices": 5}]
    assert inside(live, *words, f"{scope}:{int(seq) - 1}") == [{"devices": 4}]
    same = (*begin, "SELECT count(*) < 5 FROM device", *JSON)
    assert inside(live, *same, "--log", exported) | {"asked": 0} == found | {"asked": 0}
    never, always = both(live, [*begin, "1 = 0"], [*begin, "1 = 1"])
    never.refused(33, "does not hold at", "--good is where it does")
    always.refused(33, "still holds at", "--bad is where it does not")


def test_a_moment_that_is_not_in_the_log_is_refused_with_codes_of_their_own(live):
    words = ["device", "list", "--at"]
    wrong, beyond = both(live, [*words, "yesterday"], [*words, "zone-a:999999"])
    early, ahead = both(live, [*words, "2001-01-01T00:00:00Z"], [*words, "2101-01-01T00:00:00Z"])
    wrong.refused(44, "'yesterday' is no moment", "2026-11-25T10:05:00Z, or zone-a:812")
    beyond.refused(45, "zone-a:999999 is beyond the head")
    early.refused(46, "before the first event; the log begins at 20")
    ahead.refused(45, "has not come yet")


def test_the_nib_says_where_it_is_on_the_server_and_in_an_export(live, exported):
    assert pdsno(live, "log", "export", exported, "--force").code == 0  # the log seals itself
    there = pdsno(live, "nib", "status", "-o", "json").json()
    here = inside(live, "nib", "status", "-o", "json", "--log", exported)
    assert [one["lag"] for one in there] == [0, 0]
    assert [one["seq"] for one in here] == [one["head"] for one in there]


def test_an_export_is_sound_and_is_not_written_over(live, exported):
    checked, again = both(live, ["log", "check", "--log", exported], ["log", "export", exported])
    assert checked.code == 0, checked.err
    assert "wrong" not in checked.out
    again.refused(26, "exists", "--force")


def test_one_flipped_byte_is_found_and_its_place_is_named(live, exported, tmp_path):
    raw = bytearray(exported.read_bytes())
    raw[raw.index(b"hq-core-1")] ^= 1
    broken = tmp_path / "broken.export"
    broken.write_bytes(raw)
    device = inside(live, "device", "show", "hq-core-1", "-o", "json")
    event = next(e["event"] for e in device["history"] if e["data"].get("sys_name"))
    checked, listed = both(
        live,
        ["log", "check", "--log", broken, "-o", "json"],
        ["device", "list", "--log", broken, "-o", "json"],
    )
    assert checked.code == 12
    problems = json.loads(checked.out)["problems"]
    assert [(one["place"].split(":")[0], one["problem"]) for one in problems] == [
        ("zone-a", "BAD_MAC")
    ]
    assert problems[0]["place"] in checked.err
    assert event.startswith("zone-a:")
    assert "hq-core-1" not in listed.out
    assert "1 events do not count" in listed.err


def test_a_truncated_export_is_damaged(live, exported, tmp_path):
    raw = exported.read_bytes()
    broken = tmp_path / "short.export"
    broken.write_bytes(raw[: len(raw) // 2])
    checked, listed = both(
        live, ["log", "check", "--log", broken], ["device", "list", "--log", broken]
    )
    assert checked.code == 12
    assert "DAMAGED" in checked.out
    listed.refused(26, "cut off", "pdsno log check --log")


def test_an_export_from_the_middle_needs_to_be_called_so(live, tmp_path):
    part = tmp_path / "part.export"
    assert pdsno(live, "log", "export", part, "--scope", "zone-a", "--after", "zone-a:5").code == 0
    whole, partial = both(
        live, ["log", "check", "--log", part], ["log", "check", "--partial", "--log", part]
    )
    assert whole.code == 12
    assert "GAP" in whole.out
    assert partial.code == 0, partial.err


def test_an_export_without_a_home_says_that_the_keys_are_missing(live, exported, tmp_path):
    first, second = both(
        tmp_path / "none",
        ["device", "list", "--log", exported],
        ["log", "check", "--log", exported],
    )
    first.refused(6, "cannot be verified", "--home or PDSNO_HOME")
    second.refused(6, "cannot be verified")


@pytest.fixture
def outpost(live, tmp_path):
    """Copy the home, with the keys of one local controller and the root's pin alone."""
    home = tmp_path / "outpost"
    shutil.copytree(live, home, ignore=shutil.ignore_patterns("nats", "nib", "run"))
    for file in (home / "keys").glob("*.key"):
        if file.name != "local.zone-a.1.key":
            file.unlink()
    return home


def test_a_log_that_the_home_has_no_keys_for_is_not_called_verified(outpost, exported):
    form = ["-o", "json", "--log", exported]
    checked, allowed = both(
        outpost, ["log", "check", *form], ["log", "check", "--allow-unverified", *form]
    )
    assert (checked.code, allowed.code) == (16, 0), (checked.err, allowed.err)
    found = json.loads(checked.out)
    assert json.loads(allowed.out) == found
    assert found["problems"] == []
    missing = {one["key"].partition("#")[0]: one for one in found["unverifiable"]}
    assert "regional.zone-a.1" in missing
    assert "local.zone-a.1" not in missing  # its own key is there
    first = missing["regional.zone-a.1"]
    assert "the root key of generation 1 or the key of region zone-a" in first["checked_by"]
    counted = {one["scope"]: one["unverifiable"] for one in found["scopes"]}
    assert sum(counted.values()) == sum(one["events"] for one in found["unverifiable"])
    assert {s["verdict"] for s in found["scopes"] if s["unverifiable"]} == {"unverified"}
    assert f"{sum(counted.values()):,} of " in checked.err
    assert "--allow-unverified" in checked.err


def test_every_way_to_write_a_check_tells_what_was_not_verified(outpost, exported):
    table, lines = both(
        outpost,
        ["log", "check", "--log", exported],
        ["log", "check", "--log", exported, "-o", "jsonl"],
    )
    assert table.code == lines.code == 16
    assert "unverified" in table.out
    assert "the key of region zone-a, epoch 1" in table.out
    rows = [json.loads(line) for line in lines.out.splitlines()]
    assert {one["problem"] for one in rows} == {"UNVERIFIABLE"}
    assert all(one["place"] and one["detail"] for one in rows)


def test_a_change_is_worse_than_a_missing_key(outpost, exported, tmp_path):
    raw = bytearray(exported.read_bytes())
    raw[raw.index(b"hq-core-1")] ^= 1  # in an event of the controller whose key is there
    broken = tmp_path / "broken.export"
    broken.write_bytes(raw)
    ran = pdsno(outpost, "log", "check", "--log", broken)
    assert ran.code == 12
    assert "could not be verified besides" in ran.err
    assert "BAD_MAC" in ran.err


def test_a_rebuilt_nib_is_the_same_nib(live):
    before = inside(live, "nib", "digest", "-o", "json")
    rebuilt = pdsno(live, "nib", "rebuild")
    assert rebuilt.code == 0, rebuilt.err
    assert "a second" in rebuilt.err
    assert inside(live, "nib", "digest", "-o", "json") == before


def test_sql_reads_and_does_nothing_else(live):
    counted, told = both(
        live,
        ["sql", "SELECT count(*) AS n FROM device", "-o", "json"],
        ["sql", "--schema", "-o", "json"],
    )
    assert counted.json()[0]["n"] >= 14
    assert {
        "table": "address",
        "column": "mac",
        "type": "VARCHAR",
        "meaning": "aa:bb:cc:dd:ee:ff",
        "nullable": True,
    } in told.json()
    refused, files = both(live, ["sql", "DROP TABLE device"], ["sql", "FROM '/etc/passwd'"])
    refused.refused(43, "only SELECT")
    files.refused(43)
    several, unknown = both(live, ["sql", "SELECT 1; SELECT 2"], ["sql", "SELECT nothing"])
    several.refused(43, "one statement")
    unknown.refused(43, "nothing")


def test_a_query_that_takes_too_long_is_ended(live):
    slow = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE hash(a, b) % 7 = 3"
    pdsno(live, "sql", slow, "--timeout", "0.3").refused(43, "longer than 0.3 s", "--timeout")


def test_the_doctor_finds_nothing_wrong(live):
    ran = pdsno(live, "doctor", "-o", "json")
    rows = json.loads(ran.out)
    wrong = [
        one for one in rows if one["state"] == "wrong" and one["check"] not in {"disk", "icmp"}
    ]
    assert wrong == []
    assert {"python", "nats-server", "keys", "log", "clock", "nib", "controller"} <= {
        one["check"] for one in rows
    }


def test_a_closed_pipe_is_no_accident(live):
    child = start(live, "log", "tail", "-n", "1000", "-o", "jsonl")
    child.stdout.readline()
    child.stdout.close()
    child.stdout = None
    ran = Ran(child)
    assert (ran.code, ran.err) == (0, "")


def test_sigterm_of_up_leaves_no_process_behind(up, live):
    home, child = up
    pids = [int(file.read_text()) for file in (home / "run").glob("*.pid")]
    below = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    pids = sorted({*pids, *map(int, below)})
    assert len(pids) >= 5
    child.send_signal(signal.SIGTERM)
    ended = Ran(child)
    assert ended.code == 0, ended.err

    def gone():
        return not [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    assert eventually(gone, 10)
    assert not list((home / "run").glob("*.pid"))
    pdsno(home, "device", "list").refused(21, "no NATS at", "pdsno up")
