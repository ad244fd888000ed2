"""The rules of src/README.md, checked: includes follow the layers' arrows, foreign headers stay where they belong."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ARROWS = {"base": [], "core": ["base"], "plan": ["core"], "sched": ["plan"], "mpi": ["sched"], "model": ["core"],
          "exec": ["model", "plan", "sched"], "store": ["mpi", "sched", "plan"],
          "app": ["base", "core", "plan", "sched", "mpi", "model", "exec", "store"]}
"""What each layer may include; what these include is implied."""

FOREIGN = {  # header -> the folders that may include it
    "MPI": (r"mpi\.h", ["include/cmsweep/mpi", "src/mpi", "src/store"]),
    "HDF5": (r"(hdf5|H5\w+)(_hl)?\.h", ["src/store"]),
    "torch": (r"(torch|ATen|c10|caffe2)/.*", ["include/cmsweep/model", "src/model", "src/exec"]),
    "toml++": (r"toml(\+\+|plusplus)?[./].*", ["src/plan"]),
    "Boost": (r"boost/.*", ["src/app"]),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def reachable(layer):
    """A layer and all that its arrows lead to."""
    found = {layer}
    for below in ARROWS[layer]:
        found |= reachable(below)
    return found


def sources(root):
    return sorted(path for folder in ("src", "include") for path in (root / folder).rglob("*") if path.suffix in (".cpp", ".hpp"))


def layer_of(root, path):
    parts = path.relative_to(root).parts
    return parts[1] if parts[0] == "src" else parts[2]


def includes(path):
    return [(sign == "<", name) for sign, name in INCLUDE.findall(path.read_text())]


def resolve(root, path, name):
    """The file of this project that a quoted include names, or None."""
    for folder in (path.parent, root / "include", root / "src" / layer_of(root, path)):
        if (folder / name).exists():
            return (folder / name).resolve()
    return None


def wrong_arrows(root):
    problems = []
    for path in sources(root):
        for foreign, name in includes(path):
            target = None if foreign else resolve(root, path, name)
            if foreign:
                if name.startswith("cmsweep/"):
                    problems.append(f'{path}: <{name}>: expected quotes around the project\'s own headers')
            elif target is None:
                problems.append(f'{path}: "{name}": no such header in its layer; foreign headers are included with <>')
            elif layer_of(root, target) not in reachable(layer_of(root, path)):
                problems.append(f'{path}: "{name}": {layer_of(root, path)} must not include {layer_of(root, target)}')
            elif layer_of(root, target) != layer_of(root, path) and not target.is_relative_to(root / "include"):
                problems.append(f'{path}: "{name}": a private header of another layer')
    return problems


def misplaced(root, library):
    pattern, folders = FOREIGN[library]
    return [f"{path}: <{name}>: {library} belongs to {', '.join(folders)}"
            for path in sources(root) for foreign, name in includes(path)
            if foreign and re.fullmatch(pattern, name) and not any(path.is_relative_to(root / folder) for folder in folders)]


def data_sources(root):
    """The sources of model's targets that know no torch."""
    text = (root / "src/model/CMakeLists.txt").read_text()
    names = re.search(r"add_library\(cmsweep_data\s+STATIC([^)]*)\)", text).group(1).split()
    return [root / "src/model" / name for name in names]


def torch_behind(root, path):
    """Torch headers that a file includes, itself or through others of the project."""
    waiting, seen, found = [path.resolve()], set(), []
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for foreign, name in includes(file):
            if foreign and re.fullmatch(FOREIGN["torch"][0], name):
                found.append(f"{path}: <{name}> through {file}")
            elif not foreign and (target := resolve(root, file, name)):
                waiting.append(target)
    return found


def own_header_not_first(root):
    problems = []
    for path in (path for path in sources(root) if path.suffix == ".cpp"):
        inside = path.relative_to(root / "src").with_suffix(".hpp")
        own = next((header for header in (path.with_suffix(".hpp"), root / "include/cmsweep" / inside) if header.exists()), None)
        listed = includes(path)
        if own is not None and (not listed or listed[0][0] or resolve(root, path, listed[0][1]) != own.resolve()):
            problems.append(f"{path}: expected {own.name} as its first include, so that every header compiles alone")
    return problems


def test_includes_follow_the_arrows():
    assert len(sources(ROOT)) > 100
    assert wrong_arrows(ROOT) == []


@pytest.mark.parametrize("library", FOREIGN)
def test_foreign_headers_stay_where_they_belong(library):
    assert misplaced(ROOT, library) == []
    pattern = FOREIGN[library][0]
    assert any(foreign and re.fullmatch(pattern, name) for path in sources(ROOT) for foreign, name in includes(path)), "the pattern finds none"


def test_corpora_know_no_torch():
    assert data_sources(ROOT)
    assert [problem for path in data_sources(ROOT) for problem in torch_behind(ROOT, path)] == []
    assert torch_behind(ROOT, ROOT / "src/model/network.cpp"), "the search finds torch where it is"


def test_sources_include_their_own_header_first():
    assert own_header_not_first(ROOT) == []


@pytest.fixture
def project(tmp_path):
    """A project of two layers, to be broken."""
    for file, text in {"src/core/sum.cpp": '#include "sum.hpp"\n', "src/core/sum.hpp": "#pragma once\n",
                       "src/base/id.cpp": "#include <string>\n", "include/cmsweep/core/sum.hpp": "#pragma once\n"}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert wrong_arrows(tmp_path) == own_header_not_first(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize("line, message", [
    ('#include "cmsweep/core/sum.hpp"', "base must not include core"),
    ('#include "../core/sum.hpp"', "base must not include core"),
    ('#include "nowhere.hpp"', "no such header"),
    ("#include <cmsweep/base/id.hpp>", "expected quotes"),
])
def test_a_wrong_include_is_found(project, line, message):
    (project / "src/base/id.cpp").write_text(line + "\n")
    assert len(wrong_arrows(project)) == 1 and message in wrong_arrows(project)[0]


@pytest.mark.parametrize("library, header", [("MPI", "mpi.h"), ("HDF5", "hdf5.h"), ("HDF5", "hdf5_hl.h"), ("torch", "ATen/ATen.h"),
                                             ("toml++", "toml++/toml.h"), ("Boost", "boost/math/special_functions.hpp")])
def test_a_misplaced_header_is_found(project, library, header):
    (project / "src/base/id.cpp").write_text(f"#include <{header}>\n")
    assert len(misplaced(project, library)) == 1


def test_a_header_out_of_order_is_found(project):
    (project / "src/core/sum.cpp").write_text('#include <string>\n#include "sum.hpp"\n')
    assert len(own_header_not_first(project)) == 1
