"""The examples of docs/policy.md are read, tried, and come out as the page says."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from pdsno.governance.document import parse_addition, parse_policy
from pdsno.governance.effective import loosenings

PAGE = (Path(__file__).parents[3] / "docs/policy.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- tested: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def folder(tmp_path):
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder, *words):
    home = str(folder / "no-home")
    return CliRunner().invoke(app, ["--home", home, *map(str, words)])


def test_the_page_has_a_policy_cases_and_an_addition():
    assert set(EXAMPLES) == {"policy.toml", "cases.yaml", "zone-a.toml"}


def test_the_cases_come_out_as_they_expect_without_a_home(folder):
    ran = run(folder, "policy", "test", folder / "cases.yaml", "--policy", folder / "policy.toml")
    assert ran.exit_code == 0, (ran.output, ran.exception)
    assert ran.output.count("as expected") == EXAMPLES["cases.yaml"].count("- name:")


def test_the_addition_tightens(folder):
    policy = parse_policy(EXAMPLES["policy.toml"], "policy.toml")
    addition = parse_addition(EXAMPLES["zone-a.toml"], "zone-a.toml")
    assert loosenings(policy, addition) == []
    words = ["policy", "test", folder / "cases.yaml", "--policy", folder / "policy.toml"]
    ran = run(folder, *words, "--addition", folder / "zone-a.toml")
    assert ran.exit_code == 0, (ran.output, ran.exception)


def test_the_error_on_the_page_is_the_error_there_is():
    wrong = EXAMPLES["policy.toml"].replace('name = "access-mtu"', 'name = "uplinks"')
    wrong = wrong.replace('tier = "MEDIUM"', 'tier = "MEDIOCRE"', 1)
    with pytest.raises(ValueError, match=r"policy.toml:\d+: rule 'uplinks', tier: ") as refusal:
        parse_policy(wrong, "policy.toml")
    said = str(refusal.value).partition("tier: ")[2].partition(" (")[0]
    assert f"tier: {said}`" in PAGE
