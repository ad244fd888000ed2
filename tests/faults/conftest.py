import importlib.util
import sys
from pathlib import Path

import pytest

# The tiny world and the program's runner are those of the end-to-end tests.
APP = Path(__file__).resolve().parents[1] / "app"
sys.path.insert(0, str(APP))
_spec = importlib.util.spec_from_file_location("app_conftest", APP / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
program = _module.program
_made_world = _module.world

KINDS = ("all", "worker", "first", "mpirun", "point")


def _kinds(text):
    kinds = text.split(",")
    if not kinds or set(kinds) - set(KINDS):
        raise pytest.UsageError(f"--kinds {text}: expected a list of {', '.join(KINDS)}, joined by commas")
    return kinds


def pytest_addoption(parser):
    group = parser.getgroup("faults")
    group.addoption("--kills", type=int, default=15, help="kills at random moments; 15 keeps CI short, 300 is the long form")
    group.addoption("--kinds", type=_kinds, default=list(KINDS), help="whom they hit: all ranks, one worker, rank 0, mpirun; or at a named event")
    group.addoption("--seed", type=int, default=1, help="chooses moments and victims; printed")


@pytest.fixture(scope="session")
def world(_made_world):
    program.keep_mpi_files_in(_made_world.root / "mpi")
    return _made_world


@pytest.fixture(scope="session")
def kills(request):
    return request.config.getoption("--kills")


@pytest.fixture(scope="session")
def kinds(request):
    return request.config.getoption("--kinds")


@pytest.fixture(scope="session")
def seed(request):
    return request.config.getoption("--seed")
