import asyncio
import shutil
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("cli", "network", "trust")]

from thief import Thief, lived  # noqa: E402  # the path comes first


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    """Make a home that lived for a while and is at rest; beside it, as it was before."""
    folder = tmp_path_factory.mktemp("history")
    asyncio.run(lived(folder))
    shutil.copytree(folder / "home", folder / "before")
    asyncio.run(lived(folder))
    return folder


@pytest.fixture
def thief(history, tmp_path):
    shutil.copytree(history / "home", tmp_path / "home")
    return Thief(tmp_path / "home")
