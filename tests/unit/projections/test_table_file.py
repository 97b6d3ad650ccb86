"""A table's file: what must stand in it, and that each file here is in order."""

import subprocess
import sys
from pathlib import Path

import pytest

from projections.table import Fold, fingerprint, parse, tables

GOOD = """\
-- Tokens.
-- key: scope, token_id
-- folds: token.issued,
--        token.spent

-- name: table
CREATE TABLE token (scope VARCHAR, token_id VARCHAR);

-- A note between two statements.

-- name: fold token.issued
INSERT INTO token SELECT scope,
       max(id) -- of several
       -- of one: id
FROM batch;

-- name: fold token.issued, token.spent
DELETE FROM token;
"""


def test_a_file_gives_its_key_its_definition_and_its_folds_in_order():
    table = parse("token", GOOD)
    assert (table.name, table.key) == ("token", ("scope", "token_id"))
    assert table.types == {"token.issued", "token.spent"}
    assert table.definition.startswith("CREATE TABLE token")
    assert [fold.types for fold in table.folds] == [{"token.issued"}, table.types]


def test_a_fold_has_a_second_form_for_a_batch_of_one_event():
    several = parse("token", GOOD).folds[0]
    assert "max(id)" in several.sql
    assert "max(id)" not in several.alone
    assert "\n       id\n" in several.alone


def test_a_fold_stands_in_for_one_of_the_same_event_that_found_no_row():
    birth = "\n-- name: fold {} (of one, where nothing changed)\nINSERT INTO token VALUES ($id);\n"
    *_, fold = parse("token", GOOD + birth.format("token.issued, token.spent")).folds
    assert fold.otherwise
    assert not fold.reads_batch
    assert parse("token", GOOD).folds[0].reads_batch
    with pytest.raises(ValueError, match="no fold of the same events before"):
        parse("token", GOOD + birth.format("token.issued"))


def test_a_fold_runs_when_the_batch_has_one_of_its_events():
    fold = Fold("", "", frozenset({"token.issued", "token.spent"}))
    assert fold.wants({"token.spent", "lock.taken"})
    assert not fold.wants({"lock.taken"})
    assert Fold("", "", frozenset({"*"})).wants({"lock.taken"})


@pytest.mark.parametrize(
    ("without", "complaint"),
    [
        pytest.param("-- key: scope, token_id\n", "needs a 'key:' line", id="no key"),
        pytest.param(
            "-- folds: token.issued,\n--        token.spent\n", "needs a", id="no announcement"
        ),
        pytest.param("-- name: table\n", "one 'name: table' section", id="no definition"),
        pytest.param("        token.spent\n", "announces token.issued and folds", id="unannounced"),
        pytest.param("fold token.issued\n", "names its events", id="a fold of nothing"),
    ],
)
def test_a_file_with_a_part_missing_is_refused(without, complaint):
    assert without in GOOD
    replaced = "fold\n" if without.startswith("fold") else ""
    with pytest.raises(ValueError, match=complaint) as refusal:
        parse("token", GOOD.replace(without, replaced, 1))
    assert "token.sql" in str(refusal.value)


def test_an_event_announced_and_folded_by_nothing_is_refused():
    with pytest.raises(ValueError, match=r"announces .*lock\.taken"):
        parse("token", GOOD.replace("token.issued,\n", "lock.taken, token.issued,\n", 1))


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_table_has_its_scope_in_the_key_and_says_what_a_row_means(table):
    assert table.key[0] == "scope"
    assert f"CREATE TABLE IF NOT EXISTS {table.name} (" in table.definition
    for column in table.key:
        assert f"\n    {column} " in table.definition


def test_the_fingerprint_is_the_same_in_every_process():
    """Were it not, every start would throw the NIB away."""
    told = {
        subprocess.run(
            [sys.executable, "-c", "import projections.table as t; print(t.fingerprint())"],
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
        for seed in ("1", "2", "3")
    }
    assert told == {fingerprint()}
