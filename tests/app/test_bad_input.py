"""Bad input: exit 2, one clear message on standard error, nothing started, nothing changed."""
import json
import os
import re
import shutil
import struct
import subprocess

import h5py
import numpy as np
import pytest

import program
import safetensors
import world as worlds


@pytest.fixture
def case(world, tmp_path):
    """A sound config in a folder of its own, to be spoilt."""
    class Case:
        folder = tmp_path / "case"
        config = world.sweep("case")

        def own_base(self):
            """A copy of the base, to be damaged."""
            target = self.folder / "model"
            shutil.copytree(world.base, target)
            self.config["model"]["checkpoint"] = target
            return target

        def own_corpus(self, name, **changes):
            """A corpus of this name in files of its own."""
            target = self.folder / "text" / name
            target.mkdir(parents=True)
            corpus = next(entry for entry in self.config["corpus"] if entry["name"] == name)
            corpus.update(files=[target / "*"], **changes)
            return target

        def refuse(self, *fragments, ranks=0, words=("run",)):
            """Runs, and checks that it was refused, why, and that nothing has changed."""
            file = self.folder / "sweep.toml" if (self.folder / "sweep.toml").exists() else worlds.write(self.config, self.folder)
            before = program.snapshot(self.folder)
            result = program.run(*words, file, ranks=ranks)
            assert result.code == 2, str(result)
            for fragment in fragments:
                assert re.search(fragment, result.err), f"expected {fragment!r} in: {result}"
            assert result.out == "", str(result)
            assert "terminate called" not in result.err and "HDF5-DIAG" not in result.err and "MPI_ABORT" not in result.err
            changed = {name for name, entry in program.snapshot(self.folder).items() if before.get(name) != entry}
            assert not changed and program.snapshot(self.folder).keys() == before.keys(), f"changed: {changed}"
            return result

        def refuse_in_one_line(self, fragment, **how):
            result = self.refuse(fragment, **how)
            assert len(result.err.strip().splitlines()) == 1, str(result)
            return result

    made = Case()
    made.folder.mkdir()
    return made


# ---- the config

def test_a_missing_config(tmp_path):
    result = program.run(tmp_path / "absent.toml")
    assert result.code == 2 and "absent.toml" in result.err and len(result.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_no_toml(case):
    (case.folder / "sweep.toml").write_text("[sweep\nname = 1\n")
    case.refuse_in_one_line(r"sweep\.toml:1: ")


def test_an_unknown_key_with_a_suggestion(case):
    case.config["finetune"]["lerning_rate"] = 1e-3
    case.refuse_in_one_line(r"sweep\.toml:\d+: finetune\.lerning_rate.*learning_rate")


def test_a_wrong_type(case):
    case.config["finetune"]["steps"] = "many"
    case.refuse_in_one_line(r"sweep\.toml:\d+: finetune\.steps = \"many\".*expected")


@pytest.mark.parametrize("spoil, fragment", [
    (lambda config: config["grid"].update(layers=["all", 2]), r"grid.*layers.*2"),
    (lambda config: config["grid"].update(layers=["1-3"]), r"grid.*layers.*1-3"),
    (lambda config: config["grid"]["method"][0].update(alpha=[0.5, 1.5]), r"grid\.method\[0\]\.alpha.*1\.5.*\[0, 1\]"),
    (lambda config: config["grid"]["method"][0].update(alpha=-0.1), r"grid\.method\[0\]\.alpha.*-0\.1"),
    (lambda config: config["grid"]["method"][2].update(span=3), r"span = 3.*at most the number of blocks, 2"),
    (lambda config: config["grid"]["method"][0].update(name="avrage"), r"avrage.*average"),
    (lambda config: config["grid"].update(pairs=[["code", "mth"]]), r"mth.*math"),
    (lambda config: config["similarity"].update(metrics=["cka_debiast"]), r"cka_debiast.*cka_debiased"),
    (lambda config: config["evaluate"].update(context=33), r"evaluate\.context = 33.*32"),
], ids=["layer_out_of_range", "range_out_of_range", "alpha_above_one", "alpha_below_zero", "span_above_the_blocks",
        "unknown_method", "unknown_member", "unknown_metric", "context_beyond_the_model"])
def test_a_value_out_of_range(case, spoil, fragment):
    spoil(case.config)
    case.refuse_in_one_line(fragment)


def test_a_degree_beyond_the_steps_for_each_specialist(case):
    case.config["grid"].update(degrees=[0, 21])
    result = case.refuse(r"grid\.degrees.*21.*beyond the 20 steps that \"code\"", r"beyond the 20 steps that \"math\"")
    assert len(result.err.splitlines()) == 2


def test_all_problems_at_once_with_their_lines(case):
    case.config["finetune"].update(step=5, batch=-1)
    case.config["grid"].update(degrees=[0, 99])
    case.config["evaluate"]["windows"] = "some"
    case.config["similarity"]["poling"] = "mean"
    result = case.refuse(r"finetune\.step\b.*steps", r"finetune\.batch = -1", r"degrees.*99", r"evaluate\.windows", r"similarity\.poling.*pooling")
    text = (case.folder / "sweep.toml").read_text().splitlines()
    lines = [re.match(r".*sweep\.toml:(\d+): \w+\.(\w+)", line) for line in result.err.splitlines()]
    assert len(lines) == 6 and all(lines), result.err  # the degree is beyond the steps of both specialists
    for match in lines:
        assert match.group(2) in text[int(match.group(1)) - 1], "the line that it names"


# ---- corpora

def test_a_missing_file(case):
    case.config["corpus"][0]["files"] = [case.folder / "absent" / "*.txt"]
    case.refuse_in_one_line(r"sweep\.toml:\d+.*corpus.*no file matches .*absent")


def test_a_missing_file_on_three_ranks(case):
    case.config["corpus"][0]["files"] = [case.folder / "absent" / "*.txt"]
    result = case.refuse("no file matches", ranks=3)
    assert result.err.count("no file matches") == 1, "said once"


def test_a_wrong_config_on_three_ranks(case):
    case.config["finetune"].update(step=5)
    result = case.refuse(r"finetune\.step", ranks=3)
    assert result.err.count("finetune.step") == 1, "said once"


def test_an_empty_corpus(case):
    folder = case.own_corpus("code")
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("")
    case.refuse_in_one_line(r"corpus.*code|corpus\[0\].*no text")


def test_a_training_text_shorter_than_a_window(case):
    (case.own_corpus("code", holdout=0) / "a.txt").write_text("x = 1\n")
    case.refuse_in_one_line(r"corpus \"code\".*training split has \d+ tokens.*windows of context \+ 1 = 33")


def test_a_target_shorter_than_a_window(case):
    case.config["grid"]["method"] = [{"name": "average"}]  # nothing trains on the target
    (case.own_corpus("record", holdout=1) / "a.txt").write_text("too short")
    case.refuse(r"corpus \"record\".*(select|test) split has \d+ tokens.*33")


def test_a_held_out_document_in_a_training_split(case, world):
    """The target's files are code's too: what is held out there is trained on here."""
    case.config["corpus"][0].update(files=[world.text / "code" / "*", world.text / "record" / "*"], holdout=0)
    case.refuse(r"\d+ of its (select|test) documents are also in the training split of corpus \"code\"")


# ---- checkpoints

def test_a_missing_checkpoint(case):
    case.config["model"]["checkpoint"] = case.folder / "nowhere"
    case.refuse_in_one_line(r"nowhere: no such folder")


def test_a_truncated_safetensors_file(case):
    file = case.own_base() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    case.refuse_in_one_line(r"model\.safetensors")


def test_a_safetensors_header_of_two_to_the_sixtieth_bytes(case):
    file = case.own_base() / "model.safetensors"
    file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])
    case.refuse_in_one_line(r"model\.safetensors.*1152921504606846976")


def test_a_lacking_tensor(case):
    file = case.own_base() / "model.safetensors"
    tensors = safetensors.read(file)
    name = next(name for name in tensors if name.endswith("h.1.mlp.c_fc.weight"))
    del tensors[name]
    safetensors.write(file, tensors)
    case.refuse_in_one_line(r"no tensor h\.1\.mlp\.c_fc\.weight")


def test_a_tensor_of_another_shape(case):
    file = case.own_base() / "model.safetensors"
    tensors = safetensors.read(file)
    name = next(name for name in tensors if name.endswith("h.0.mlp.c_fc.weight"))
    tensors[name] = tensors[name].T.copy()
    safetensors.write(file, tensors)
    case.refuse_in_one_line(r"h\.0\.mlp\.c_fc\.weight has shape.*expected.*transposed")


def smaller_model(case, world, tokens=257, blocks=2):
    """The base with another vocabulary or fewer blocks."""
    folder = case.folder / "other"
    shutil.copytree(world.base, folder)
    tensors = safetensors.read(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config.update(vocab_size=tokens, n_layer=blocks)
    kept = {name: tensor[:tokens] if name.endswith("wte.weight") else tensor for name, tensor in tensors.items()
            if not re.search(rf"h\.([{blocks}-9])\.", name)}
    safetensors.write(folder / "model.safetensors", kept)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_specialist_of_another_shape(case, world):
    case.config["specialist"][1] = {"name": "math", "checkpoints": {"10": smaller_model(case, world, tokens=256, blocks=1),
                                                                    "20": world.base}}
    case.refuse_in_one_line(r"specialist.*other: another shape than the base's: .*1 \(base: 2\)")


def test_a_specialist_of_another_vocabulary(case, world):
    case.config["specialist"][1] = {"name": "math", "checkpoints": {"10": smaller_model(case, world, tokens=200), "20": world.base}}
    case.refuse_in_one_line(r"specialist.*other: another shape than the base's: .*200 \(base: 256\)")


def test_a_checkpoint_of_another_vocabulary_than_the_tokenizer(case, world):
    case.config["model"]["checkpoint"] = smaller_model(case, world, tokens=200)
    case.refuse(r"the tokenizer knows 256 tokens, but the model's embedding has 200 rows")


# ---- the output

def test_an_output_below_a_file(case):
    (case.folder / "occupied").write_text("a file, not a folder\n")
    case.config["sweep"]["output"] = case.folder / "occupied" / "sweep"
    case.refuse_in_one_line(r"occupied: the output folder cannot be written")


@pytest.mark.parametrize("ranks", [0, 3])
def test_an_output_on_a_read_only_file_system(case, ranks):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    target = case.folder / "read-only"
    target.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", target], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip("no right to mount here: " + mounted.stderr.strip())
    try:
        case.config["sweep"]["output"] = target / "sweep"
        assert case.refuse(r"read-only: the output folder cannot be written \(Read-only file system\)", ranks=ranks).err.count("cannot be written") == 1
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.fixture
def stored(case):
    """A store in the case's output folder."""
    def make():
        file = worlds.write(case.config, case.folder)
        case.config["sweep"]["seeds"] = [0]
        case.config["grid"]["method"] = [{"name": "average"}]
        worlds.write(case.config, case.folder)
        program.run_well(file)
        return worlds.store_of(file, case.config)
    return make()


def test_a_store_of_another_schema(case, stored):
    with h5py.File(stored, "r+") as file:
        file.attrs["cmsweep_schema"] = np.array(999, dtype=file.attrs["cmsweep_schema"].dtype)
    case.refuse_in_one_line(r"case\.h5.*schema 999")


def test_a_store_of_another_sweep(case, stored):
    text = (case.folder / "sweep.toml").read_text()
    assert text.count('name = "case"') == 1
    (case.folder / "sweep.toml").write_text(text.replace('name = "case"', 'name = "other"'))
    for words in (("run",), ("plan",)):
        case.refuse_in_one_line(r"sweep\.name = \"other\".*holds the sweep \"case\"", words=words)


@pytest.mark.parametrize("content", [b"not a store at all\n", b""], ids=["text", "empty"])
def test_a_file_that_is_no_store(case, content):
    (case.folder / "out").mkdir()
    (case.folder / "out" / "case.h5").write_bytes(content)
    case.refuse_in_one_line(r"case\.h5.*(no cmsweep store|not a cmsweep store|HDF5)")


def test_a_foreign_hdf5_file(case):
    (case.folder / "out").mkdir()
    with h5py.File(case.folder / "out" / "case.h5", "w") as file:
        file["something"] = np.arange(3)
    case.refuse_in_one_line(r"case\.h5.*cmsweep store")


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_store_that_crashes_hdf5(case, stored, ranks, monkeypatch):
    """HDF5 reads a damaged file's own words about itself without much care: it does so in a child process first."""
    monkeypatch.setitem(program.ENVIRONMENT, "CMSWEEP_FAULT", "event=store.probe;signal=SEGV")
    for words in (("run",), ("plan",)):
        case.refuse(r"case\.h5: damaged: HDF5 does not survive reading it: Segmentation fault; restore a copy", words=words, ranks=ranks)
    verified = program.run("verify", stored)
    assert verified.code == 1 and "does not survive" in verified.out + verified.err, str(verified)
    for words in (("status",), ("report",)):
        result = program.run(*words, stored)
        assert result.code == 2 and "does not survive" in result.err, str(result)
    monkeypatch.delitem(program.ENVIRONMENT, "CMSWEEP_FAULT")
    program.run_well("verify", stored)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"time": 0, "state": "running", "total": 1e300, "done": 0, "failed": 0, "rate": 0, "eta": 0, "ranks": []}',
                                  '{"time": 0, "state": "running", "total": 1, "done": 9223372036854775807, "failed": 1, "rate": 0, "eta": 0, "ranks": []}'])
def test_a_damaged_status_file(stored, text):
    stored.with_suffix(".d").joinpath("status.json").write_text(text)
    result = program.run("status", stored)
    assert result.code == 2 and "status.json: not a status file: delete it" in result.err, str(result)


def test_a_store_that_claims_more_than_it_holds(case, stored):
    """Extents of 64 GiB, of which nothing is stored: HDF5 itself finds nothing wrong with that."""
    with h5py.File(stored, "r+") as file:
        table = file["training"]
        rows = table["row"].shape[0]
        for name in ("step", "loss", "learning_rate"):
            column = table[name]
            shape = (2**33, 1) if name == "step" else (rows, 2**33)
            attributes = {key: value for key, value in column.attrs.items() if key not in ("DIMENSION_LIST", "REFERENCE_LIST")}
            kind = column.dtype
            del table[name]
            table.create_dataset(name, shape=shape, dtype=kind).attrs.update(attributes)
    for words in (("run",), ("plan",)):
        case.refuse_in_one_line(r"case\.h5: damaged or of another make: dataset loss claims more values than the file can hold", words=words)
    verified = program.run("verify", stored)
    assert verified.code == 1 and "loss claims more values than the file can hold" in verified.out + verified.err, str(verified)
