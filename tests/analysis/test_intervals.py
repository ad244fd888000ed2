"""Intervals against values worked out by hand."""
import numpy as np
import pytest

import sweep as sweeps
from intervals import Interval, mean_interval
from synthetic_store import StoreBuilder


def test_three_numbers_by_hand():
    # mean 2, standard deviation 1, t(0.975, 2) = 4.302653: half-width 4.302653 / sqrt(3) = 2.484138
    interval = mean_interval([1, 2, 3], "seeds")
    assert (interval.mean, interval.n, interval.over) == (2, 3, "seeds")
    assert interval.low == pytest.approx(2 - 2.484138, abs=1e-6) and interval.high == pytest.approx(2 + 2.484138, abs=1e-6)


def test_what_is_not_finite_does_not_count():
    assert mean_interval([1, np.nan, 2, 3]) == mean_interval([1, 2, 3])


def test_one_number_has_no_interval_and_none_has_no_mean():
    one = mean_interval([0.5], "seeds")
    assert one.mean == 0.5 and one.low == -np.inf and not one.above_zero and "no interval" in one.text()
    assert np.isnan(mean_interval([]).mean) and mean_interval([]).text() == "no data"


def test_text_says_all_of_it():
    assert Interval(0.5, 0.25, 0.75, 3, "seeds").text("nat", 2) == "+0.50 nat [+0.25, +0.75], n = 3 seeds"


def entries(tmp_path, first, second, same_ids):
    """Two settings whose seeds have these (loss, block losses)."""
    store = StoreBuilder()
    for alpha, results in ((0.25, first), (0.75, second)):
        for seed, (loss, blocks) in enumerate(results):
            store.experiment("average", ["code", "math"], [25, 25], {"alpha": alpha}, seed, layer="all", loss=loss, block_loss=blocks,
                             weights=[alpha, 1 - alpha], id=f"{int(alpha * 4) * 10 + (0 if same_ids else seed):032x}")
    sweep = sweeps.Sweep(store.write(tmp_path / "pairs.h5"))
    return [sweep.entry(sweep.select("code+math", "doctest", alpha=alpha)) for alpha in (0.25, 0.75)]


def test_differences_are_paired_by_seed(tmp_path):
    # the seeds differ by 10, the settings by 1, 2, 3 within each seed
    a, b = entries(tmp_path, [(11, [11]), (22, [22]), (33, [33])], [(10, [10]), (20, [20]), (30, [30])], same_ids=False)
    assert sweeps.difference(a, b) == mean_interval([1, 2, 3], "seeds")


def test_where_seeds_do_not_vary_blocks_of_text_are_paired(tmp_path):
    a, b = entries(tmp_path, [(2, [11, 22, 33])] * 2, [(1, [10, 20, 30])] * 2, same_ids=True)
    assert sweeps.difference(a, b) == mean_interval([1, 2, 3], "text blocks")


def test_one_seed_alone_falls_back_to_blocks_of_text(tmp_path):
    a, b = entries(tmp_path, [(2, [11, 22, 33])], [(1, [10, 20, 30])], same_ids=False)
    assert sweeps.difference(a, b).over == "text blocks"


def test_the_best_is_chosen_on_select_and_needs_all_seeds(tmp_path):
    store = StoreBuilder()

    def add(alpha, seed, loss, loss_select):
        store.experiment("average", ["code", "math"], [25, 25], {"alpha": alpha}, seed, layer="all", loss=loss, loss_select=loss_select)

    for seed in (0, 1):
        add(0.25, seed, loss=1.0, loss_select=2.0)  # best on test: must not win
        add(0.5, seed, loss=3.0, loss_select=1.5)
    add(0.75, 0, loss=0.1, loss_select=0.1)  # one lucky seed of two
    sweep = sweeps.Sweep(store.write(tmp_path / "best.h5"))
    chosen = sweeps.best(sweep.entries(sweep.select("code+math", "doctest", 25)))
    assert chosen["alpha"] == 0.5 and chosen.loss == 3.0


def test_what_rounding_can_make_is_no_difference():
    rounding = mean_interval([2e-8, 3e-8, 2.5e-8], "text blocks")
    assert rounding.low > 0 and not rounding.above_zero and not mean_interval([-2e-8, -3e-8, -2.5e-8]).below_zero
    assert mean_interval([2e-5, 3e-5, 2.5e-5]).above_zero


def test_a_contrast_is_taken_seed_by_seed_or_by_block_of_text(tmp_path):
    store = StoreBuilder()
    for seed, (merged, code) in enumerate(((1.0, 2.0), (1.2, 2.4), (1.7, 2.6))):
        store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, seed, layer="all", loss=merged, weights=[0.5, 0.5], id=f"m{seed}")
        store.experiment("specialist", ["code"], [25], seed=seed, loss=code, id=f"c{seed}")
        store.experiment("base", ["base"], [0], seed=seed, loss=1.5, block_loss=[1.0, 1.5, 2.0], id="b")
    sweep = sweeps.Sweep(store.write(tmp_path / "contrast.h5"))
    merged = sweep.entry(sweep.select("code+math", "doctest"))
    code, base = sweep.specialist("code", 25, "doctest"), sweep.base("doctest")
    gap = sweeps.contrast([(1, merged), (-0.5, code), (-0.5, base)])  # -0.75, -0.75, -0.35
    assert gap.mean == pytest.approx(-0.61667, abs=1e-5) and (gap.n, gap.over) == (3, "seeds")
    # standard deviation 0.23094, t(0.975, 2) = 4.302653: half-width 0.57369
    assert gap.high - gap.mean == pytest.approx(0.57369, abs=1e-5)
    alone = sweeps.contrast([(2, base), (-1, base)])
    assert alone.mean == pytest.approx(1.5) and (alone.n, alone.over) == (3, "text blocks")
