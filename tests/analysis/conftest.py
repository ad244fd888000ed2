import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "analysis", Path(__file__).parent):
    sys.path.insert(0, str(folder))

import synthetic_store  # noqa: E402


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """A store in the quickstart's shape with known numbers."""
    return synthetic_store.quickstart_like().write(tmp_path_factory.mktemp("store") / "synthetic.h5")


@pytest.fixture(scope="session")
def quickstart():
    """The real store of the quickstart, where it has been run."""
    path = ROOT / "results" / "quickstart.h5"
    if not path.exists():
        pytest.skip("results/quickstart.h5 is not there: run ./jobs/quickstart.sh")
    return path
