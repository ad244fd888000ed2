"""The verdict's rule on stores with numbers made for it, and that `cmsweep report` says the same."""
import re

import h5py
import numpy as np
import pytest

import real_store
import verdict
from intervals import Interval
from sweep import Sweep
from synthetic_store import StoreBuilder, quickstart_like

FAMILIES = {"parameter": "combine by parameters", "activation": "combine by features", "routing": "combine by routing", "output": "combine at the outputs"}
PAIR = ["code", "math"]
SEEDS = (0, 1, 2)


def judged(path):
    """(pair, target, degree) -> Verdict."""
    return {(v.pair, v.target, v.degree): v for v in verdict.verdicts(Sweep(path))}


def store_with(losses, seeds=SEEDS, degrees=(100, 100)):
    """A store of one pair with `losses`: (method, setting) -> test losses by seed, or (test, select); base 2.0 and specialists 2.2."""
    store = StoreBuilder()
    for seed in seeds:
        store.experiment("base", ["base"], [0], seed=seed, loss=2.0, id="b" * 32, weights=[1.0])
        for member, degree in zip(PAIR, degrees):
            store.experiment("specialist", [member], [degree], seed=seed, loss=2.2, weights=[1.0])
    for (method, setting, *more), values in losses.items():
        test, select = values if isinstance(values, tuple) else (values, values)
        for seed, loss, own_select in zip(seeds, test, select):
            store.experiment(method, PAIR, list(degrees), dict(setting), seed, layer="all", loss=loss, loss_select=own_select, **(more[0] if more else {}))
    return store


def costing(flops, **more):
    return {**more, "flops_per_token": flops}


class Costs(dict):
    """Usable in a key, for what a method costs."""
    def __hash__(self):
        return hash(tuple(sorted(self.items())))


AVERAGE, FEATURES = ("average", (("alpha", 0.5),), Costs(costing(200.0))), ("interpolate_features", (("alpha", 0.5),), Costs(costing(300.0)))
ROUTE = ("route", (("span", 1),), Costs(costing(320.0, target_tokens=500)))
ENSEMBLE = ("ensemble_probabilities", (), Costs(costing(400.0)))


def only(store, tmp_path):
    (found,) = judged(store.write(tmp_path / "made.h5")).values()
    return found


# ---- the rule

def test_gain_and_interval_by_hand(tmp_path):
    found = only(store_with({AVERAGE: [1.896, 1.9, 1.904]}), tmp_path)
    (option,) = found.options
    # 0.104, 0.1, 0.096: mean 0.1, sd 0.004; half-width 4.302653 x 0.004 / sqrt(3) = 0.009937
    assert option.gain.mean == pytest.approx(0.1) and option.gain.low == pytest.approx(0.1 - 0.009937, abs=1e-6)
    assert (option.gain.n, option.gain.over) == (3, "seeds")
    assert found.single_name == "base" and found.word == "by parameters"


def test_nothing_is_combined_where_no_interval_lies_above_zero(tmp_path):
    found = only(store_with({AVERAGE: [1.7, 1.9, 2.09], ENSEMBLE: [2.1, 2.11, 2.12]}), tmp_path)
    assert found.choice is None and found.word == "not at all"
    assert "no family gains over the best single model (base) with certainty" in verdict.reason(found)


def test_one_seed_takes_the_interval_from_blocks_of_text(tmp_path):
    store = store_with({AVERAGE: [1.9]}, seeds=(0,))
    store.rows["experiments"][-1]["block_loss"] = list(1.9 + 0.01 * np.cos(np.arange(8)))
    found = only(store, tmp_path)
    assert found.options[0].gain.over == "text blocks" and found.options[0].gain.n == 8 and found.word == "by parameters"


def test_the_cheapest_that_is_not_certainly_worse_wins(tmp_path):
    # Features are better on average, by an amount that changes its sign with the seed.
    found = only(store_with({AVERAGE: [1.80, 1.82, 1.81], FEATURES: [1.81, 1.79, 1.80]}), tmp_path)
    assert found.word == "by parameters"


def test_a_small_but_certain_advantage_beats_a_lower_cost(tmp_path):
    # Each gain's interval is wide, since seeds differ; the paired difference between the two is always 0.01.
    found = only(store_with({AVERAGE: [1.78, 1.80, 1.82], FEATURES: [1.77, 1.79, 1.81]}), tmp_path)
    average, features = found.options
    assert average.gain.high > features.gain.mean  # so that comparing with the best's mean alone would not tell them apart
    assert found.word == "by features"


def test_settings_and_families_are_chosen_on_select(tmp_path):
    lucky = ("average", (("alpha", 0.25),), Costs(costing(200.0)))
    found = only(store_with({AVERAGE: ([1.80, 1.81, 1.82], [1.7, 1.7, 1.7]), lucky: ([1.60, 1.61, 1.62], [1.9, 1.9, 1.9])}), tmp_path)
    assert found.options[0].entry["setting"] == '{"alpha":0.5}' and found.options[0].settings == 2
    dear = ("ensemble_probabilities", (), Costs(costing(400.0)))
    found = only(store_with({AVERAGE: ([1.50, 1.51, 1.52], [1.9, 1.9, 1.9]), dear: ([1.80, 1.80, 1.80], [1.7, 1.7, 1.7])}), tmp_path)
    assert found.best_merge["method"] == "ensemble_probabilities"  # by select, though its test loss is higher
    assert found.word == "by parameters"  # cheaper, and certainly not worse


def test_settings_with_fewer_seeds_are_not_chosen(tmp_path):
    store = store_with({AVERAGE: [1.8, 1.8, 1.81]})
    store.experiment("average", PAIR, [100, 100], {"alpha": 0.25}, 0, layer="all", loss=1.0)
    found = only(store, tmp_path)
    assert found.options[0].entry["setting"] == '{"alpha":0.5}'


def test_equal_members_are_nothing_to_combine(tmp_path):
    found = only(store_with({ROUTE: [1.8, 1.81, 1.82]}, degrees=(0, 0)), tmp_path)
    assert found.word == "not at all" and found.options[0].gains
    assert "nothing to combine; what route gains" in verdict.reason(found)


def test_members_may_differ_in_degree_and_be_more_than_two(tmp_path):
    assert only(store_with({AVERAGE: [1.8, 1.81, 1.82]}, degrees=(0, 400)), tmp_path).degree == "0/400"
    store = store_with({})
    for seed in SEEDS:
        store.experiment("specialist", ["law"], [100], seed=seed, loss=2.1, weights=[1.0])
        store.experiment("average", ["code", "math", "law"], [100] * 3, {}, seed, layer="all", loss=1.8 + 0.001 * seed, weights=[1 / 3] * 3)
    store.sizes["member"] = 3
    found = only(store, tmp_path)
    assert found.members == ["code", "math", "law"] and found.degree == "100" and found.word == "by parameters"


def without_specialist(name, degrees=(100, 100), seeds=SEEDS):
    store = store_with({AVERAGE: [1.8, 1.81, 1.82]}, degrees=degrees)
    store.rows["experiments"] = [row for row in store.rows["experiments"] if row["method"] != "specialist" or row["model"] != [name] or row["seed"] not in seeds]
    return store


def test_without_a_single_model_there_is_no_verdict(tmp_path):
    found = only(without_specialist("math"), tmp_path)
    assert found.word == "no verdict yet" and found.choice is None and verdict.reason(found) == "not measured alone: math"
    assert only(without_specialist("code", seeds=(1,)), tmp_path).absent == ["code"]  # the base alone has all seeds, and is not the best for that
    assert only(without_specialist("math", (400, 0)), tmp_path).word == "by parameters"  # at degree 0 it is the base


def test_without_target_text_the_rule_is_asked_again(tmp_path):
    found = only(store_with({ROUTE: [1.6, 1.61, 1.62], ENSEMBLE: [1.8, 1.81, 1.82]}), tmp_path)
    assert found.word == "by routing" and verdict.words(found.without_target) == "at the outputs"
    found = only(store_with({ROUTE: [1.6, 1.61, 1.62], ENSEMBLE: [2.1, 2.11, 2.12]}), tmp_path)
    assert found.word == "by routing" and found.without_target is None


# ---- what stands beside it

def test_similarity_stands_beside_with_null_range_and_ceiling(synthetic):
    beside = judged(synthetic)["code+math", "doctest", "400"].similarity
    # level 0.3 + 0.004 (seed - 1), less 0.02 a block: 0.3, 0.28, 0.26
    assert beside.metric == "cka_debiased" and beside.mean.mean == pytest.approx(0.28) and beside.mean.n == 3
    assert (beside.lowest, beside.highest) == (pytest.approx(0.26), pytest.approx(0.30))
    assert beside.mean.high - beside.mean.mean == pytest.approx(0.009937, abs=1e-6)
    assert (beside.null_mean, beside.null_p95) == (0.0, pytest.approx(0.05))
    assert beside.ceiling == pytest.approx(0.2 + 0.28 - 0.008 / 3)  # of the first seeds of each pair: -0.004, -0.004, 0


def test_no_similarity_is_said_where_there_is_none(tmp_path):
    assert only(store_with({AVERAGE: [1.8, 1.81, 1.82]}), tmp_path).similarity is None


def hint(found, about):
    (one,) = [h for h in found.hints if h.about == about]
    return one


def test_hints_come_from_rows(synthetic):
    found = judged(synthetic)
    last, middle = found["code+math", "doctest", "400"], found["code+math", "doctest", "100"]
    less = hint(last, "less specialisation")
    assert less.measured.mean == pytest.approx(-0.03) and "degree 100 (route; verdict there: by routing) is certainly worse" in less.text
    more = hint(middle, "more specialisation")
    assert more.measured.mean == pytest.approx(0.03) and "degree 400" in more.text and "certainly better" in more.text
    span = hint(last, "more routers (span)")
    assert span.measured.mean == pytest.approx(0.05) and "span 2 is, against span 1, certainly better" in span.text and "at 2.00 x its FLOPs" in span.text
    assert last.adaptation is None  # made-up rows saw no target text


def test_what_the_store_lacks_is_called_not_measured(tmp_path):
    found = only(store_with({AVERAGE: [1.8, 1.81, 1.82]}), tmp_path)
    assert len(found.hints) == 7
    for h in found.hints:
        assert h.measured is None and "not measured in this store" in h.text, h


def with_config(path, text):
    with h5py.File(path, "r+") as file:
        del file["config"]
        file["config"] = np.bytes_(text)
    return path


MIXED = """
[finetune]
steps = 100
[[specialist]]
name = "code"
corpus = "c"
[[specialist]]
name = "math"
corpus = "m"
[[specialist]]
name = "code mixed"
corpus = "c"
mix = { corpus = "prose", fraction = 0.5 }
[[specialist]]
name = "math mixed"
corpus = "m"
mix = { corpus = "prose", fraction = 0.5 }
"""


def test_a_pair_trained_with_a_mix_is_found_by_the_config(tmp_path):
    store = store_with({AVERAGE: [1.8, 1.81, 1.82]})
    for seed in SEEDS:
        store.experiment("average", ["code mixed", "math mixed"], [100, 100], {"alpha": 0.5}, seed, layer="all", loss=1.75 + 0.01 * seed)
    path = with_config(store.write(tmp_path / "mixed.h5"), MIXED)
    plain, mixed = judged(path)["code+math", "doctest", "100"], judged(path)["code mixed+math mixed", "doctest", "100"]
    assert hint(plain, "datamix").measured.mean == pytest.approx(0.05) and "code mixed+math mixed, trained with other text mixed in" in hint(plain, "datamix").text
    assert hint(mixed, "datamix").measured.mean == pytest.approx(-0.05) and "trained without a mix" in hint(mixed, "datamix").text
    # Trained with another learning rate, it is no test of the mix.
    with_config(path, MIXED.replace('mix = { corpus = "prose", fraction = 0.5 }', 'mix = { corpus = "prose", fraction = 0.5 }\nlearning_rate = 1e-3'))
    assert hint(judged(path)["code+math", "doctest", "100"], "datamix").measured is None


def test_other_configs_may_say_how_specialists_were_trained(tmp_path):
    store = store_with({AVERAGE: [1.8, 1.81, 1.82]})
    for seed in SEEDS:
        store.experiment("average", ["code mixed", "math mixed"], [100, 100], {"alpha": 0.5}, seed, layer="all", loss=1.75 + 0.01 * seed)
    path, config = store.write(tmp_path / "mixed.h5"), tmp_path / "mixed.toml"
    config.write_text(MIXED)
    (found,) = [v for v in verdict.verdicts(Sweep(path), [config]) if v.pair == "code+math"]
    assert hint(found, "datamix").measured.mean == pytest.approx(0.05)
    other = tmp_path / "other.toml"
    other.write_text(MIXED.replace("steps = 100", "steps = 200"))  # the same names for other models
    (found,) = [v for v in verdict.verdicts(Sweep(path), [config, other]) if v.pair == "code+math"]
    assert hint(found, "datamix").measured is None and verdict.main([str(path), "--config", str(tmp_path / "none.toml")]) == 2


def test_more_target_text_and_models_trained_instead(tmp_path):
    short, long = (("route", (("batch", 4), ("span", 1), ("steps", s)), Costs(costing(320.0, target_tokens=s * 100))) for s in (10, 40))
    tuned = ("finetune_target", (("steps", 10),), Costs(costing(200.0, target_tokens=1000)))
    found = only(store_with({short: [1.8, 1.81, 1.82], long: [1.7, 1.71, 1.72], tuned: [1.6, 1.61, 1.62]}), tmp_path)
    more = hint(found, "more target text")
    assert more.measured.mean == pytest.approx(0.1) and "saw 4,000 tokens is, against 1,000, certainly better" in more.text
    tuned = hint(found, "the base fine-tuned on the target's own text")
    assert tuned.measured.mean == pytest.approx(0.1) and "with 1,000 tokens of target text" in tuned.text
    assert [o.family for o in found.options] == ["routing"]  # a model trained instead is no combination
    ((method, entry, better),) = found.instead
    assert method == "finetune_target" and better.mean == pytest.approx(0.1) and int(entry["target_tokens"]) == 1000


def test_degrees_are_compared_by_what_was_run_at_both(tmp_path):
    store = store_with({AVERAGE: [1.8, 1.81, 1.82]})
    for seed in SEEDS:  # at the higher degree averaging is worse, and routing, which was not run at the lower one, far better
        for member in PAIR:
            store.experiment("specialist", [member], [400], seed=seed, loss=2.2, weights=[1.0])
        store.experiment("average", PAIR, [400, 400], {"alpha": 0.5}, seed, layer="all", loss=1.9 + 0.01 * seed)
        store.experiment("route", PAIR, [400, 400], {"span": 1}, seed, layer="all", loss=1.2 + 0.01 * seed)
        store.experiment("ties", PAIR, [800, 800], {}, seed, layer="all", loss=1.1 + 0.01 * seed)
    found = judged(store.write(tmp_path / "degrees.h5"))
    more = hint(found["code+math", "doctest", "100"], "more specialisation")
    assert more.measured.mean == pytest.approx(-0.1) and "at degree 400 (average;" in more.text
    assert hint(found["code+math", "doctest", "800"], "less specialisation").measured is None


# ---- the same as the program's

def reported(store):
    """What `cmsweep report` prints: (pair, target, degree) -> (single, loss, base, family -> cells, recommendation, trained instead)."""
    found, case, degree = {}, None, None
    for line in real_store.run("report", store).splitlines():
        if match := re.fullmatch(r"(\S.*) on (\S+)", line):
            case = match.groups()
        elif match := re.fullmatch(r"  degree (\S+): best single model (.*), loss (\S+) nat \(base (\S+)\)", line):
            degree = found[(*case, match[1])] = [match[2], float(match[3]), float(match[4]), {}, None, {}]
        elif line.startswith("  -> "):
            degree[4] = line[5:]
        elif match := re.fullmatch(r"     but (\w+), trained instead of combining, is certainly better: (\S+) \[(\S+), (\S+)\], (.*)", line):
            degree[5][match[1]] = [*map(float, match.groups()[1:4]), match[5]]
        elif (cells := re.split(" {2,}", line.strip()))[0] in FAMILIES:
            degree[3][cells[0]] = cells[1:]
    return found


def assert_agrees(store):
    said, found = reported(store), judged(store)
    assert set(said) == set(found) and found
    text = verdict.SettingText(Sweep(store))
    printed = dict(abs=5.1e-5)  # four decimals
    for case, (single, loss, base, families, recommendation, instead) in said.items():
        own = found[case]
        assert (own.single_name, own.single.loss, own.base.loss) == (single, pytest.approx(loss, **printed), pytest.approx(base, **printed)), case
        assert [o.family for o in own.options] == list(families)
        for option in own.options:
            setting, layer, its_loss, gain, interval, over, stored, flops = families[option.family]
            assert (option.method + (f" ({text(option.entry)})" if text(option.entry) else ""), option.layer) == (setting, layer), case
            low, high = map(float, interval.strip("[]").split(", "))
            assert (option.entry.loss, option.gain.mean, option.gain.low, option.gain.high) == tuple(
                pytest.approx(float(x), **printed) for x in (its_loss, gain, low, high)), case
            assert f"{option.gain.n} {option.gain.over}" == over
            assert (f"{option.to_specialist['stored']:.2f} x", f"{option.to_specialist['flops']:.2f} x") == (stored, flops)
        assert [method for method, _, _ in own.instead] == list(instead), case
        for method, _, better in own.instead:
            assert [better.mean, better.low, better.high] == pytest.approx(instead[method][:3], **printed) and f"{better.n} {better.over}" == instead[method][3]
        if own.absent:
            assert recommendation == f"no verdict yet: {verdict.reason(own)}", case
        elif own.choice is None:
            assert recommendation.startswith("do not combine: "), case
        else:
            place = "" if own.choice.layer == "none" else f", layer {own.choice.layer}"
            assert recommendation == f"{FAMILIES[own.choice.family]}: {own.choice.method}{place}", case
    return found


def as_the_program_writes(path):
    """With texts as UTF-8 of fixed length, which alone it reads; NumPy's texts are ASCII."""
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.dtype.kind == "S" else None)
        for name in names:
            old = file[name]
            values, attributes = np.asarray(old[()]), {k: v for k, v in old.attrs.items() if k != "DIMENSION_LIST"}
            scales = [list(dimension.values()) for dimension in old.dims]
            for dimension, attached in zip(old.dims, scales):
                for scale in attached:
                    dimension.detach_scale(scale)
            del file[name]
            new = file.create_dataset(name, data=values.astype(h5py.string_dtype("utf-8", max(1, values.dtype.itemsize))))
            new.attrs.update(attributes)
            for dimension, attached in zip(new.dims, scales):
                for scale in attached:
                    dimension.attach_scale(scale)
    return path


def test_the_program_agrees_on_a_store_of_its_own(real):
    assert len(assert_agrees(real)) == 3


def test_the_program_agrees_in_every_case_of_the_rule(tmp_path):
    few = store_with({AVERAGE: [1.8, 1.8, 1.81]})
    few.experiment("average", PAIR, [100, 100], {"alpha": 0.25}, 1, layer="all", loss=1.0)
    stores = {
        "quickstart": quickstart_like(), "one seed": quickstart_like(seeds=(3,)), "fewer seeds": few,
        "near": store_with({AVERAGE: [1.80, 1.82, 1.81], FEATURES: [1.81, 1.79, 1.80]}),
        "paired": store_with({AVERAGE: [1.78, 1.80, 1.82], FEATURES: [1.77, 1.79, 1.81]}),
        "select": store_with({AVERAGE: ([1.50, 1.51, 1.52], [1.9] * 3), ENSEMBLE: ([1.8, 1.8, 1.81], [1.7] * 3)}),
        "none": store_with({AVERAGE: [1.7, 1.9, 2.09], ENSEMBLE: [2.1, 2.11, 2.12]}),
        "degree 0": store_with({ROUTE: [1.8, 1.81, 1.82]}, degrees=(0, 0)), "degrees": store_with({ROUTE: [1.8, 1.81, 1.82]}, degrees=(0, 400)),
        "absent": without_specialist("math"), "absent in a seed": without_specialist("code", seeds=(1,)), "base": without_specialist("math", (400, 0)), "instead": store_with({("joint", (), Costs(costing(200.0))): [1.6, 1.61, 1.62], AVERAGE: [1.8, 1.81, 1.82]}),
    }
    words, instead = set(), set()
    for name, store in stores.items():
        found = assert_agrees(as_the_program_writes(store.write(tmp_path / f"{name}.h5")))
        words |= {(name, v.word) for v in found.values()}
        instead |= {(name, method) for v in found.values() for method, _, _ in v.instead}
    assert instead == {("instead", "joint")}
    assert {("near", "by parameters"), ("paired", "by features"), ("none", "not at all"), ("degree 0", "not at all"), ("absent", "no verdict yet"), ("absent in a seed", "no verdict yet"), ("base", "by parameters")} <= words


# ---- the command

def test_the_text_says_everything(synthetic, capsys):
    assert verdict.main([str(synthetic)]) == 0
    said = capsys.readouterr().out
    assert "degree 400: by routing (route (span 2), layer all): +0.3270 nat [+0.3195, +0.3345], n = 3 seeds gained over the best single model (base)" in said
    assert "independent representations would give 0.0000" in said and "not measured in this store" in said


def test_an_interval_that_is_none_is_not_judged():
    assert verdict.outcome(Interval(0.1, -np.inf, np.inf, 1, "seeds")).startswith("not to be judged")


def test_a_file_that_is_no_store_gives_exit_code_2(tmp_path, capsys):
    assert verdict.main([str(tmp_path / "none.h5")]) == 2
    assert "no such store" in capsys.readouterr().err
