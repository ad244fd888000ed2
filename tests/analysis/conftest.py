import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "analysis", Path(__file__).parent):
    sys.path.insert(0, str(folder))

import real_store  # noqa: E402
import synthetic_store  # noqa: E402


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """A store in the quickstart's shape with known numbers."""
    return synthetic_store.quickstart_like().write(tmp_path_factory.mktemp("store") / "synthetic.h5")


@pytest.fixture(scope="session")
def quickstart_or_synthetic(synthetic):
    """The real store of the quickstart where it has been run, else one in its shape."""
    path = ROOT / "results" / "quickstart.h5"
    return path if path.exists() else synthetic


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A small store that the real program wrote."""
    return real_store.make(tmp_path_factory.mktemp("real"))
