"""Every reason there is, is asked for from the outside: on a real connection, through a server."""

import re
from pathlib import Path
from typing import get_args

import pytest

from streams.catalogue.join import JoinFailed, Refusal
from streams.refusal import Reason

ROOT = Path(__file__).parents[3]
OUTSIDE = ROOT / "tests" / "integration" / "trust"
FAILED = get_args(JoinFailed.model_fields["reason"].annotation)


@pytest.fixture(scope="module")
def outside():
    """Read what the tests from the outside expect: reasons stand in them as they are."""
    return "".join(file.read_text() for file in sorted(OUTSIDE.glob("test_*.py")))


@pytest.mark.parametrize("reason", [*get_args(Refusal), *FAILED, *get_args(Reason)])
def test_a_reason_has_a_test_from_the_outside(outside, reason):
    assert re.search(rf"""["']{reason}["']""", outside)


@pytest.mark.parametrize("reason", [*get_args(Refusal), *FAILED, *get_args(Reason)])
def test_a_reason_stands_in_the_security_chapter(reason):
    """docs/security.md has the table of reasons, each with what led to it and its test."""
    assert f"`{reason}`" in (ROOT / "docs" / "security.md").read_text()
