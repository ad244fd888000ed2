import importlib.util
import shutil
import signal
import sys
from pathlib import Path

import pytest

# The tiny world and the program's runner are those of the end-to-end tests.
APP = Path(__file__).resolve().parents[1] / "app"
sys.path.insert(0, str(APP))
sys.path.insert(0, str(Path(__file__).parent))
_spec = importlib.util.spec_from_file_location("app_conftest", APP / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
world = _module.world

import cluster  # noqa: E402


@pytest.fixture(scope="session")
def slurm():
    """A Slurm of eight virtual nodes with 32 pretended processors each: as many as the batch scripts ask for by themselves."""
    if missing := cluster.missing():
        if shutil.which("apt-get") is None:
            pytest.skip(f"Slurm and MUNGE are not installed ({', '.join(missing)} missing), and this is no Debian, where jobs/install_packages.sh tests would do it")
        pytest.fail(f"{', '.join(missing)} missing: run jobs/install_packages.sh tests")

    def end(number, _):
        raise SystemExit(128 + number)
    before = signal.signal(signal.SIGTERM, end)  # so that the daemons are taken down then, too
    try:
        with cluster.Cluster(nodes=8, cpus=32) as running:
            yield running
    finally:
        signal.signal(signal.SIGTERM, before)
