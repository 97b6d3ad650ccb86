"""pdsno log replay and slice on a running network and on its export, from the outside."""

import json

from command import both, pdsno


def test_a_live_log_and_its_export_come_out_the_same(live, exported):
    here, there = both(
        live, ["log", "replay", "-o", "json"], ["log", "replay", "--log", exported, "-o", "json"]
    )
    assert {(one["difference"], one["cannot"]) for one in here.json()} == {(None, 0)}
    again = {(one["decider"], one["scope"]): one["same"] + one["later"] for one in there.json()}
    assert again["regional-discovery", "zone-a"] >= 1, "a record was merged"
    assert again["policy", "global"] == 1


def test_what_is_not_decided_again_is_said_with_its_reason(live, exported):
    short, ran = both(
        live,
        ["log", "replay", "--log", exported],
        ["-v", "log", "replay", "--log", exported],
    )
    assert "other events are not decided here; pdsno -v log replay says why" in short.err
    assert ran.code == 0, ran.err
    assert "not decided again:" in ran.err
    assert "device.sighted         what a network answered: an input" in ran.err


def test_an_unknown_decider_is_named_with_those_that_there_are(live):
    pdsno(live, "log", "replay", "--decider", "fortune").refused(9, "no decider fortune", "policy")


def test_a_walk_shows_state_event_decision_and_state(live, exported):
    place = pdsno(
        live, "log", "tail", "--log", exported, "--type", "device.merged", "-o", "json"
    ).json()[0]
    at = f"{place['scope']}:{place['seq']}"
    words = ["log", "replay", "--step", "--from", at, "--to", at, "--log", exported]
    text, lines = both(live, words, [*words, "-o", "jsonl"])
    (first,) = [part for part in text.out.split("\n\n") if part.strip()]
    assert first.startswith(f"{at}  ")
    assert "before  device address-127-10-1-1: merged_into=-" in first
    assert "decided by regional-discovery on " in first
    assert "decides the same today" in first
    (one,) = [json.loads(line) for line in lines.out.splitlines()]
    assert (one["outcome"], one["decider"]) == ("same", "regional-discovery")


def test_a_slice_is_cut_and_one_of_nothing_is_not(live, exported):
    file = live.parent / "cut.jsonl"
    cut = ["log", "slice", file, "--log", exported, "--decider", "policy"]
    assert pdsno(live, *cut).code == 0
    head = json.loads(file.read_text().splitlines()[0])
    assert head["decided"] == {"policy": 1}
    assert "hmac" not in file.read_text()
    pdsno(live, *cut).refused(32, "exists")
    late = [*cut[:2], live.parent / "none.jsonl", *cut[3:], "--from", "global:99999"]
    late += ["--from", "2100-01-01"]
    pdsno(live, *late).refused(32, "nothing was decided")


def test_the_event_is_found_after_which_a_condition_fails(live, exported):
    condition = "NOT EXISTS (SELECT 1 FROM device WHERE merged_into IS NOT NULL)"
    merged = pdsno(
        live, "log", "tail", "--log", exported, "--type", "device.merged", "-o", "json"
    ).json()[0]
    at = f"{merged['scope']}:{merged['seq']}"
    words = ["log", "bisect", condition, "--good", "zone-a:1", "-o", "json"]
    here, there = both(live, words, [*words, "--log", exported])
    assert here.json()["event"] == there.json()["event"] == at
    assert f"{merged['scope']}:{merged['seq'] - 1}" in here.json()["held_at"]


def test_a_condition_that_is_none_or_does_not_change_is_told(live, exported):
    def bisected(condition):
        return pdsno(live, "log", "bisect", condition, "--good", "zone-a:1", "--log", exported)

    bisected("SELECT count(*) FROM device").refused(33, "neither true nor false: [[0]]")
    bisected("1 = 1").refused(33, "still holds at the end")
    bisected("1 = 0").refused(33, "does not hold at zone-a:1")
    bisected("nonsense +").refused(43)
