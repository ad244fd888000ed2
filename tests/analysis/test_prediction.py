"""Mantel's test and prediction of left-out specialists, on simulated pairs whose answer is known."""
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import prediction
from prediction import NotEstimable




def table(specialists, similarity, gap, degrees=(25,)):
    return pd.DataFrame([dict(specialist_a=f"s{i}", specialist_b=f"s{j}", degree=d, similarity=similarity(d, i, j), gap=gap(d, i, j))
                         for d in degrees for i, j in itertools.combinations(range(specialists), 2)])


def random_table(seed, specialists=5, effect=0.0, degrees=(25,)):
    """What each specialist adds to all its pairs, in similarity and in gap, plus a little of each pair's own: as pairs really depend on
    each other. `effect`: how much of the gap follows similarity."""
    draw = np.random.default_rng(seed)
    of_x, of_y = draw.normal(size=specialists), draw.normal(size=specialists)
    own = {pair: draw.normal(size=2) * 0.3 for pair in itertools.combinations(range(specialists), 2)}

    def x(d, i, j):
        return of_x[i] + of_x[j] + own[i, j][0]

    def y(d, i, j):
        return of_y[i] + of_y[j] + own[i, j][1] - effect * x(d, i, j)

    return table(specialists, x, y, degrees)


def test_correlation_within_degree_ignores_what_changes_with_the_degree():
    by_hand = table(4, lambda d, i, j: 0.9 - d / 100, lambda d, i, j: d / 50, degrees=(10, 20))
    # Both follow the degree alone: pooled over degrees the correlation would be -1, within a degree there is nothing.
    assert math.isnan(prediction.within_degree_correlation(by_hand, "similarity", "gap"))
    values = {pair: v for v, pair in enumerate(itertools.combinations(range(4), 2))}
    opposed = table(4, lambda d, i, j: values[i, j] - d, lambda d, i, j: 2 * values[i, j] + 10 * d, degrees=(10, 20))
    assert prediction.within_degree_correlation(opposed, "similarity", "gap") == pytest.approx(1)
    one_degree = random_table(3)
    assert prediction.within_degree_correlation(one_degree, "similarity", "gap") == pytest.approx(
        stats.pearsonr(one_degree["similarity"], one_degree["gap"]).statistic)


def test_mantel_tries_every_labelling_of_few_specialists():
    # With similarity and gap opposed and six different values, only the labelling as observed puts them in order.
    values = {pair: v for v, pair in zip((1, 2, 4, 8, 16, 32), itertools.combinations(range(4), 2))}
    result = prediction.mantel(table(4, lambda d, i, j: values[i, j], lambda d, i, j: -3 * values[i, j], degrees=(25, 100)), "similarity", "gap")
    assert (result.correlation, result.p, result.labellings, result.exact) == (pytest.approx(-1), pytest.approx(1 / 24), 24, True)
    assert (result.specialists, result.pairs) == (4, 6)


def test_mantel_by_hand_counts_labellings_as_far_from_zero():
    gaps = random_table(5, specialists=4)
    x, names = prediction.matrices(gaps, "similarity")
    y, _ = prediction.matrices(gaps, "gap")
    upper = np.triu_indices(4, 1)
    r = [stats.pearsonr(x[0][upper], y[0][np.ix_(order, order)][upper]).statistic for order in itertools.permutations(range(4))]
    expected = np.mean(np.abs(r) >= abs(r[0]) - 1e-12)
    result = prediction.mantel(gaps, "similarity", "gap")
    assert result.correlation == pytest.approx(r[0]) and result.p == pytest.approx(expected)


def test_mantel_keeps_its_level_where_treating_pairs_as_independent_does_not():
    """400 tables without any relation, 5 specialists. At 5 % an exact test rejects in 20 of 400, standard deviation 4.4; the bound is four
    of these above. Pearson's p for 10 independent pairs rejects far more often: pairs that share a specialist go together."""
    tables = [random_table(seed) for seed in range(400)]
    rejected = sum(prediction.mantel(t, "similarity", "gap").p <= 0.05 for t in tables)
    naive = sum(stats.pearsonr(t["similarity"], t["gap"]).pvalue <= 0.05 for t in tables)
    assert 3 <= rejected <= 37
    assert naive > 50


def test_mantel_finds_an_effect_that_is_there():
    found = [prediction.mantel(random_table(seed, specialists=6, effect=3), "similarity", "gap") for seed in range(60)]
    assert sum(m.p <= 0.05 and m.correlation < 0 for m in found) >= 48  # power of 0.8 or more


def test_many_specialists_are_sampled_with_a_fixed_seed(monkeypatch):
    monkeypatch.setattr(prediction, "SAMPLED_LABELLINGS", 199)
    gaps = random_table(1, specialists=8, effect=5)
    first, again = (prediction.mantel(gaps, "similarity", "gap") for _ in range(2))
    assert first == again and not first.exact and first.labellings == 200
    assert first.p == pytest.approx(1 / 200)  # the labelling as observed counts


@pytest.mark.parametrize("statistic", [lambda t: prediction.mantel(t, "similarity", "gap"),
                                       lambda t: prediction.leave_one_specialist_out(t, "gap", ("similarity",))])
def test_below_four_specialists_nothing_is_estimable(statistic):
    with pytest.raises(NotEstimable, match="3 specialists .* 4 or more"):
        statistic(random_table(2, specialists=3))
    statistic(random_table(2, specialists=4))


def test_missing_pairs_and_values_are_refused():
    gaps = random_table(2)
    with pytest.raises(ValueError, match="every pair"):
        prediction.mantel(gaps[1:], "similarity", "gap")
    gaps.loc[3, "gap"] = np.nan
    with pytest.raises(NotEstimable, match="missing"):
        prediction.mantel(gaps, "similarity", "gap")


def test_the_complete_part_has_four_specialists_before_more_rows():
    whole = table(4, lambda *_: 0.0, lambda *_: 0.0, degrees=(25, 100))
    extra = pd.DataFrame([dict(specialist_a="s0", specialist_b="x", degree=d, similarity=0.0, gap=0.0) for d in (25, 50, 100, 200, 400)])
    lacking = whole[~((whole["degree"] == 100) & (whole["specialist_b"] == "s3"))]
    chosen = prediction.complete(pd.concat([lacking, extra]))
    assert prediction.specialists_of(chosen) == ["s0", "s1", "s2", "s3"] and set(chosen["degree"]) == {25} and len(chosen) == 6
    few = pd.concat([whole[~(whole["specialist_b"] == "s3")], extra])
    assert prediction.specialists_of(prediction.complete(few)) == ["s0", "s1", "s2"]  # 6 rows, more than the pair's 5, none has four


def test_a_law_is_predicted_exactly_and_only_by_its_own_predictor():
    draw = np.random.default_rng(4)
    own = {pair: draw.random() for pair in itertools.combinations(range(5), 2)}
    gaps = table(5, lambda d, i, j: own[i, j], lambda d, i, j: d / 1000 - 0.4 * own[i, j], degrees=(25, 100))
    compared = {p.name: p for p in prediction.compare(gaps, "gap", {"constant": (), "degree": ("degree",), "CKA": ("degree", "similarity")}, "degree")}
    assert compared["CKA"].error.mean == pytest.approx(0, abs=1e-12)
    assert compared["constant"].error.mean > compared["degree"].error.mean > 0.01
    assert compared["degree"].gain.mean == 0 and compared["CKA"].gain.above_zero and compared["CKA"].error.n == 5


def test_a_left_out_specialist_by_hand():
    # Four specialists, one degree. Without s3 the gaps are 1, 2, 3, whose mean 2 predicts 4, 5, 6: off by 2, 3, 4.
    gap = dict(zip(itertools.combinations(range(4), 2), (1.0, 2.0, 4.0, 3.0, 5.0, 6.0)))
    errors = prediction.leave_one_specialist_out(table(4, lambda *_: 0.0, lambda d, i, j: gap[i, j]), "gap", ("degree",))
    assert errors["s3"] == pytest.approx(3)


def test_an_unrelated_predictor_gains_nothing_on_average():
    gains = [prediction.compare(random_table(seed), "gap", {"degree": ("degree",), "CKA": ("degree", "similarity")}, "degree")[1].gain for seed in range(100)]
    assert np.mean([g.mean for g in gains]) < 0  # a useless slope costs
    assert sum(g.above_zero for g in gains) <= 15


def test_groups_of_which_every_pair_is_there():
    pairs = [frozenset(p) for p in ("ab", "bc", "ac", "cd")]
    assert sorted(prediction.cliques(pairs)) == [["a", "b", "c"], ["c", "d"]]
