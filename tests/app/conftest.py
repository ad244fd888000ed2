import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import program  # noqa: E402
import world as worlds  # noqa: E402


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Text and a base, which the program itself makes through [pretrain]."""
    made = worlds.World(tmp_path_factory.mktemp("world"))
    config = made.pretraining()
    program.run_well(worlds.write(config, made.root, "base.toml"))
    folders = list((made.root / "made" / "base.d" / "base").iterdir())
    assert len(folders) == 1
    folders[0].rename(made.base)
    return made
