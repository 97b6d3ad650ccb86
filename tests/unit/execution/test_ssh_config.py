"""Lines in contexts: what is taken as a payload, what a change makes of a config, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.execution.drivers.ssh import SshDriver, config, platform
from pdsno.execution.errors import DriverError, PayloadError

DRIVER = SshDriver()
FRR = platform.find("frr")


def lines(*text):
    return {"platform": "frr", "lines": list(text)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"platform": "frr"}, "lines: Field required"),
        (lines(), "lines: List should have at least 1 item"),
        ({"platform": "vms", "lines": ["x"]}, "platform: there is no platform 'vms'"),
        ({"platform": "../frr", "lines": ["x"]}, "platform: there is no platform"),
        (lines("a", ""), "payload: .*line 1 .* is empty"),
        (lines("a", "b" * 1001), "payload: .*line 1 .* is longer than 1000"),
        (lines("a\nb"), r"payload: .*line 0 \('a\\nb'\) holds a control character"),
        (lines("a\x1b[2J"), "payload: .*line 0 .* holds a control character"),
        (lines("a\x00"), "payload: .*line 0 .* holds a control character"),
        (lines("a\u2028b"), "payload: .*line 0 .* holds a control character"),
        (lines("caf\u00e9"), "payload: .*line 0 .* is not ASCII"),
        (lines("a", "b?"), "payload: .*line 1 .* would leave its context"),
        (lines(" a"), "payload: .*line 0 is indented"),
        (lines("no router ospf", " network 10.0.0.0/8 area 0"), "payload: .*line 1 stands below"),
        (lines("a") | {"save": True}, "save: Extra inputs"),
        (lines(7), "lines.0: "),
    ],
)
def test_what_is_not_taken_is_named(wrong, said):
    with pytest.raises(PayloadError, match=f"(?s)^{said}"):
        DRIVER.outline(wrong)


@pytest.mark.parametrize(
    "word",
    [
        *("end", "en", "exit", "ex", "e", "quit", "q", "exit-address-family", "no exit"),
        *("do show run", "write", "wr", "copy a b", "configure terminal", "conf t", "show run"),
        *("terminal length 5", "! a comment", "# another", "find x", "list", "output file x"),
    ],
)
def test_words_that_leave_the_context_or_do_something_else_are_refused_at_any_depth(word):
    for text in ((word,), ("interface lo", f" {word}")):
        with pytest.raises(PayloadError, match="is not configuration of frr"):
            DRIVER.outline(lines(*text))


@pytest.mark.parametrize(
    "word",
    ["exec-timeout 5 0", "enable password x", "domainname a", "write-multiplier 4"],
)
def test_words_that_only_begin_alike_are_told_apart(word):
    assert DRIVER.outline(lines(word)).paths == (word,)


def test_the_outline_names_lines_in_their_contexts():
    payload = lines(
        "interface lo", " description x", "router bgp 1", " address-family ipv4", "  a 1"
    )
    assert DRIVER.outline(payload).paths == (
        "interface lo / description x",
        "router bgp 1 / address-family ipv4 / a 1",
    )


SHOWN = """Building configuration...\r
\r
Current configuration:\r
!\r
hostname r1\r
!\r
interface lo\r
 description x \r
exit\r
!\r
router bgp 1\r
 address-family ipv4\r
  network 10.0.0.0/8\r
 exit-address-family\r
exit\r
!\r
end\r
"""


def test_what_only_separates_is_none_of_the_config():
    text = config.read(SHOWN, FRR)
    assert text == (
        "hostname r1\ninterface lo\n description x\n"
        "router bgp 1\n address-family ipv4\n  network 10.0.0.0/8\n"
    )
    assert config.paths(text.splitlines())[-1] == (
        "router bgp 1",
        "address-family ipv4",
        "network 10.0.0.0/8",
    )


def after(before, *entered):
    old = config.paths(before)
    return config.diff(old, config.applied(old, config.paths(entered), FRR))


@pytest.mark.parametrize(
    ("before", "entered", "expected"),
    [
        (["a 1"], ["a 1"], []),
        (["a 1"], ["a 2"], [(None, "a 2")]),
        (["hostname x"], ["hostname y"], [("hostname x", None), (None, "hostname y")]),
        (["a 1"], ["no a 1"], [("a 1", None)]),
        (["a 1"], ["no b 1"], []),
        (["i", " description x"], ["i", " no description"], [("description x", None)]),
        (["i", " description x"], ["j", " no description"], []),
        (["r", " a", " b"], ["no r"], [("a", None), ("b", None)]),
        (["no f"], ["f"], [("no f", None), (None, "f")]),
    ],
)
def test_what_a_change_makes_of_a_config(before, entered, expected):
    assert [(one.before, one.after) for one in after(before, *entered)] == expected


LINE = st.sampled_from(["a 1", "a 2", "b 1", "c"])
CONFIG = st.lists(
    st.one_of(
        LINE.map(lambda line: [(line,)]),
        st.builds(
            lambda context, inner: [(context,), *((context, line) for line in inner)],
            st.sampled_from(["r 1", "r 2"]),
            st.lists(LINE, min_size=1, max_size=3, unique=True),
        ),
    ),
    max_size=5,
).map(lambda parts: list(dict.fromkeys(path for part in parts for path in part)))


@given(CONFIG, CONFIG)
def test_undoing_leads_back_from_any_config_to_any_other(before, now):
    lines_ = config.undoing(before, now, FRR)
    assert set(config.applied(now, lines_, FRR)) == set(before)
    assert config.undoing(before, before, FRR) == []


@given(CONFIG, CONFIG)
def test_what_differs_is_told_and_nothing_else(before, now):
    assert (config.diff(before, now) == ()) == (set(before) == set(now))


def test_taking_back_goes_from_the_inmost_line_out_and_before_what_is_put_back():
    before = [("r 1",), ("r 1", "description old")]
    now = [("r 1",), ("r 1", "description new"), ("r 2",), ("r 2", "a 1")]
    assert config.undoing(before, now, FRR) == [
        ("r 1", "no description"),
        ("r 2", "no a 1"),
        ("no r 2",),
        ("r 1", "description old"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt =", "platform odd: not TOML"),
        ('prompt = "["', "platform odd: prompt: .*no regular expression"),
        ('colour = "red"', "platform odd: "),
    ],
)
def test_a_wrong_platform_file_is_named(tmp_path, monkeypatch, text, said):
    (tmp_path / "odd.toml").write_text(text)
    monkeypatch.setattr(platform, "FOLDER", tmp_path)
    with pytest.raises(DriverError, match=said):
        platform.find("odd")


def test_every_platform_that_is_there_can_be_read():
    for name in platform.names():
        assert platform.find(name).name == name
