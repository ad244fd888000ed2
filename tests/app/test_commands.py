"""The other commands: what they print, what they leave alone, their exit codes."""
import csv
import re
import shutil
import signal

import h5py
import numpy as np
import pytest

import program
import world as worlds


@pytest.fixture(scope="session")
def finished(world):
    config = world.sweep("finished")
    file = worlds.write(config, world.root / "finished")
    program.run_well(file)
    return file, worlds.store_of(file, config)


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copy(finished[1], tmp_path / "copied.h5")


# ---- help and mistakes

def test_help_names_every_command_and_exit_code():
    result = program.run_well("--help")
    for word in ("run", "plan", "status", "report", "verify", "export", "methods", "metrics", "--csv", "--walltime", "75"):
        assert word in result.out
    assert result.err == ""


def test_version():
    assert re.fullmatch(r"cmsweep \d+\.\d+\.\d+, LibTorch \d\S* \(.*\)\n", program.run_well("--version").out)


@pytest.mark.parametrize("arguments, fragment", [
    ([], "expected for example `cmsweep CONFIG.toml`"),
    (["verfy", "x.h5"], "did you mean verify?"),
    (["frobnicate"], 'unknown command "frobnicate"'),
    (["run"], "expected 1 file, got 0"),
    (["verify", "a.h5", "b.h5"], "expected 1 file, got 2"),
    (["--walltme", "2h", "x.toml"], "walltme"),
    (["export", "x.h5"], "expected --csv FILE"),
    (["methods", "average"], "expected 0 file"),
], ids=lambda value: "_".join(value) or "nothing" if isinstance(value, list) else "")
def test_a_wrong_command_line(arguments, fragment):
    result = program.run(*arguments)
    assert result.code == 2, str(result)
    assert fragment in result.err and result.out == "", str(result)
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["verify", "report", "plan", "status"])
def test_a_file_that_is_not_there(command, tmp_path):
    name = "absent.toml" if command == "plan" else "absent.h5"
    result = program.run(command, tmp_path / name)
    assert name in result.out + result.err
    assert result.code == (0 if command == "status" else 1 if command == "verify" else 2), str(result)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_walltime_starts_nothing(world, tmp_path):
    config = world.sweep("walltime")
    file = worlds.write(config, tmp_path)
    result = program.run(file, "--walltime", "soon")
    assert result.code == 2 and "soon" in result.err, str(result)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]


# ---- plan

def test_plan_tells_what_a_run_would_do_and_does_nothing(world, tmp_path):
    config = world.sweep("planned")
    file = worlds.write(config, tmp_path)
    before = program.snapshot(tmp_path)
    out = program.run_well("plan", file).out
    assert program.snapshot(tmp_path) == before
    # 3 references with (3, 3, 1) degrees; per degree 2 averages, 1 interpolation, 1 route, 1 ensemble; 2 seeds
    rows = (3 + 3 + 1 + 3 * 5) * 2
    assert re.search(rf"^experiments +{rows} ", out, re.MULTILINE), out
    assert re.search(r"^training +4 +4 +0 +4$", out, re.MULTILINE), out
    assert re.search(r"^degree +3", out, re.MULTILINE) and re.search(r"^seed +2", out, re.MULTILINE)
    for estimate in ("estimated time:", "estimated memory:", "estimated disk:", "overlap of training text with targets", "4 specialise"):
        assert estimate in out, out
    program.run_well(file)
    features = list((worlds.store_of(file, config).with_suffix(".d") / "cache" / "features").iterdir())
    announced = re.search(r"^estimated disk: .* ([\d.]+) KiB representations", out, re.MULTILINE)
    assert announced and 0 <= sum(path.stat().st_size for path in features) / 1024 - float(announced[1]) < len(features), "all but their headers"
    again = program.run_well("plan", file).out
    assert "none, everything is done" in again and re.search(rf"^experiments +{rows} +(\d+) +\1 +0$", again, re.MULTILINE), again
    data = program.columns(worlds.store_of(file, config), "experiments")
    assert len(data["id"]) == rows, "what was announced"


# ---- status

def test_status_before_during_and_after(world):
    config = world.long_sweep("watched")
    file = worlds.write(config, world.root / "watched")
    store = worlds.store_of(file, config)
    assert "nothing was started" in program.run_well("status", file).out
    process = program.start(file)
    try:
        program.wait_for(lambda: program.committed(store) > 0, process)
        process.send_signal(signal.SIGSTOP)  # so that it is not over before it has been looked at
        during = program.run_well("status", store).out
    finally:
        process.send_signal(signal.SIGCONT)
    assert "run: running" in during and re.search(r"\d+/\d+ results", during), during
    count = [int(number) for number in re.search(r"^experiments +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", during, re.MULTILINE).groups()]
    assert count[0] == sum(count[1:]) and count[1] > 0 and count[4] > 0, during
    assert program.finish(process).code == 0
    for path in (store, file):
        after = program.run_well("status", path).out
        assert "run: done" in after
        assert re.search(r"^experiments +(\d+) +\1 +0 +0 +0$", after, re.MULTILINE), after


# ---- report

def test_report_gives_a_verdict_for_every_degree(finished):
    out = program.run_well("report", finished[1]).out
    assert "code+math on record" in out
    for degree in (0, 10, 20):
        assert f"degree {degree}: best single model" in out
    for family in ("parameter", "activation", "routing", "output"):
        assert len(re.findall(rf"^ +{family} ", out, re.MULTILINE)) == 3, family
    assert out.count("  -> ") == 3 and "Failures" not in out


def test_report_agrees_with_the_store(finished):
    """The base's loss and a family's loss, recomputed from the columns."""
    _, store = finished
    out = program.run_well("report", store).out
    data = program.columns(store, "experiments")
    method = np.array(program.names_of(store, "method"))[data["method"]]
    base = data["loss"][method == "base"].mean()
    assert f"(base {base:.4f})" in out
    ensemble = data["loss"][(method == "ensemble_probabilities") & (data["degree"][:, 0] == 20)].mean()
    assert re.search(rf"^ +output +ensemble_probabilities +none +{ensemble:.4f} ", out, re.MULTILINE), out


# ---- verify

def test_verify_accepts_a_sound_store(finished):
    before = program.digest(finished[1])
    assert ": sound, schema 1, " in program.run_well("verify", finished[1]).out
    assert program.digest(finished[1]) == before


def columns_of(table):
    bookkeeping = ["id", "in_plan", "status", "commit", "message", "attempt", "rank", "seconds", "retryable", "label_check", "note_check"]
    own = {"experiments": ["seed", "pair", "method", "setting", "target", "layer", "layer_first", "layer_last", "model", "degree", "weight",
                           "loss", "accuracy", "loss_select", "loss_suffix", "tokens", "block_loss", "parameters_stored", "parameters_active",
                           "parameters_trained", "target_tokens", "flops_per_token", "similarity_member", "similarity_base"],
           "similarity": ["seed", "seed_b", "probe", "site", "metric", "model_a", "degree_a", "model_b", "degree_b", "value", "null_mean",
                          "null_p95", "low", "high"],
           "training": ["model", "seed", "loss", "learning_rate"], "routing": ["weight"]}
    return bookkeeping + own[table]


@pytest.mark.parametrize("table", program.TABLES)
def test_verify_finds_a_flipped_bit_in_every_column(copied, table):
    """One bit of one committed row at a time, in its first and in its last value, padding included."""
    with h5py.File(copied, "r") as file:
        row = 3
        assert file[table]["commit"][row] != 0
        places = {}
        for column in columns_of(table):
            data = file[table][column]
            size = data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=int))
            places[column] = data.id.get_offset() + row * size, size
    assert set(places) == set(program.columns(copied, table))
    for column, (offset, size) in places.items():
        for byte, bit in ((0, 0x01), (size - 1, 0x80)):
            with open(copied, "r+b") as file:
                file.seek(offset + byte)
                before = file.read(1)
                file.seek(offset + byte)
                file.write(bytes([before[0] ^ bit]))
            result = program.run("verify", copied)
            assert result.code == 1 and f"{table}, row {row} (id " in result.out, f"{column}, byte {byte}: {result}"
            assert "the checksum does not fit" in result.out and "terminate" not in result.err, f"{column}: {result}"
            with open(copied, "r+b") as file:
                file.seek(offset + byte)
                file.write(before)
    program.run_well("verify", copied)


def test_verify_finds_a_duplicate(copied):
    with h5py.File(copied, "r+") as file:
        table = file["experiments"]
        for name in ("seed", "pair", "method", "setting", "target", "layer", "layer_first", "layer_last", "model", "degree", "weight"):
            table[name][5] = table[name][4]
    result = program.run("verify", copied)
    assert result.code == 1 and "duplicate of row 4" in result.out, str(result)


def test_verify_finds_one_id_with_two_results(copied):
    with h5py.File(copied, "r+") as file:
        table = file["experiments"]
        loss = table["loss"][:]
        second = int(np.flatnonzero(loss != loss[4])[-1])
        table["id"][second] = table["id"][4]
    result = program.run("verify", copied)
    assert result.code == 1 and f"experiments, row {second} (id " in result.out, str(result)


def test_verify_finds_a_truncated_file_and_a_foreign_schema(copied):
    whole = copied.read_bytes()
    for size in (0, 50, 3000, len(whole) // 2, len(whole) - 1):
        copied.write_bytes(whole[:size])
        result = program.run("verify", copied)
        assert result.code == 1 and "truncated" in result.out, f"{size} bytes: {result}"
    copied.write_bytes(whole)
    with h5py.File(copied, "r+") as file:
        file.attrs["cmsweep_schema"] = np.array(999, dtype=file.attrs["cmsweep_schema"].dtype)
    result = program.run("verify", copied)
    assert result.code == 1 and "store schema 999, this cmsweep reads schema 1" in result.out, str(result)


def test_damaged_labels_are_mended(finished, tmp_path):
    folder = tmp_path / "mended"
    shutil.copytree(finished[0].parent, folder)
    store = folder / "out" / "finished.h5"
    with h5py.File(store, "r+") as file:
        file["experiments/seed"][5] += 1
    assert program.run("verify", store).code == 1
    assert "everything is done" in program.run_well(folder / "sweep.toml").err
    program.run_well("verify", store)
    program.assert_same_results(store, finished[1])
    program.assert_rows_kept(program.labelled_rows(finished[1]), program.labelled_rows(store))


def test_a_damaged_row_is_computed_again(finished, tmp_path):
    """What verify promises: the next run mends the row, and only that."""
    folder = tmp_path / "mended"
    shutil.copytree(finished[0].parent, folder)
    store = folder / "out" / "finished.h5"
    with h5py.File(store, "r+") as file:
        row = int(np.flatnonzero(file["experiments/target_tokens"][:] > 0)[0])
        identity = file["experiments/id"][row].decode()
        file["experiments/loss"][row] += 1
    result = program.run_well(folder / "sweep.toml")
    assert "wrong checksums" in result.err
    program.run_well("verify", store)
    program.assert_same_results(store, finished[1])
    changed = [key[0] for key, entry in program.labelled_rows(store).items()
               if entry["seconds"].tobytes() != program.labelled_rows(finished[1])[key]["seconds"].tobytes()]
    assert set(changed) <= {identity}


# ---- runs

def test_every_start_is_recorded_and_a_full_table_of_them_grows(world, finished, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(finished[0].parent, folder)
    store = folder / "out" / "finished.h5"
    with h5py.File(store, "r+") as file:
        runs = file["runs"]
        assert len(runs["started"]) == 64 and runs["outcome"][0] == b"done" and np.isnan(runs["started"][1])
        runs["started"][1:] = np.arange(1, 64)  # as after 64 starts
    before = program.columns(finished[1], "experiments")
    config = world.sweep("finished")
    config["sweep"]["seeds"].append(2)
    program.run_well(worlds.write(config, folder))
    with h5py.File(store, "r") as file:
        runs = file["runs"]
        assert len(runs["started"]) == 128 and list(runs["started"][1:64]) == list(range(1, 64))
        assert runs["outcome"][64] == b"done" and runs["started"][64] > 1e9 and np.isnan(runs["started"][65])
    assert len(program.columns(store, "experiments")["id"]) > len(before["id"])


# ---- export

def test_export_writes_names_and_as_many_rows_as_there_are(finished, tmp_path):
    file = tmp_path / "rows.csv"
    program.run_well("export", finished[1], "--csv", file)
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    data = program.columns(finished[1], "experiments")
    assert len(rows) == len(data["id"]) == program.committed(finished[1])
    methods = program.names_of(finished[1], "method")
    for row, line in enumerate(rows):
        assert line["id"] == data["id"][row].decode() and line["status"] == "done"
        assert line["method"] == methods[data["method"][row]]
        assert float(line["loss"]) == data["loss"][row], "every bit of it"
        assert line["target"] == "record" and int(line["seed"]) == data["seed"][row]
    assert {line["pair"] for line in rows} == {"base", "code", "math", "code+math"}
    assert {line["degrees"] for line in rows if line["pair"] == "code+math"} == {"0+0", "10+10", "20+20"}


def test_export_makes_the_folder(finished, tmp_path):
    program.run_well("export", finished[1], "--csv", tmp_path / "absent" / "rows.csv")
    assert (tmp_path / "absent" / "rows.csv").read_text().startswith("id,")


# ---- registries

def test_methods_and_metrics_list_what_configs_may_name():
    methods = program.run_well("methods").out
    for name in ("average", "slerp", "ties", "interpolate_features", "route", "ensemble_probabilities", "specialist", "base"):
        assert re.search(rf"^{name}  \[", methods, re.MULTILINE), name
    assert "alpha" in methods and "span" in methods and methods.count("source: ") == len(re.findall(r"^\w+  \[", methods, re.MULTILINE))
    metrics = program.run_well("metrics").out
    for name in ("cka_linear", "cka_debiased", "mutual_knn", "procrustes"):
        assert re.search(rf"^{name}\b", metrics, re.MULTILINE), name
