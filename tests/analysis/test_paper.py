"""The table of the paper's experiments: on numbers that are known, on the committed store, and the committed page against it."""
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import cmsweep_reader
import paper
from intervals import Interval
from synthetic_store import StoreBuilder

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "analysis" / "paper-small"
STORE = FOLDER / "paper-small.h5"
SETTING = {"span": 1, "top_k": "all", "scope": "per_layer", "include_base": False, "renormalise": False}


def interval(low, high, n=3):
    return Interval((low + high) / 2, low, high, n, "seeds")


def interpolated(early, late, routed):
    """A store with E2, E3 and E6 alone: losses of the best mixture and of routing at the two degrees; parents lose 2.5."""
    store = StoreBuilder()
    for seed in range(3):
        store.experiment("base", ["base"], [0], seed=seed, loss=2.2, weights=[1.0], id="0" * 32)
        for degree, loss in {50: (early + late) / 2 + 0.2, paper.EARLY: early, paper.LATE: late}.items():
            for name in ("code", "math"):
                store.experiment("specialist", [name], [degree], seed=seed, loss=2.5 + 0.001 * seed, weights=[1.0])
            for alpha in (0.0, 0.4, 0.5, 1.0):
                value = loss + 0.002 * seed + (0.01 if alpha == 0.4 else 0)
                store.experiment("interpolate_features", ["code", "math"], [degree] * 2, {"alpha": alpha, "site": "mlp"}, seed, layer="all", loss=value,
                                 weights=[alpha, 1 - alpha])
        for degree, loss in zip((paper.EARLY, paper.LATE), routed):
            store.experiment("route", ["code", "math"], [degree] * 2, SETTING, seed, layer="all", loss=loss - 0.001 * seed)
    return store


def by_name(path):
    return {r.name: r for r in paper.results(path)}


def test_the_paper_s_direction_is_found_where_it_was_built_in(tmp_path):
    found = by_name(interpolated(1.6, 1.7, (1.3, 1.35)).write(tmp_path / "same.h5"))
    assert {found[name].verdict for name in ("E2", "E3", "E6", "E6, degree")} == {paper.SAME}
    measured = dict(found["E3"].measured)
    assert measured["best mixture at degree 1600 minus degree 200"].mean == pytest.approx(0.1)
    assert measured["base minus best mixture, degree 200"].mean == pytest.approx(2.2 - 1.602)
    assert dict(found["E6"].measured)["best mixture minus routing, degree 1600"].mean == pytest.approx(1.702 - 1.349)
    assert found["E2"].said == ["@200: 2.501 → 1.602 @0.5 → 2.501", "@1600: 2.501 → 1.702 @0.5 → 2.501"]
    assert found["E7"].verdict == paper.UNKNOWN and "span" in found["E7"].reason, "what the store lacks is said"


def test_the_opposite_is_found_too(tmp_path):
    found = by_name(interpolated(2.6, 2.55, (2.8, 2.7)).write(tmp_path / "opposite.h5"))
    assert {found[name].verdict for name in ("E2", "E3", "E6", "E6, degree")} == {paper.OPPOSITE}
    found = by_name(interpolated(1.7, 1.6, (1.3, 1.65)).write(tmp_path / "part.h5"))
    assert found["E6"].verdict == paper.PART, "better early, worse late"


def test_degree_0_is_found_under_another_pair_of_as_many_members(tmp_path):
    store = StoreBuilder(members=3)
    store.experiment("route", ["code-short", "math-short"], [0, 0], SETTING, layer="all", loss=1.5)
    store.experiment("route", ["a", "b", "c"], [0, 0, 0], SETTING, layer="all", loss=1.0)
    rows = paper.Store(store.write(tmp_path / "zero.h5"))
    assert rows.route("code+math", 0).loss == 1.5
    with pytest.raises(paper.Missing):
        rows.route("code+math", 200)


def test_verdicts_of_intervals():
    above, across, below = interval(0.1, 0.2), interval(-0.1, 0.2), interval(-0.2, -0.1)
    assert paper.direction([above, above]) == paper.SAME
    assert paper.direction([below, below]) == paper.OPPOSITE
    assert paper.direction([above, below]) == paper.PART
    assert paper.direction([across, across]) == paper.UNCERTAIN
    assert paper.direction([across, below]) == "opposite, in part"
    assert paper.direction([]) == paper.direction([above, Interval(0.1, -np.inf, np.inf, 1)]) == paper.UNKNOWN


def test_a_conclusion_that_a_corrected_version_does_not_support_is_confounded():
    def found(**verdicts):
        return {name: paper.Result(name, "", "", verdict=verdict) for name, verdict in verdicts.items()}

    def said(plain, check=None):
        verdicts = {"plain": plain, **({"check": check} if check else {})}
        return paper.conclusion(found(**verdicts), ("plain",), ("check",) if check else ())

    assert said(paper.SAME, paper.SAME) == said(paper.SAME) == "holds here"
    assert said(paper.SAME, paper.UNCERTAIN) == "confounded (plain: holds, check: not certain)"
    assert said(paper.OPPOSITE, paper.SAME) == "plain: does not hold, the opposite does, check: holds"
    assert said(paper.UNCERTAIN) == "not certain here"
    assert said(paper.UNKNOWN, paper.SAME) == "not estimable (plain: not estimable, check: holds)"
    both = found(first=paper.SAME, second=paper.OPPOSITE)
    assert paper.conclusion(both, ("first", "second")) == "first: holds, second: does not hold, the opposite does"


def test_similarity_and_gap_by_hand(tmp_path):
    """Similarity falls from pair to pair and seed to seed, the gap rises as much: the paper's direction, with correlation -1."""
    store = StoreBuilder(blocks=2)
    names = paper.FOUR
    for degree, seed in itertools.product((50, 200, paper.END_OF_SHORT), range(3)):
        for place, name in enumerate(names):
            store.experiment("specialist", [name], [degree], seed=seed, loss=2.0 + place, weights=[1.0])
        for number, (a, b) in enumerate(itertools.combinations(names, 2)):
            parents = 2 + (names.index(a) + names.index(b)) / 2
            store.experiment("interpolate_features", [a, b], [degree] * 2, {"alpha": 0.5}, seed, layer="all", loss=parents + 0.01 * number ** 2 + degree,
                             weights=[0.5, 0.5])
            store.comparison(a, degree, b, degree, np.full((2, 2), 0.9 - 0.02 * number ** 2 - 0.001 * seed), seed=seed)
    path = store.write(tmp_path / "four.h5")
    gaps = paper.similarity_and_gap(paper.Store(path), "cka_debiased", "doctest", [("code-short", "math-short"), ("code-short", "formal-short")], [50])
    assert gaps["gap"].tolist() == pytest.approx([50.0] * 3 + [50.04] * 3)
    assert gaps["similarity"].tolist() == pytest.approx([0.9, 0.899, 0.898, 0.82, 0.819, 0.818])
    assert gaps["parents"].tolist() == pytest.approx([2.5] * 3 + [3.5] * 3)
    found = by_name(path)["prediction"]
    assert found.verdict == paper.SAME, "Mantel's p is 1/24"
    assert dict(found.measured)["correlation of similarity and merge gap, within degree (Mantel's p decides)"].mean == pytest.approx(-1)
    assert found.said[0].startswith("correlation of similarity and merge gap, within degree -1.00, Mantel p 0.0")


def test_barrier_by_hand(tmp_path):
    store = StoreBuilder()
    for seed in range(2):
        for alpha, loss in {0.0: 1.0, 0.5: 2.0 + seed, 1.0: 2.0}.items():
            store.experiment("average", ["code", "math"], [200, 200], {"alpha": alpha}, seed, layer="all", loss=loss, weights=[alpha, 1 - alpha])
            store.experiment("rebasin", ["code", "math"], [200, 200], {"alpha": alpha}, seed, layer="all", loss=min(loss, 1.2), weights=[alpha, 1 - alpha])
            store.experiment("average", ["code", "math"], [50, 50], {"alpha": alpha}, seed, layer="all", loss=1.0 + (alpha != 0.5), weights=[alpha, 1 - alpha])
    rows = paper.Store(store.write(tmp_path / "barrier.h5"))
    assert paper.barrier(rows, "code+math", 200, "average") == pytest.approx([0.5, 1.5])
    assert paper.barrier(rows, "code+math", 200, "rebasin") == pytest.approx([1.2 - 1.1] * 2)
    assert paper.barrier(rows, "code+math", 50, "average") == pytest.approx([-1.0] * 2), "all of the line lies under its chord"


def test_text_goes_between_the_markers_and_nowhere_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{paper.BEGIN}\nold\n{paper.END}\nafter\n")
    paper.write_into(page, "new")
    assert page.read_text() == f"before\n{paper.BEGIN}\nnew\n{paper.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="expected the lines"):
        paper.write_into(page, "new")


def test_the_job_runs_every_config():
    script = (ROOT / "jobs" / "paper_small.sh").read_text()
    listed = re.search(r"configs=\(([^)]*)\)", script)[1].split()
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "configs" / "paper-small").glob("*.toml"))
    assert {f"e{number:02}" for number in range(1, 13)} <= set(listed)


# ---- the committed store

@pytest.fixture(scope="module")
def committed():
    return by_name(STORE)


def test_the_committed_store_answers_every_experiment(committed):
    assert {f"E{n}" for n in range(1, 13)} | set(paper.CORRECTED) <= set(committed)
    assert {name: r.reason for name, r in committed.items() if r.verdict == paper.UNKNOWN} == {}
    for result in committed.values():
        assert result.measured and all(i.n >= 3 for _, i in result.measured), result.name


def test_the_committed_store_is_of_the_committed_configs():
    last = re.search(r"configs=\(([^)]*)\)", (ROOT / "jobs" / "paper_small.sh").read_text())[1].split()[-1]
    assert cmsweep_reader.provenance(STORE)["config"] == (ROOT / "configs" / "paper-small" / f"{last}.toml").read_text()


def test_the_committed_store_is_small():
    assert STORE.stat().st_size < 5e6


def test_the_committed_page_is_of_the_committed_store():
    page = (FOLDER / "README.md").read_text()
    assert paper.markdown(STORE) == page[page.index(paper.BEGIN) + len(paper.BEGIN) + 1:page.index(paper.END) - 1], \
        "run analysis/paper.py analysis/paper-small/paper-small.h5 -o analysis/paper-small/README.md"
    for image in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page):
        assert (FOLDER / image).stat().st_size < 150_000, image
