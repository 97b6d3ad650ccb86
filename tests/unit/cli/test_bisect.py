import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bisect import first_failing, statement


@given(st.lists(st.booleans(), max_size=60))
async def test_the_event_that_is_found_is_one_after_which_it_fails_and_before_which_it_held(middle):
    held = [*middle, False]
    asked = []

    async def holds(number: int) -> bool:
        asked.append(number)
        return held[number]

    found, looked = await first_failing(len(held), holds)
    assert not held[found]
    assert found == 0 or held[found - 1]
    assert looked == len(asked) <= 7


@pytest.mark.parametrize(
    ("condition", "sql"),
    [
        ("1 = 1", "SELECT (1 = 1)"),
        ("(SELECT count(*) FROM lock) = 0", "SELECT ((SELECT count(*) FROM lock) = 0)"),
        ("SELECT true FROM lock", "SELECT true FROM lock"),
        (" from lock select true", " from lock select true"),
    ],
)
def test_a_condition_is_an_expression_or_a_statement(condition, sql):
    assert statement(condition) == sql
