"""What the notebook for one's own models says, on stores with known oddities; its commands and configs against the real program."""
import re
import shlex
import tomllib

import numpy as np
import pytest

import advice
import cmsweep_reader
import own_models
import plots
import real_store
import verdict
from sweep import Missing, Sweep
from synthetic_store import FAILED, StoreBuilder

TEXT = np.sin(np.arange(64))


def loaded(code=1.9, law=1.8, average=1.7, ensemble=1.9, own=1.0, **more):
    """Two loaded specialists, judged on contracts and on code's own text; losses alike for all blocks but for small wobbles."""
    store = StoreBuilder("loaded", blocks=2)

    def add(method, members, loss, target="contracts", wobble=0, **options):
        blocks = loss + TEXT + 0.01 * np.cos(np.arange(64) * wobble) * bool(wobble)
        degrees = [0 if m == "base" else 100 for m in members]
        store.experiment(method, members, degrees, options.pop("setting", {}), target=target, loss=loss, block_loss=list(blocks), **options)

    for target, losses in (("contracts", (2.0, code, law)), ("code", (2.0, own, 2.1))):
        for model, loss, wobble in zip(("base", "code", "law"), losses, (0, 1, 2)):
            add("base" if model == "base" else "specialist", [model], loss, target, 0 if loss == 2.0 else wobble)
    add("average", ["code", "law"], average, setting={"alpha": 0.5}, layer="all", wobble=3, weights=[0.5, 0.5])
    add("ensemble_probabilities", ["code", "law"], ensemble, wobble=4, weights=[0.5, 0.5], flops_per_token=400.0)
    for arguments in more.get("comparisons", ()):
        store.comparison(*arguments)
    return store


@pytest.fixture
def read(tmp_path):
    def of(store):
        path = store.write(tmp_path / "loaded.h5")
        sweep = Sweep(path)
        return path, sweep, advice.case(verdict.verdicts(sweep), target="contracts")
    return of


def remarks(read, store):
    path, sweep, found = read(store)
    return advice.remarks(sweep, found, cmsweep_reader.experiments(path, failed=True))


def test_healthy_models_give_no_remark(read):
    assert remarks(read, loaded()) == []
    _, sweep, found = read(loaded())
    rows = {row[0]: row[1:] for row in advice.health(sweep, found)}
    assert rows["base"] == ["2.0000", "50.0%", "", ""]
    assert rows["code at degree 100"][:2] == ["1.9000", "50.0%"]
    assert rows["code at degree 100"][2].startswith("-0.09") and rows["code at degree 100"][3].endswith("n = 64 text blocks (on code)")
    assert rows["law at degree 100"][3] == "", "its own text is no target of this sweep"


def test_a_checkpoint_that_is_the_base_is_found_out(read):
    (said,) = remarks(read, loaded(code=2.0))
    assert said.startswith("code at degree 100 predicts exactly as the base does")


def test_two_checkpoints_that_are_one_are_found_out(read):
    store = loaded()
    one, other = [row for row in store.rows["experiments"] if row["method"] == "specialist" and row["target"] == "contracts"]
    other["loss"], other["block_loss"] = one["loss"], one["block_loss"]
    assert "code at degree 100 and law at degree 100 predict exactly alike: are they one checkpoint?" in remarks(read, store)


def test_a_specialist_that_lost_its_own_text_is_found_out(read):
    (said,) = remarks(read, loaded(own=2.3))
    assert said.startswith("code at degree 100 is certainly worse than the base on its own text, code (+0.3")


def test_failures_and_gaps_are_said(read):
    store = loaded()
    store.experiment("slerp", ["code", "law"], [100, 100], {"alpha": 0.5}, target="contracts", status=FAILED, message="not finite", loss=np.nan)
    store.rows["experiments"] = [row for row in store.rows["experiments"] if (row["pair"], row["target"]) != ("law", "contracts")]
    said = remarks(read, store)
    assert "law has not been measured alone on contracts under every seed (yet): is the sweep complete?" in said and "1 results of code+law failed: not finite" in said


def test_members_at_degree_0_need_no_row_of_their_own(read):
    store = loaded()
    store.experiment("average", ["code", "law"], [0, 0], {"alpha": 0.5}, target="contracts", layer="all", loss=2.0, block_loss=list(2.0 + TEXT), weights=[0.5, 0.5])
    path, sweep, _ = read(store)
    found = advice.case(verdict.verdicts(sweep), degree="0")
    assert [row[1] for row in advice.health(sweep, found)] == ["2.0000"] * 3 and advice.remarks(sweep, found, cmsweep_reader.experiments(path, failed=True)) == []
    assert "nothing to combine" in advice.verdict_of(found, verdict.SettingText(sweep))


def test_where_the_similarity_stands(read):
    bare = loaded(comparisons=[("code", 100, "law", 100, [[0.6, 0], [0, 0.5]])])
    assert "No ceiling was measured" in advice.alike(read(bare)[2])
    store = loaded(comparisons=[("code", 100, "law", 100, [[0.6, 0], [0, 0.5]])])
    store.comparison("code", 100, "code", 100, [[0.9, 0], [0, 0.7]], seed=0, seed_b=1)
    assert "from the null to the ceiling they are at 68.8%" in advice.alike(read(store)[2])  # 0.55 / 0.8
    for probe, value in (("prose", 0.1), ("contracts", 0.7)):  # two probes: that which is the target is read
        store.comparison("code", 100, "law", 100, [[value, 0], [0, value]], probe=probe)
    store.rows["similarity"] = [row for row in store.rows["similarity"] if row["probe"] != "doctest"]
    assert advice.alike(read(store)[2]).startswith("cka_debiased of the members on contracts: mean of the blocks 0.7000")
    assert "were not compared" in advice.alike(read(loaded())[2])


def test_the_next_step_is_that_of_the_verdict(read):
    path, sweep, found = read(loaded())
    said = advice.next_step("results/mine.h5", found, verdict.SettingText(sweep))
    (average,) = sweep.experiments.query("method == 'average'")["id"]
    assert advice.verdict_of(found, verdict.SettingText(sweep)).startswith("**Verdict: combine by parameters, average, layer all**: +0.1")
    assert f"materialize results/mine.h5 {average} -o merged/code+law-average-100" in said
    path, sweep, found = read(loaded(average=2.5))
    (law,) = sweep.experiments.query("method == 'specialist' and pair == 'law' and target == 'contracts'")["id"]
    said = advice.next_step("results/mine.h5", found, verdict.SettingText(sweep))
    assert advice.verdict_of(found, verdict.SettingText(sweep)).startswith("**Verdict: do not combine**: no family gains") and "keep **law**" in said and f"materialize results/mine.h5 {law} -o merged/law-specialist-100" in said
    path, sweep, found = read(loaded(average=1.85, ensemble=1.5))
    said = advice.next_step("results/mine.h5", found, verdict.SettingText(sweep))
    assert found.word == "at the outputs" and "is no single network" in said and 'name = "ensemble_probabilities"' in said
    assert "average, layer all, loses (-0.05" in said and "materialize" in said


def test_what_does_better_without_combining_is_said(read):
    assert advice.better_instead(read(loaded())[2]) == []
    for loss, count in ((1.2, 1), (1.75, 0)):  # the average has 1.7
        store = loaded()
        store.experiment("finetune_target", ["code", "law"], [100, 100], {"steps": 10}, target="contracts", loss=loss, block_loss=list(loss + TEXT), target_tokens=500)
        said = advice.better_instead(read(store)[2])
        assert len(said) == count
        assert not said or said[0].startswith("**Mind**: the base fine-tuned on the target's own text is, against what the verdict says (average), certainly better (+0.")


def test_options_say_gain_and_cost(read):
    _, sweep, found = read(loaded(average=2.5))
    rows = {row[0]: dict(zip(advice.OPTION_COLUMNS, row)) for row in advice.options(found, verdict.SettingText(sweep))}
    assert rows["by parameters"]["certain?"] == "certainly loses" and rows["at the outputs"]["FLOPs"] == "2.00 x"


def test_three_members_of_unlike_degrees(tmp_path):
    store, degrees = StoreBuilder("unlike", blocks=2, members=3), {"code": 100, "math": 400, "law": 400}
    store.experiment("base", ["base"], [0], loss=2.0, block_loss=list(2.0 + TEXT))
    for which, (name, degree) in enumerate(degrees.items()):
        store.experiment("specialist", [name], [degree], loss=1.9, block_loss=list(1.9 + TEXT + 0.01 * np.cos(np.arange(64) * (which + 1))))
    store.experiment("average", list(degrees), list(degrees.values()), {"weights": [0.2, 0.3, 0.5]}, layer="all", loss=1.7, weights=[0.2, 0.3, 0.5],
                     block_loss=list(1.7 + TEXT + 0.01 * np.cos(np.arange(64) * 5)))
    path = store.write(tmp_path / "unlike.h5")
    sweep = Sweep(path)
    found = advice.case(verdict.verdicts(sweep), degree="100/400/400")
    assert len(advice.health(sweep, found)) == 4 and advice.remarks(sweep, found, cmsweep_reader.experiments(path, failed=True)) == []
    assert "-o merged/code+math+law-average\n" in advice.next_step(path, found, verdict.SettingText(sweep))
    assert tomllib.loads(advice.method_table(found.options[0].entry))["grid"]["method"][0]["weights"] == [0.2, 0.3, 0.5]
    for module in (plots.best_merge_against_degree, plots.cost_quality):  # figures along degrees
        with pytest.raises(Missing):
            module.draw(sweep, found.pair, found.target)


def test_a_case_that_is_not_there_names_those_that_are(read):
    _, sweep, _ = read(loaded())
    with pytest.raises(Missing, match=r"a combination of law\+code on contracts at degree 7; there are: code\+law on contracts at degree 100"):
        advice.case(verdict.verdicts(sweep), "law+code", "contracts", "7")
    with pytest.raises(Missing, match="none yet"):
        advice.case([])


def test_the_command_writes_a_checkpoint_and_the_table_is_one_the_program_plans(real, tmp_path):
    sweep = Sweep(real)
    found = advice.case(verdict.verdicts(sweep))
    option = next(o for o in found.options if o.family == "parameter")
    program, *arguments = shlex.split(advice.materialize(real, option.entry, str(tmp_path / "merged")))
    assert program == advice.PROGRAM
    real_store.run(*arguments)
    assert (tmp_path / "merged" / "model.safetensors").exists()
    for option in found.options:
        text = real_store.CONFIG.split("[[grid.method]]")[0] + advice.method_table(option.entry) + "\n[evaluate]\n" + real_store.CONFIG.split("[evaluate]\n")[1]
        (real.parent / "one.toml").write_text(text)
        assert tomllib.loads(text)["grid"]["method"][0]["name"] == option.method
        said = real_store.run("plan", real.parent / "one.toml")
        assert re.search(rf"(?m)^method .*\b{option.method}\b", said)
        assert re.search(r"(?m)^setting +3 ", said), "base, specialist and this one"
        assert re.search(r"(?m)^experiments +\d+ +(\d+) +\1 +0$", said), f"the store has every row of exactly this setting:\n{said}"


def test_loaded_checkpoints_from_config_to_merged_model(tmp_path):
    """configs/own-models.toml, with less of everything, is run on checkpoints that are loaded; the notebook's words follow from its store."""
    config = own_models.write(tmp_path)
    text = config.read_text()
    for long, short in (("seeds  = [0, 1, 2]", "seeds  = [0]"), ("degrees = [1000, 8000]", "degrees = [8000]"), ('["contracts", "code", "law"]', '["contracts", "code"]'),
                        ("span = [1, 2]", "span = 1\nsteps = 4"), ("[similarity]", "[evaluate]\nwindows = 16\n[similarity]\nwindows = 32")):
        assert text.count(long) == 1, long
        text = text.replace(long, short)
    config.write_text(text)
    real_store.run(config)
    store = tmp_path / "results" / "own-models.h5"
    sweep = Sweep(store)
    found = advice.case(verdict.verdicts(sweep))
    assert (found.pair, found.target, found.degree) == ("code+law", "contracts", "8000")
    assert {o.family for o in found.options} == {"parameter", "activation", "routing", "output"} and all(o.gain.over == "text blocks" for o in found.options)
    assert [row[0] for row in advice.health(sweep, found)] == ["base", "code at degree 8000", "law at degree 8000"]
    assert advice.health(sweep, found)[1][4].endswith("(on code)")
    assert not [r for r in advice.remarks(sweep, found, cmsweep_reader.experiments(store, failed=True)) if "exactly" in r or "failed" in r or "measured" in r]
    assert "No ceiling was measured" in advice.alike(found)
    average = next(o for o in found.options if o.family == "parameter")
    real_store.run(*shlex.split(advice.materialize(store, average.entry, str(tmp_path / "merged")))[1:])
    assert (tmp_path / "merged" / "model.safetensors").exists() and (tmp_path / "merged" / "tokenizer.json").exists()
