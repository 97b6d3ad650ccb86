import pytest
from hierarchy import World


@pytest.fixture
def world():
    return World()
