"""The findings on stores where they hold, or do not, by construction."""
import numpy as np
import pytest

import findings
from synthetic_store import StoreBuilder, quickstart_like


def by_name(paths):
    return {f.name: f for f in findings.findings(paths)}


def test_they_hold_where_they_were_built_in(synthetic):
    found = by_name(synthetic)
    assert {name: f.verdict for name, f in found.items()} == {"a": "holds", "b": "holds", "c": "holds"}
    measured = dict(found["b"].measured)
    lost = measured["best interpolate_features at degree 400 minus degree 25, where it is lowest"]
    assert lost.mean == pytest.approx(0.2) and lost.n == 3 and lost.over == "seeds"
    gain = measured["base minus best interpolate_features at degree 25"]
    # losses 1.896, 1.9, 1.904 against 2: mean 0.1, sd 0.004, half-width 4.302653 x 0.004 / sqrt(3) = 0.009937
    assert gain.mean == pytest.approx(0.1) and gain.low == pytest.approx(0.1 - 0.009937, abs=1e-6)
    measured = dict(found["c"].measured)
    assert measured["best interpolate_features minus routing over span 1, degree 400"].mean == pytest.approx(0.1 + 0.28 - 0.003)
    assert measured["gain of span 1 over the base at degree 400 minus that at degree 0"].mean == pytest.approx(0.23)


def test_they_do_not_hold_where_the_opposite_was_built_in(tmp_path):
    store = quickstart_like()
    for row in store.rows["experiments"]:
        degree = row["degree"][0]
        if row["method"] == "interpolate_features":
            row["loss"] = row["loss_select"] = 2.0 - 0.001 * degree + 0.001 * row["seed"]  # ever better
        if row["method"] == "route":
            row["loss"] = row["loss_select"] = 1.9 + 0.1 * row["seed"] * (row["loss"] < 1.7)  # span 2 not reliably better
    for row in store.rows["similarity"]:
        if row["degree_a"] == 400:
            row["value"] = np.ones((3, 3)) - 1e-3 * row["seed"]
    found = by_name(store.write(tmp_path / "opposite.h5"))
    assert {f.verdict for f in found.values()} == {"does not hold"}
    assert "lowest at the last degree, 400" in found["b"].reason
    assert "0 of 3 blocks" in found["a"].reason


def test_one_seed_gives_no_verdict_on_similarity(tmp_path):
    found = by_name(quickstart_like(seeds=(0,)).write(tmp_path / "one_seed.h5"))
    assert found["a"].verdict == "not estimable"


def test_one_computation_for_all_seeds_gives_no_interval(tmp_path):
    """Loaded models: every seed's row is the same comparison."""
    store = quickstart_like()
    level = {25: 0.9, 100: 0.6, 400: 0.3}
    store.rows["similarity"] = [row for row in store.rows["similarity"] if (row["model_a"], row["model_b"]) == ("code", "math") and row["degree_a"] in level]
    for row in store.rows["similarity"]:
        row["value"] = np.full((3, 3), level[row["degree_a"]])
    found = by_name(store.write(tmp_path / "loaded.h5"))["a"]
    assert found.verdict == "not estimable" and {i.n for _, i in found.measured} == {1}
    assert found.measured[0][1].mean == pytest.approx(0.6)


def test_what_a_store_lacks_is_said(tmp_path):
    store = StoreBuilder()
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, layer="all", weights=[0.5, 0.5])
    found = by_name(store.write(tmp_path / "poor.h5"))
    assert {f.verdict for f in found.values()} == {"not estimable"} and all(f.reason for f in found.values())


def test_the_table_has_every_claim_and_number(synthetic, capsys):
    assert findings.main([str(synthetic)]) == 0
    printed = capsys.readouterr().out
    for claim in findings.CLAIMS.values():
        assert claim in printed
    assert "+0.2000 [+0.2000, +0.2000], n = 3 seeds" in printed
    found = findings.findings(synthetic)
    assert len(findings.verdicts(found)) == 3
    assert set(findings.measurements(found)["judgement"]) == {"above zero", "not above zero"}


def test_a_file_that_is_no_store_gives_exit_code_2(tmp_path, capsys):
    assert findings.main([str(tmp_path / "none.h5")]) == 2
    assert "no such store" in capsys.readouterr().err
