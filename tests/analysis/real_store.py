"""Makes a small store with the real program, on text that is generated here: the format's and the reader's tests need what the
C++ code truly writes."""
import os
import random
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CMSWEEP", ROOT / "build" / "release" / "bin" / "cmsweep"))

CONFIG = """
[sweep]
name = "tiny"
output = "tiny"
seeds = [0, 1]
[model]
architecture = "gpt2"
blocks = 2
width = 16
heads = 2
context = 32
tokenizer = "bytes"
[[corpus]]
name = "code"
files = ["code/*"]
[[corpus]]
name = "math"
files = ["math/*"]
[[corpus]]
name = "doctest"
files = ["doctest/*"]
holdout = 0.5
[pretrain]
corpus = ["code", "math"]
steps = 30
batch = 4
learning_rate = 5e-3
[[specialist]]
name = "code"
corpus = "code"
[[specialist]]
name = "math"
corpus = "math"
[finetune]
steps = 8
batch = 4
learning_rate = 5e-3
[grid]
pairs = [["code", "math"]]
degrees = [0, 4, 8]
targets = ["doctest"]
[[grid.method]]
name = "average"
alpha = [0.25, 0.5]
[[grid.method]]
name = "interpolate_features"
alpha = [0.5]
[[grid.method]]
name = "route"
span = [1, 2]
steps = 4
batch = 4
[[grid.method]]
name = "ensemble_probabilities"
[evaluate]
windows = 16
[similarity]
probe = "doctest"
windows = 32
metrics = ["cka_linear", "cka_debiased"]
against = ["pair", "base", "self", "seeds"]
permutations = 3
[run]
device = "cpu"
"""

WORDS = {"code": "def return lambda yield import class self while".split(), "math": "integral sum lemma proof limit zeta prime norm".split()}
WORDS["doctest"] = WORDS["code"] + WORDS["math"]


def program():
    """The built program; fails where there is none."""
    if not os.access(PROGRAM, os.X_OK):
        raise FileNotFoundError(f"{PROGRAM}: no such program. These tests run the real one: build it (cmake --build --preset release), "
                                "or name it in CMSWEEP")
    return PROGRAM


def write_text(folder):
    for corpus, words in WORDS.items():
        (folder / corpus).mkdir()
        for document in range(16):
            draw = random.Random(f"{corpus} {document}")
            lines = (" ".join(draw.choices(words, k=6)) + f" {draw.randint(0, 10**6)}\n" for _ in range(40))
            (folder / corpus / f"{document:02d}.txt").write_text("".join(lines))


def environment():
    """One thread a rank; as root and on few cores, too; and no traces of an mpirun around these tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMIX_", "SLURM_"))}
    return {**inherited, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1"}


def run(*arguments, ranks=None):
    """The program's output; its failure with all that it said is an error. Without `ranks` it runs alone."""
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
    done = subprocess.run([*launcher, program(), *map(str, arguments)], env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"cmsweep {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def make(folder):
    """Runs the small sweep in an empty folder; returns its store."""
    write_text(folder)
    (folder / "tiny.toml").write_text(CONFIG)
    run(folder / "tiny.toml", ranks=2)
    return folder / "tiny.h5"
