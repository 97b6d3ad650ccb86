import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from cli import render
from cli.render import Column, Format, Page
from streams.clock import to_wire

NOW = datetime(2026, 11, 23, 13, tzinfo=UTC)
PIPE = Page(NOW)
ROWS = [
    {
        "name": "hq-fw-1",
        "addresses": ["127.0.0.1", "127.0.0.2"],
        "seen_at": to_wire(NOW),
        "n": 1234,
    },
    {"name": None, "addresses": [], "seen_at": None, "n": None, "more": {"a": [1]}},
]
COLUMNS = (
    Column("name"),
    Column("addresses", rank=1),
    Column("seen_at", kind="age"),
    Column("n", "count", "number", rank=2),
)


def drawn(width, rows=ROWS, columns=COLUMNS):
    return render.table(rows, columns, Page(NOW, width))


def test_a_table_without_a_terminal_is_aligned_columns_without_rules():
    assert render.render(ROWS, COLUMNS, Format.TABLE, PIPE).splitlines() == [
        "NAME      ADDRESSES              SEEN   COUNT",
        "hq-fw-1   127.0.0.1, 127.0.0.2   now    1,234",
        "-         -                      -          -",
    ]


def test_a_table_without_rows_is_nothing():
    assert render.render([], COLUMNS, Format.TABLE, PIPE) == ""


def test_json_holds_everything_and_lists_as_lists():
    assert json.loads(render.render(ROWS, COLUMNS, Format.JSON, PIPE)) == ROWS
    assert json.loads(render.render([], COLUMNS, Format.JSON, PIPE)) == []


def test_json_lines_are_one_object_a_line():
    lines = render.render(ROWS, COLUMNS, Format.JSONL, PIPE).splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_csv_holds_everything_lists_joined_and_instants_as_in_the_log():
    rows = list(csv.DictReader(io.StringIO(render.render(ROWS, COLUMNS, Format.CSV, PIPE))))
    assert rows[0]["addresses"] == "127.0.0.1, 127.0.0.2"
    assert rows[0]["seen_at"] == "2026-11-23T13:00:00.000000Z"
    assert rows[1] == {"name": "", "addresses": "", "seen_at": "", "n": "", "more": '{"a":[1]}'}


def test_csv_without_rows_still_names_its_columns():
    assert render.render([], COLUMNS, Format.CSV, PIPE) == "name,addresses,seen_at,n\n"


def test_csv_quotes_what_would_break_a_line():
    text = render.render([{"name": 'a "b",\nc'}], (Column("name"),), Format.CSV, PIPE)
    assert list(csv.reader(io.StringIO(text))) == [["name"], ['a "b",\nc']]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_is_no_wider_than_its_terminal(width):
    assert max(map(len, drawn(width).splitlines())) <= width


def test_a_narrow_terminal_loses_the_least_important_columns_first():
    assert "COUNT" in drawn(80)
    assert "COUNT" not in drawn(42)
    assert "ADDRESSES" in drawn(42)
    assert "ADDRESSES" not in drawn(20)
    assert "NAME" in drawn(20)


def test_what_comes_from_the_network_cannot_move_the_terminal():
    evil = "a\x1b[2Jb\r\nc\u202e[red]d[/red]\x9b"
    for width in (None, 80):
        text = drawn(width, [{"name": evil}], (Column("name"),))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\x9b" not in text
        assert "[red]d[/red]" in text
        assert len(text.splitlines()) <= 3


def test_wide_letters_take_two_cells():
    text = render.table(
        [{"a": "核心", "b": 1}, {"a": "x", "b": 2}], (Column("a"), Column("b")), PIPE
    )
    assert text.splitlines()[1:] == ["核心   1", "x      2"]


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (0, "now"),
        (5, "5 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (7200, "2 h ago"),
        (86400 * 3, "3 d ago"),
        (-60, "2026-11-23 13:01:00Z"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(ago, text):
    assert render.age(to_wire(NOW - timedelta(seconds=ago)), NOW) == text


def test_sorting_knows_numbers_in_text_and_puts_the_unknown_last():
    rows = [{"a": "10.0.0.10"}, {"a": None}, {"a": "10.0.0.9"}]
    assert [r["a"] for r in render.ordered(rows, "a")] == ["10.0.0.9", "10.0.0.10", None]
    assert [r["a"] for r in render.ordered(rows, "-a")] == ["10.0.0.10", "10.0.0.9", None]


def test_facts_leave_out_what_is_not_known():
    text = render.facts(ROWS[0] | {"n": None}, COLUMNS, PIPE)
    assert text == "name       hq-fw-1\naddresses  127.0.0.1, 127.0.0.2\nseen       now\n"
