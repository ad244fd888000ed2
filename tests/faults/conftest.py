import importlib.util
import sys
from pathlib import Path

# The tiny world and the program's runner are those of the end-to-end tests.
APP = Path(__file__).resolve().parents[1] / "app"
sys.path.insert(0, str(APP))
_spec = importlib.util.spec_from_file_location("app_conftest", APP / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
world = _module.world
