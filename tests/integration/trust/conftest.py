import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
sys.path[:0] = [
    str(TESTS / "integration" / "network"),
    str(TESTS / "unit" / "streams"),
    str(TESTS / "unit" / "golden"),
]
pytest.register_assert_rewrite("trust_network")
