"""The paper's claims on stores with known numbers."""
import numpy as np
import pytest

import real_store
import story
from findings import FAILS, HOLDS, UNKNOWN
from sweep import Missing, Sweep
from synthetic_store import StoreBuilder, quickstart_like

CASE = ("code+math", "doctest")
SEEDS = (0, 1, 2)


def rich(span_losses=(1.72, 1.66, 1.63, 1.62), sparse=1.70, gate=1.60, fixed=1.80, tuned=1.85, joint=1.5):
    """quickstart_like, with what its sweep lacks: three and four spans, wider spans at equal computation, a gate on the outputs, learned
    averages, a fine-tuned base and a jointly trained model, all at the last degree. Small differences between seeds in each."""
    store = quickstart_like()
    store.sizes["expert"] = 2 * len(span_losses)
    store.rows["experiments"] = [r for r in store.rows["experiments"] if r["method"] != "route" or r["degree"][0] != 400]
    for seed in SEEDS:
        def add(method, setting, loss, wobble, members=("code", "math"), degree=400, **more):
            loss = loss + wobble * (seed - 1)
            row = store.experiment(method, list(members), [degree] * len(members), setting, seed, loss=loss, block_loss=[loss] * 8, **more)
            if method == "route":
                store.add("routing", {"id": row["id"], "weight": np.full((store.sizes["block"], 2 * setting["span"]), 0.5 / setting["span"])})
        for span, loss in enumerate(span_losses, 1):
            add("route", {"scope": "per_layer", "span": span, "top_k": "all"}, loss, 0.001 * span, layer="all", flops_per_token=400.0 * span, target_tokens=1000)
        add("route", {"scope": "per_layer", "span": 2, "top_k": 2, "renormalise": True}, sparse, 0.002, layer="all", flops_per_token=400.0, target_tokens=1000)
        add("route_tokens", {}, gate, 0.003, flops_per_token=500.0, target_tokens=1000)
        add("learned_average", {"per": "block"}, fixed, 0.001, layer="all", target_tokens=1000)
        add("finetune_target", {}, tuned, 0.001, target_tokens=1000)
        add("joint", {}, joint, 0.001)
    return store


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    def of(store, name="store"):
        sweep = Sweep(store.write(tmp_path_factory.mktemp("story") / f"{name}.h5"))
        return {name: story.claim(sweep, name, *CASE) for name in story.CLAIMS}
    return of


def test_every_claim_stands_in_one_chapter():
    assert sorted(c for claims in story.CHAPTERS.values() for c in claims) == sorted(story.CLAIMS)


def test_what_the_quickstarts_shape_shows(judged):
    found = judged(quickstart_like())
    assert {n for n, f in found.items() if f.verdict == HOLDS} == {"similarity", "ceiling", "bowl", "routing", "adaptation", "span", "outputs", "gap"}
    assert {n for n, f in found.items() if f.verdict == FAILS} == {"features", "parameters", "loses_too"}
    assert found["features"].reason.endswith("certainly better at 2 of 3 degrees")
    assert "the store lacks routing over three spans at degree 400" == found["saturation"].reason


def test_the_claims_that_need_a_richer_store(judged):
    found = judged(rich())
    for name in ("saturation", "equal_flops", "gate", "input", "target_text"):
        assert found[name].verdict == HOLDS, (name, found[name])
    assert found["joint"].verdict == FAILS and "certainly worse than the jointly trained model" in found["joint"].reason
    assert found["equal_flops"].reason == "span 2, top-2 renormalised, against dense span 1: certainly better, at 1.00 x the FLOPs"
    (change,) = [i for what, i in found["saturation"].measured if what == "gain of span 1 to 2 minus that of 2 to 3"]
    assert change.mean == pytest.approx(0.03) and change.n == 3


def test_the_same_claims_fail_where_the_numbers_are_the_other_way(judged):
    found = judged(rich(span_losses=(1.72, 1.71, 1.68, 1.6), sparse=1.75, gate=1.9, fixed=1.5, tuned=1.4, joint=1.95))
    for name in ("saturation", "equal_flops", "gate", "input", "target_text"):
        assert found[name].verdict == FAILS, (name, found[name])
    assert found["joint"].verdict == HOLDS


def test_an_interval_across_zero_never_holds(judged):
    store = rich()
    for row in store.rows["experiments"]:
        if row["method"] == "route_tokens":
            row["loss"] = 1.6 + 0.4 * row["seed"]
    found = judged(store)
    assert found["gate"].verdict == FAILS and "not certainly better" in found["gate"].reason


@pytest.mark.parametrize("sign, expected", [(-1, HOLDS), (1, FAILS), (0, FAILS)])
def test_similarity_that_goes_with_the_merge_gap(judged, sign, expected):
    """Five specialists, so ten pairs and 120 labellings: what p can reach is far below 0.05."""
    store, names = StoreBuilder("five", blocks=1), ["code", "math", "law", "prose", "formal"]
    similarity = dict(zip([(a, b) for i, a in enumerate(names) for b in names[i + 1:]], (0.9, 0.4, 0.75, 0.3, 0.85, 0.2, 0.65, 0.5, 0.1, 0.55)))
    unrelated = dict(zip(similarity, (0.1, -0.1, -0.1, 0.1, 0.1, -0.1, 0.1, -0.1, -0.1, 0.1)))
    for seed in SEEDS:
        store.experiment("base", ["base"], [0], seed=seed, loss=2.0)
        for name in names:
            store.experiment("specialist", [name], [100], seed=seed, loss=1.8)
        for (a, b), value in similarity.items():
            gap = sign * value + 0.001 * seed if sign else unrelated[a, b] + 0.001 * seed
            store.experiment("average", [a, b], [100, 100], {"alpha": 0.5}, seed, layer="all", loss=1.8 + gap, weights=[0.5, 0.5])
            store.comparison(a, 100, b, 100, [[value + 0.001 * seed]], seed=seed)
    found = judged(store)["prediction"]
    assert found.verdict == expected and "n = 10 pairs of 5 specialists" in found.reason
    assert sign == 0 or f"r = {sign:+d}.00" in found.reason


def test_training_that_rises_again_is_said(judged):
    store = quickstart_like()
    store.sizes["step"] = 400
    for row in store.rows["training"]:
        ends = (2.0, 1.0) if row["model"] == "code" else (1.0, 2.0)
        row["loss"], row["learning_rate"] = np.linspace(*ends, 400) + 0.01 * row["seed"], np.full(400, 1e-3)
    found = judged(store)
    assert found["specialise"].verdict == FAILS and found["specialise"].reason.startswith("the training loss of 1 of 2 members certainly falls")
    store.rows["training"] = []
    assert "a loaded model has none" in judged(store)["specialise"].reason


def test_loaded_models_are_judged_over_blocks_of_text(judged):
    """Where no seed changes anything, equal numbers of three seeds are one measurement, not three."""
    store = StoreBuilder("loaded")
    text = np.sin(np.arange(64))
    lead = {100: 0.1, 400: 0.3}
    for seed in SEEDS:
        store.experiment("base", ["base"], [0], seed=seed, loss=2.0, block_loss=list(2 + text), id="b" * 32)
        for degree in lead:
            for which, model in enumerate(("code", "math")):
                store.experiment("specialist", [model], [degree], seed=seed, loss=2.1, block_loss=list(2.1 + text), id=f"{degree + which:032x}")
            for method, loss, setting in (("average", 1.8, {"alpha": 0.5}), ("ensemble_probabilities", 1.8 - lead[degree], {})):
                store.experiment(method, ["code", "math"], [degree] * 2, setting, seed, layer="all", loss=loss, weights=[0.5, 0.5],
                                 block_loss=list(loss + text + 0.01 * np.cos(np.arange(64) * len(method) + degree)), id=f"{degree + len(method):032x}")
    found = judged(store)
    for name in ("parameters", "outputs", "gap"):
        assert found[name].verdict == HOLDS and found[name].measured[-1][1].over == "text blocks", name
    assert found["gap"].measured[-1][1].mean == pytest.approx(0.2, abs=0.01)


def test_every_claim_can_be_judged_on_the_store_of_the_papers_experiments():
    """On one of the two pairs that the README names for it."""
    sweep = Sweep(real_store.ROOT / "analysis" / "paper-small" / "paper-small.h5", outside_plan=True)
    found = [story.claim(sweep, name, pair, "doctest") for pair in ("code-short+math-short", "code+math") for name in story.CLAIMS]
    assert {f.name for f in found if f.verdict != UNKNOWN} == set(story.CLAIMS)
    assert all(f.reason for f in found)


def test_a_case_that_is_not_there_names_those_that_are(synthetic, tmp_path):
    assert story.case(Sweep(synthetic)) == story.case(Sweep(synthetic), "code+math", "doctest") == CASE
    with pytest.raises(Missing, match=r"combinations of law\+code on any target along degrees; there are: code\+math on doctest"):
        story.case(Sweep(synthetic), "law+code")
    store = StoreBuilder()
    store.experiment("average", ["code", "math"], [25, 50], {"alpha": 0.5})
    with pytest.raises(Missing, match="none .of members alike in degree"):
        story.case(Sweep(store.write(tmp_path / "unlike.h5")))


def test_a_poor_store_says_what_it_lacks_of_every_claim(judged):
    store = StoreBuilder()
    store.experiment("base", ["base"], [0])
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, layer="all", weights=[0.5, 0.5])
    for name, finding in judged(store).items():
        assert finding.verdict == UNKNOWN and finding.reason, name
