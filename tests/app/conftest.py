import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import program  # noqa: E402
import world as worlds  # noqa: E402


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Text and a base, which the program itself makes through [pretrain]."""
    return worlds.World(tmp_path_factory.mktemp("world")).make_base(program.run_well)
