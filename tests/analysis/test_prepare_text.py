"""Text is prepared a corpus at a time: what is there stays, what is missing is made, what failed leaves nothing behind."""
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def preparation(monkeypatch, tmp_path):
    specification = importlib.util.spec_from_file_location("prepare_text", ROOT / "jobs" / "prepare_text.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    made = []

    def corpus(name):
        def make(out, _scratch):
            made.append(name)
            module.write(out / name, "a.txt", f"{name} {len(made)}")
        return make

    monkeypatch.setattr(module, "CORPORA", {name: corpus(name) for name in ("code", "math")})
    monkeypatch.setattr("sys.argv", ["prepare_text.py", str(tmp_path / "text")])
    module.made, module.out, module.corpus = made, tmp_path / "text", corpus
    return module


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_run_makes_only_what_is_missing(preparation):
    preparation.main()
    assert contents(preparation.out) == {"code/a.txt": "code 1", "math/a.txt": "math 2"}
    (preparation.out / ".complete").touch()  # as earlier versions marked a folder: it hides nothing
    preparation.CORPORA["formal"] = preparation.corpus("formal")
    preparation.main()
    assert preparation.made == ["code", "math", "formal"]
    assert contents(preparation.out) == {".complete": "", "code/a.txt": "code 1", "math/a.txt": "math 2", "formal/a.txt": "formal 3"}


def test_a_corpus_that_fails_is_not_taken_for_complete(preparation):
    def fails(out, _scratch):
        preparation.write(out / "math", "a.txt", "half")
        raise OSError("disk full")

    whole, preparation.CORPORA["math"] = preparation.CORPORA["math"], fails
    with pytest.raises(OSError):
        preparation.main()
    assert not (preparation.out / "math").exists()
    preparation.CORPORA["math"] = whole
    preparation.main()
    assert contents(preparation.out) == {"code/a.txt": "code 1", "math/a.txt": "math 2"}


def test_formal_text_has_statements_but_no_proofs(tmp_path):
    """On a database of the same form: sections of statements, compressed proofs between $= and $."""
    specification = importlib.util.spec_from_file_location("prepare_text", ROOT / "jobs" / "prepare_text.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    section = "$(\n=-=-=-=\n  Section {n}\n=-=-=-=\n$)\n" + "  $( A comment. $)\n  th{n} $p |- A = A $=\n    ( weq ) ABCDEF $.\n" * 20
    database = tmp_path / "set.mm"
    database.write_text("$( a header that is left out $)\n$( Begin $[ set-main.mm $] $)\n" + "".join(section.replace("{n}", str(n)) for n in range(3)))
    module.installed_or_unpacked = lambda *_: str(database)
    module.formal(tmp_path / "out", tmp_path)
    text = contents(tmp_path / "out" / "formal")
    assert len(text) == 3
    for document in text.values():
        assert "$p |- A = A $." in document and "ABCDEF" not in document and "header" not in document
