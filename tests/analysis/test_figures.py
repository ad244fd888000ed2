"""The figures: what is drawn, with which numbers, and what is said where data lack."""
import json
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from scipy import stats

import figures
import plots
import prediction
import synthetic_store
from intervals import mean_interval
from plots import style
from sweep import Missing, Sweep
from synthetic_store import StoreBuilder, quickstart_like

ALL = [module.NAME for module in (*plots.OF_A_SWEEP, *plots.OF_A_TARGET, *plots.OF_A_PAIR, *plots.OF_A_PAIR_ON_A_TARGET)]


@pytest.fixture(scope="module")
def sweep(synthetic):
    return Sweep(synthetic)


def errorbars(axis):
    """label -> (x, y, low, high) of every line with intervals."""
    found = {}
    for container in axis.containers:
        if isinstance(container, ErrorbarContainer):
            line, _, (bars,) = container.lines
            segments = np.array(bars.get_segments())
            found[container.get_label()] = (line.get_xdata(), line.get_ydata(), segments[:, 0, 1], segments[:, 1, 1])
    return found


def test_every_figure_is_written_as_png_and_svg(synthetic, tmp_path, capsys):
    assert figures.main([str(synthetic), "-o", str(tmp_path / "out")]) == 0
    written = {p.name for p in (tmp_path / "out").iterdir()}
    absent = plots.retention_against_degree.NAME
    assert written == {f"{name}.{kind}" for name in ALL if name != absent for kind in ("png", "svg")}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not drawn")]
    assert len(lines) == 1 and absent in lines[0] and "merges judged on a specialist's own corpus" in lines[0]


def test_the_same_store_gives_the_same_bytes(tmp_path):
    path = quickstart_like(degrees=(0, 25)).write(tmp_path / "small.h5")
    with matplotlib.rc_context(style.SETTINGS):
        for folder in ("one", "two"):
            figures.save(plots.similarity_maps.draw(Sweep(path), "code+math"), tmp_path / folder, "maps")
            figures.save(plots.best_merge_against_degree.draw(Sweep(path), "code+math", "doctest"), tmp_path / folder, "lines")
    assert len(list((tmp_path / "one").iterdir())) == 4
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_alpha_curves_end_in_the_specialists_and_carry_intervals(sweep):
    figure = plots.loss_against_alpha.draw(sweep, "code+math", "doctest")
    shares, losses, low, high = errorbars(figure.axes[0])["degree 400"]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.02)
    assert losses == pytest.approx([2.4, 2.125, 2.1, 2.125, 2.5])  # 0: math alone, 1: code alone
    assert high[2] - losses[2] == pytest.approx(0.009937, abs=1e-6)  # by hand in test_findings.py
    assert losses[2] - low[2] == pytest.approx(0.009937, abs=1e-6)
    assert "n = 3 seeds" in figure._supxlabel.get_text()


def test_degree_0_has_intervals_over_text_blocks(sweep):
    figure = plots.best_interpolation_against_degree.draw(sweep, "code+math", "doctest")
    assert "64 text blocks where seeds do not vary" in figure._supxlabel.get_text().replace("\n", " ")
    places, losses, low, high = errorbars(figure.axes[0])["MLP outputs interpolated"]
    assert losses == pytest.approx([2.0, 1.9, 1.95, 2.1])
    assert high[0] > losses[0] > low[0]


def test_similarity_shows_null_and_ceiling_for_every_block(sweep):
    figure = plots.similarity_against_degree.draw(sweep, "code+math")
    panels = figure.axes[:6]  # 2 metrics x 3 blocks
    assert [a.get_title() for a in panels] == ["block 0", "block 1", "block 2"] * 2
    degrees, values, low, high = errorbars(panels[1])["code and math"]
    assert degrees.tolist() == [0, 25, 100, 400] and values == pytest.approx([1, 0.805, 0.63, 0.28])
    assert (low[1:] < values[1:]).all() and (high[1:] > values[1:]).all()
    labels = panels[0].get_legend_handles_labels()[1]
    assert "ceiling: code under two seeds" in labels and any(label.startswith("null") for label in labels)
    assert "0.805 at degree 25, 0.280 at degree 400; lower in 3 of 3 blocks, with certainty in 3" in figure._suptitle.get_text().replace("\n", " ")


def test_the_lowest_panels_name_the_degree(sweep):
    panels = plots.similarity_against_degree.draw(sweep, "code+math").axes[:6]
    assert [a.get_xlabel() for a in panels] == [""] * 3 + ["degree (steps)"] * 3


def test_numbers_get_the_digits_that_tell_them_apart():
    assert style.apart(0.5, 0.25) == ("0.500", "0.250")
    assert style.apart(0.99912, 0.99907) == ("0.99912", "0.99907")
    assert style.apart(1.0, 1.0) == ("1.000000", "1.000000")


def test_experts_are_named_by_block_and_member():
    names = [plots.routing_weights.expert_name(e, ["code", "math"], 3) for e in range(7)]
    assert names == ["code", "math", "code\nnext block", "math\nnext block", "code\n2 on", "math\n2 on", "base"]


def test_a_similarity_close_to_one_is_drawn_by_its_distance_from_one():
    axis = matplotlib.figure.Figure().subplots()
    style.similarity_axis(axis, nearest=0.004, lowest=-0.02)
    transform = axis.yaxis.get_transform()
    places = transform.transform(np.array([0.0, 0.9, 0.99, 0.999, 1.0]))
    assert np.diff(places) == pytest.approx(1)  # a decade of distance each, and 1 itself above
    assert transform.inverted().transform(places) == pytest.approx([0.0, 0.9, 0.99, 0.999, 1.0])


def test_spans_stand_beside_interpolation_and_ensemble(sweep):
    figure = plots.loss_against_span.draw(sweep, "code+math", "doctest")
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == ["best interpolation", "ensemble", "routed, span 1", "routed, span 2"]
    _, losses, _, _ = errorbars(figure.axes[0])["degree 400"]
    assert losses == pytest.approx([1.723, 1.673])
    title = figure._suptitle.get_text().replace("\n", " ")
    assert "span 1 is 0.377 nat below the best interpolation; span 2 is 0.050 nat below span 1" in title
    assert "span 1 2.0 x, span 2 4.0 x" in figure._supxlabel.get_text().replace("\n", " ")


def test_the_best_of_every_family_stands_beside_the_parents(sweep):
    figure = plots.best_merge_against_degree.draw(sweep, "code+math", "doctest")
    lines = errorbars(figure.axes[0])
    assert set(lines) == {"parameters", "features", "routing", "outputs", "code alone", "math alone"}
    assert lines["parameters"][1] == pytest.approx([2.0, 1.92, 1.97, 2.12])
    assert "routing (route) does best: 0.327 nat gained over the best single model" in figure._suptitle.get_text().replace("\n", " ")


def test_lines_differ_in_more_than_colour(sweep):
    degrees = style.degree_styles(range(7))
    assert len({(s["marker"], str(s["linestyle"])) for s in degrees.values()}) == 7
    lightness = [np.dot(s["color"][:3], (0.2126, 0.7152, 0.0722)) for s in degrees.values()]
    assert (np.diff(lightness) < -0.02).all()  # from light to dark, in grey too
    assert len({(s["marker"], s["linestyle"]) for s in style.FAMILY_STYLES.values()}) == 4


def test_several_pairs_get_figures_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "save", lambda figure, folder, name: folder / f"{name}.png")
    store = quickstart_like()
    store.experiment("average", ["code", "prose"], [25, 25], {"alpha": 0.5}, layer="all", loss=1.9, weights=[0.5, 0.5])
    written, missing = figures.draw_all(Sweep(store.write(tmp_path / "two_pairs.h5")), tmp_path / "out")
    names = {p.stem for p in written}
    assert "loss_against_alpha-code+math-doctest" in names and "similarity_maps-code+math" in names
    lacking = dict(missing)
    assert "comparisons between the members" in lacking["similarity_maps-code+prose"]
    assert "best_interpolation_against_degree-code+prose-doctest" in lacking  # one degree alone
    assert lacking["loss_against_span-code+prose-doctest"] == "rows of method route"


def test_a_store_without_combinations_says_so(tmp_path, capsys):
    store = StoreBuilder()
    store.experiment("base", ["base"], [0])
    assert figures.main([str(store.write(tmp_path / "bare.h5")), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "training curves" in printed and "combinations of members alike in degree" in printed


def test_a_file_that_is_no_store_gives_exit_code_2(tmp_path, capsys):
    assert figures.main([str(tmp_path / "none.h5"), "-o", str(tmp_path)]) == 2
    assert "none.h5: no such store" in capsys.readouterr().err


def test_the_real_store_gives_every_figure(real, tmp_path):
    written, missing = figures.draw_all(Sweep(real), tmp_path)
    absent = plots.retention_against_degree.NAME
    assert [name for name, _ in missing] == [absent] and {p.stem for p in written} == set(ALL) - {absent}


def config_grown_narrower(tmp_path):
    """A store whose last config asks for degree 25 alone, with one row of a former config under a present row's labels."""
    store = quickstart_like()
    for table, column in (("experiments", "degree"), ("similarity", "degree_a")):
        for row in store.rows[table]:
            degree = row[column][0] if table == "experiments" else row[column]
            row["in_plan"] = int(degree in (0, 25))
    planned = next(r for r in store.rows["experiments"] if r["method"] == "average" and r["degree"] == [25, 25] and r["seed"] == 1)
    store.add("experiments", {**planned, "id": "f" * 32, "loss": 9.0, "loss_select": 9.0, "in_plan": 0})
    return store.write(tmp_path / "narrower.h5")


def test_rows_outside_the_plan_are_there_on_request(tmp_path):
    path = config_grown_narrower(tmp_path)
    assert Sweep(path).degrees("code+math", "doctest") == [0, 25]
    assert np.unique(Sweep(path).comparisons["degree_a"]).tolist() == [0, 25]
    sweep = Sweep(path, outside_plan=True)
    assert sweep.degrees("code+math", "doctest") == [0, 25, 100, 400]
    assert sweep.similarity("cka_debiased")["degree"].values.tolist() == [0, 25, 100, 400]


def test_the_command_takes_what_is_outside_the_plan_and_says_what_it_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "draw_all", lambda sweep, folder: ([], [("degrees", str(sweep.degrees("code+math", "doctest")))]))
    assert figures.main([str(config_grown_narrower(tmp_path)), "-o", str(tmp_path / "out"), "--outside-plan"]) == 0
    printed = capsys.readouterr().out
    assert "left out: 1 rows" in printed and "[0, 25, 100, 400]" in printed


def test_a_planned_row_stands_before_one_of_the_same_labels(tmp_path):
    sweep = Sweep(config_grown_narrower(tmp_path), outside_plan=True)
    assert sweep.ambiguous == 1
    assert sweep.select("code+math", "doctest", 25, method="average")["loss"].max() < 2


def test_planned_comparisons_stand_before_others_of_the_same_labels(tmp_path):
    store = StoreBuilder()
    for value, planned in ((0.9, 1), (0.1, 0)):
        store.comparison("code", 25, "math", 25, np.full((3, 3), value), in_plan=planned)
    path = store.write(tmp_path / "twice.h5")
    assert Sweep(path, outside_plan=True).similarity("cka_debiased")["value"].values == pytest.approx(0.9)


# ---- a store with everything: references, rebasin, sparse spans, twins, the specialists' own texts, four specialists

@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """(the builder, for its rows; the sweep)."""
    store = synthetic_store.rich()
    return store, Sweep(store.write(tmp_path_factory.mktemp("full") / "rich.h5"))


def by_seed(store, method, degree, target="doctest", members=("code", "math"), column="loss", **setting):
    """seed -> a value of the builder's rows, straight from them."""
    found = {}
    for row in store.rows["experiments"]:
        parameters = json.loads(row["setting"].split(" ", 1)[1])
        if (row["method"], row["target"], tuple(row["model"]), row["degree"][0]) == (method, target, tuple(members), degree) and setting.items() <= parameters.items():
            found[row["seed"]] = row[column]
    assert found, (method, degree, target, members, setting)
    return np.array([found[seed] for seed in sorted(found)])


def half_width(numbers):
    return stats.t.ppf(0.975, len(numbers) - 1) * np.std(numbers, ddof=1) / np.sqrt(len(numbers))


def words_of(figure):
    """Title and caption, unwrapped."""
    return figure._suptitle.get_text().replace("\n", " "), figure._supxlabel.get_text().replace("\n", " ")


def test_references_stand_beside_the_families(full):
    store, sweep = full
    figure = plots.best_merge_against_degree.draw(sweep, "code+math", "doctest")
    lines = errorbars(figure.axes[0])
    for label, method in (("base fine-tuned on the target", "finetune_target"), ("base fine-tuned on all members' text", "joint")):
        _, losses, _, high = lines[label]
        assert losses == pytest.approx([by_seed(store, method, d).mean() for d in (0, 25, 100, 400)])
        assert high[3] - losses[3] == pytest.approx(half_width(by_seed(store, method, 400)))  # the base is the same for every seed
    title, caption = words_of(figure)
    tuned = by_seed(store, "route", 400, span=2, top_k="all") - by_seed(store, "finetune_target", 400)
    assert f"{abs(tuned.mean()):.3f} nat below the base fine-tuned on the target" in title and tuned.mean() + half_width(tuned) < 0
    assert "Learned from the target's training text: finetune_target, route" in caption


def test_families_are_compared_over_degrees_with_the_same_to_choose_from(full):
    store, sweep = full
    assert by_seed(store, "ties", 400).mean() < by_seed(store, "rebasin", 400, alpha=0.5).mean()  # would win, but was run at degree 400 alone
    lines = errorbars(plots.best_merge_against_degree.draw(sweep, "code+math", "doctest").axes[0])
    candidates = [("average", {"alpha": a}) for a in (0.25, 0.5, 0.75)] + [("rebasin", {"alpha": a}) for a in (0.25, 0.5, 0.75)]
    method, setting = min(candidates, key=lambda c: by_seed(store, c[0], 400, column="loss_select", **c[1]).mean())
    assert lines["parameters"][1][3] == pytest.approx(by_seed(store, method, 400, **setting).mean())


def test_what_a_store_lacks_in_references_is_said(sweep):
    assert "Not in the store: finetune_target and joint" in words_of(plots.best_merge_against_degree.draw(sweep, "code+math", "doctest"))[1]


def test_the_barrier_is_the_height_above_the_chord(full):
    store, sweep = full
    figure = plots.barrier_against_degree.draw(sweep, "code+math", "doctest")
    lines, code, math = errorbars(figure.axes[0]), *(by_seed(store, "specialist", 400, members=[m]) for m in ("code", "math"))
    select = [by_seed(store, "specialist", 400, members=[m], column="loss_select") for m in ("code", "math")]
    for label, method in (("parameters averaged as they are", "average"), ("after matching units (rebasin)", "rebasin")):
        rises = {a: (by_seed(store, method, 400, column="loss_select", alpha=a) - a * select[0] - (1 - a) * select[1]).mean() for a in (0.25, 0.5, 0.75)}
        top = max(rises, key=rises.get)  # which weight: by select
        heights = by_seed(store, method, 400, alpha=top) - top * code - (1 - top) * math
        _, values, low, high = lines[label]
        assert values[3] == pytest.approx(heights.mean())
        assert (low[3], high[3]) == pytest.approx((heights.mean() - half_width(heights), heights.mean() + half_width(heights)))
    title, caption = words_of(figure)
    assert "no barrier" in title and "matching makes it" in title and "0.25, 0.5, 0.75 of code" in caption


def test_a_barrier_is_called_one_only_where_the_interval_is_above_the_chord(tmp_path):
    words = {}
    for name, rises in (("certain", (0.30, 0.31, 0.32)), ("doubtful", (-0.2, 0.0, 0.5))):
        store = StoreBuilder()
        for seed, rise in enumerate(rises):
            common = dict(seed=seed, id=f"{seed:032x}")
            for model, loss in (("code", 2.0), ("math", 3.0), ("base", 2.5)):
                store.experiment("base" if model == "base" else "specialist", [model], [0 if model == "base" else 25], loss=loss, **{**common, "id": f"{model}{seed}"})
            store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.25}, layer="all", weights=[0.25, 0.75], loss=2.75 + rise, **common)
        words[name] = words_of(plots.barrier_against_degree.draw(Sweep(store.write(tmp_path / f"{name}.h5")), "code+math", "doctest"))
    assert "a barrier of 0.310 nat above the chord" in words["certain"][0] and "No rebasin in the store" in words["certain"][1]
    assert "no certain barrier: 0.100 nat (not certainly) above" in words["doubtful"][0]


def test_retention_is_on_each_specialists_own_text_without_what_learned_from_it(full):
    store, sweep = full
    figure = plots.retention_against_degree.draw(sweep, "code+math")
    assert [a.get_title() for a in figure.axes[:2]] == ["on code, code's own text", "on math, math's own text"]
    for axis, text in zip(figure.axes, ("code", "math")):
        lines = errorbars(axis)
        assert set(lines) == {"parameters", "code alone", "math alone"}  # routers trained on the target, the specialist's own text, are left out
        assert lines["parameters"][1] == pytest.approx([by_seed(store, "average", d, text, alpha=0.5).mean() for d in (0, 25, 100, 400)])
    lost = by_seed(store, "average", 400, "code", alpha=0.5) - by_seed(store, "specialist", 400, "code", members=["code"])
    assert f"{lost.mean():.3f} nat above code alone on code" in words_of(figure)[0]
    with pytest.raises(Missing, match="own corpus"):
        plots.retention_against_degree.draw(sweep, "prose+formal")


def test_whose_text_is_whose_is_read_from_the_config(tmp_path):
    store = StoreBuilder()
    store.config = '[[specialist]]\nname = "coder"\ncorpus = "code"\n'
    for target in ("code", "doctest"):
        store.experiment("base", ["base"], [0], target=target)
    sweep = Sweep(store.write(tmp_path / "names.h5"))
    assert [sweep.own_corpus(m) for m in ("coder", "coder#1", "code-short", "codes", "math")] == ["code", "code", "code", "codes", "math"]


def test_spans_at_equal_cost_are_compared_with_as_many_experts(full):
    store, sweep = full
    figure = plots.span_at_equal_cost.draw(sweep, "code+math", "doctest")
    flops, stored, active, differences = figure.axes[:4]
    assert [a.get_xlabel() for a in (flops, stored, active)] == [f"{cost} (base: 1)" for cost in plots.span_at_equal_cost.COSTS.values()]
    points = {label: np.stack(line[:2], axis=1).astype(float) for label, line in errorbars(flops).items()}
    dense = [by_seed(store, "route", 400, span=s, top_k="all") for s in (1, 2)]
    sparse, twins = by_seed(store, "route", 400, top_k=2), by_seed(store, "route", 400, members=("code", "math", "code#1", "math#1"))
    assert points["spans, dense, degree 400"] == pytest.approx(np.array([(2, dense[0].mean()), (4, dense[1].mean())]))
    assert points["spans, top-2 renormalised, degree 400"] == pytest.approx(np.array([(2, dense[0].mean()), (2.05, sparse.mean())]))
    assert points["span 1 over twins' experts, degree 400"] == pytest.approx(np.array([(2, dense[0].mean()), (4, twins.mean())]))
    assert errorbars(stored)["span 1 over twins' experts, degree 400"][0] == pytest.approx([2, 3.8])
    labels = [t.get_text().replace("\n", " ") for t in differences.get_yticklabels()]
    assert labels == ["dense span 2 against span 1 over 4 experts of the same block (1.00 x FLOPs, 0.53 x stored)",
                      "span 2, top-2 renormalised, against dense span 1 (1.02 x FLOPs, 1.00 x stored)", "span 2 against span 1, both dense (2.00 x FLOPs, 1.00 x stored)"]
    drawn = [c for c in differences.containers if c.get_label() == "degree 400"]
    for container, expected in zip(drawn, (dense[1] - twins, sparse - dense[0], dense[1] - dense[0])):  # from the bottom
        line, _, (bars,) = container.lines
        assert line.get_xdata()[0] == pytest.approx(expected.mean())
        assert bars.get_segments()[0][:, 0] == pytest.approx([expected.mean() - half_width(expected), expected.mean() + half_width(expected)])
    assert {c.get_label() for c in differences.containers} == {f"degree {d}" for d in (0, 25, 100, 400)}  # each also at degree 0
    title = words_of(figure)[0]
    assert "At degree 400 with equal FLOPs span 2 keeping as many experts is" in title and "; at degree 0 " in title


def test_spans_that_differ_in_more_than_span_are_not_compared(tmp_path):
    store = quickstart_like()
    for row in store.rows["experiments"]:
        if row["setting"] == 'route {"scope":"per_layer","span":2,"top_k":"all"}':
            row["setting"] = 'route {"scope":"single","span":2,"top_k":"all"}'
    store.axes["setting"] = synthetic_store.Names(s.replace('"per_layer","span":2', '"single","span":2') for s in store.axes["setting"])
    store.parameters = [(m, p.replace('"per_layer","span":2', '"single","span":2')) for m, p in store.parameters]
    with pytest.raises(Missing, match="same router"):
        plots.span_at_equal_cost.draw(Sweep(store.write(tmp_path / "other.h5")), "code+math", "doctest")


def test_the_frontier_is_chosen_on_select_and_drawn_on_test():
    entries = [SimpleNamespace(name=name) for name in "abcd"]
    points = [(1, 2.0, entries[0]), (2, 1.9, entries[1]), (2, 1.8, entries[2]), (3, 1.85, entries[3])]
    assert [e.name for _, _, e in plots.cost_quality.frontier(points)] == ["a", "c"]  # b is as dear as c and worse, d dearer and worse


def test_the_frontiers_points_are_test_losses_with_intervals(full):
    store, sweep = full
    figure = plots.cost_quality.draw(sweep, "code+math", "doctest")
    ties = by_seed(store, "ties", 400)
    solid = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
    # Nothing is both better and dearer than ties, by construction; the references are no merges, and stand beside the frontier.
    assert [round(float(c.lines[0].get_ydata()[0]), 6) for c in solid] == [round(by_seed(store, m, 400).mean(), 6) for m in ("ties", "finetune_target", "joint")]
    assert f"{abs((ties - by_seed(store, 'finetune_target', 400)).mean()):.3f} nat below the base fine-tuned on the target" in words_of(figure)[0]
    line, _, (bars,) = solid[0].lines
    assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx((1, ties.mean()))
    assert bars.get_segments()[0][:, 1] == pytest.approx([ties.mean() - half_width(ties), ties.mean() + half_width(ties)])
    hollow = {l.get_label() for l in figure.axes[0].lines}
    assert {"routing", "outputs", "base", "a member alone", "base fine-tuned on the target"} <= hollow


def test_the_merge_gap_is_drawn_against_similarity_seeds_averaged(full):
    store, sweep = full
    table, method = plots.similarity_and_merge_gap.gaps(sweep, "doctest", "cka_debiased")
    assert method == "interpolate_features" and len(table) == 6 * 3 - 1 and table["degree"].min() > 0
    row = table[(table["pair"] == "math+prose") & (table["degree"] == 100)].iloc[0]
    parents = [by_seed(store, "specialist", 100, members=[m]) for m in ("math", "prose")]
    gaps = by_seed(store, "interpolate_features", 100, members=("math", "prose"), alpha=0.5) - (parents[0] + parents[1]) / 2
    assert row["gap"] == pytest.approx(gaps.mean()) and row["gap_interval"].high == pytest.approx(gaps.mean() + half_width(gaps))
    compared = [np.diag(r["value"]).mean() for r in store.rows["similarity"]
                if (r["model_a"], r["model_b"], r["degree_a"], r["metric"]) == ("math", "prose", 100, "cka_debiased")]
    assert row["similarity"] == pytest.approx(np.mean(compared)) and row["similarity_interval"].n == 3
    select = [by_seed(store, "specialist", 100, members=[m], column="loss_select").mean() for m in ("math", "prose")]
    assert row["parents"] == pytest.approx(np.mean(select))


def test_similarity_and_merge_gap_says_relation_and_what_is_missing(full):
    _, sweep = full
    figure = plots.similarity_and_merge_gap.draw(sweep, "doctest")
    table, _ = plots.similarity_and_merge_gap.gaps(sweep, "doctest", "cka_debiased")
    chosen = prediction.complete(table)
    assert sorted(chosen["degree"].unique()) == [25, 100]  # one pair lacks degree 400
    relation = prediction.mantel(chosen, "similarity", "gap")
    title, caption = words_of(figure)
    assert f"r = {relation.correlation:+.2f}, p = {relation.p:.2g}; 4 specialists, 6 pairs" in title
    assert "so not compared: norm of the task vectors and cosine of the task vectors" in caption
    names = [t.get_text() for t in figure.axes[1].get_yticklabels()]
    assert names == ["CKA and parents' losses", "degree and CKA", "CKA, without degree", "degree and parents' losses", "degree", "constant"]
    errors = [float(c.lines[0].get_xdata()[0]) for c in figure.axes[1].containers]
    by_hand = prediction.leave_one_specialist_out(chosen, "gap", ("degree", "similarity"))
    assert errors[names.index("degree and CKA")] == pytest.approx(np.mean(list(by_hand.values())))


def test_below_four_specialists_prediction_is_not_estimable(sweep):
    figure = plots.similarity_and_merge_gap.draw(sweep, "doctest")
    assert "not estimable: 2 specialists" in words_of(figure)[0]
    assert [c.get_label() for c in figure.axes[0].containers] == ["degree 25", "degree 100", "degree 400"] and len(figure.axes) == 2  # one, and the legend's room


def test_maps_stand_across_and_within_the_members(sweep):
    figure = plots.similarity_maps.draw(sweep, "code+math")
    maps = [a for a in figure.axes if a.images and a.get_title()]
    assert [(a.get_xlabel(), a.get_title()) for a in maps] == (
        [("block of math", f"degree {d}") for d in (0, 25, 100, 400)] + [(f"block of {m}, other seed", f"degree {d}") for m in ("code", "math") for d in (25, 100, 400)])
    across = np.array([[1 - 0.7 - 0.1 * abs(a - b) - 0.02 * a for b in range(3)] for a in range(3)])
    assert np.asarray(maps[3].images[0].get_array()) == pytest.approx(across)
    assert np.asarray(maps[6].images[0].get_array()) == pytest.approx(np.mean([np.minimum(across + 0.004 * (s - 1) + 0.2, 1) for s in (0, 0, 1)], axis=0))


def test_doubt_is_said_in_words():
    told = [style.change(mean_interval(numbers, "seeds")) for numbers in ([-0.1, -0.11, -0.12], [-0.1, 0.3, 0.1], [0.0, 0.0, 0.0], [2e-5, 1e-5, 3e-5], [0.1])]
    assert told == ["0.110 nat below", "0.100 nat (not certainly) above", "0 nat below", "0.00002 nat (not certainly) above", "0.100 nat (not certainly) above"]


def test_neighbouring_blocks_weight_is_compared_with_even_mixing(sweep):
    assert ("routers over span 2 give the neighbouring blocks 0.50 of the weight [0.50, 0.50; n = 3 seeds], not certainly other than the 0.50 of even mixing"
            in words_of(plots.routing_weights.draw(sweep, "code+math", "doctest"))[0])


def test_many_training_curves_get_panels_of_their_own(tmp_path):
    store = StoreBuilder()
    for i in range(6):
        store.add("training", {"model": f"m{i}", "seed": 0, "loss": [2.0, 1.9 - 0.1 * i], "learning_rate": [1e-3, 1e-4]})
    figure = plots.training_curves.draw(Sweep(store.write(tmp_path / "many.h5")))
    assert [a.get_title() for a in figure.axes] == [f"m{i}" for i in range(6)]
    assert words_of(figure)[0] == "Training loss of 6 models: m5 from 2.00 to 1.40 falls most, m0 from 2.00 to 1.90 least"


def test_many_degrees_leave_axes_and_panels_readable(tmp_path):
    degrees = (0, 2, 10, 18, 20, 50, 100, 200, 400, 800, 1600)
    store = quickstart_like(degrees=(0, 25), seeds=(0, 1))
    for seed in (0, 1):
        for degree in degrees[1:]:
            for model in ("code", "math"):
                store.experiment("specialist", [model], [degree], seed=seed, loss=2.1, id=f"{model}{degree}{seed}")
            for alpha in (0.25, 0.5) if degree in (50, 1600) else (0.5,):
                store.experiment("interpolate_features", ["code", "math"], [degree] * 2, {"alpha": alpha, "site": "mlp"}, seed, layer="all", loss=1.9,
                                 weights=[alpha, 1 - alpha], id=f"{alpha}{degree}{seed}")
            store.comparison("code", degree, "math", degree, np.full((3, 3), 0.9), seed=seed)
    sweep = Sweep(store.write(tmp_path / "degrees.h5"))
    axis = plots.loss_against_alpha.draw(sweep, "code+math", "doctest").axes[0]
    assert len(errorbars(axis)) == 7 and {"degree 0", "degree 25"} <= set(errorbars(axis))  # these have three weights each
    maps = [a.get_title() for a in plots.similarity_maps.draw(sweep, "code+math").axes if a.images and a.get_xlabel() == "block of math"]
    assert len(maps) == 5 and maps[0] == "degree 0" and maps[-1] == "degree 1600"
    axis = matplotlib.figure.Figure().subplots()
    style.degree_axis(axis, list(degrees), most=4)
    ticks = axis.get_xticks()
    places = axis.xaxis.get_transform().transform(ticks)
    assert {0, 1600} <= set(ticks) and len(ticks) >= 3 and np.diff(places).min() >= np.ptp(places) / 4 - 1e-9


def test_a_way_of_mixing_that_a_degree_lacks_draws_no_line_there(tmp_path):
    store = quickstart_like(degrees=(0, 25), seeds=(0, 1))
    store.rows["experiments"] = [r for r in store.rows["experiments"] if not (r["method"] == "average" and r["degree"] == [25, 25])]
    sweep = Sweep(store.write(tmp_path / "lacking.h5"))
    features, parameters = plots.loss_against_alpha.draw(sweep, "code+math", "doctest").axes[:2]
    assert set(errorbars(features)) == {"degree 0", "degree 25"} and set(errorbars(parameters)) == {"degree 0"}


def test_the_ceiling_is_compared_seed_by_seed(sweep, tmp_path):
    title = words_of(plots.similarity_against_degree.draw(sweep, "code+math"))[0]
    assert title.endswith("at degree 400 below the same-specialist ceiling in 3 of 3, with certainty in 3")
    store = quickstart_like()
    for row in store.rows["similarity"]:
        if row["model_a"] == row["model_b"]:
            row["value"] = row["value"] - 0.2 + 0.1 * (row["seed"] + row["seed_b"] - 2)  # around the pair's, now above, now below
    title = words_of(plots.similarity_against_degree.draw(Sweep(store.write(tmp_path / "doubt.h5")), "code+math"))[0]
    assert title.endswith("with certainty in 0")


def test_of_equal_labels_outside_the_plan_the_comparison_on_most_text_stands(tmp_path):
    for order in ((0.2, 0.05), (0.05, 0.2)):  # wherever it was stored
        store = StoreBuilder()
        for width in order:
            store.comparison("code", 25, "math", 25, np.full((3, 3), 1 - width), in_plan=0, null_p95=width)
        path = store.write(tmp_path / f"twice{order[0]}.h5")
        assert Sweep(path, outside_plan=True).similarity("cka_debiased")["value"].values == pytest.approx(0.95)


def test_a_specialist_of_degree_0_is_the_base_also_where_its_row_is_gone(tmp_path):
    store = quickstart_like()
    store.rows["experiments"] = [r for r in store.rows["experiments"] if not (r["method"] == "specialist" and r["degree"] == [0])]
    sweep = Sweep(store.write(tmp_path / "gone.h5"))
    assert sweep.specialist("code", 0, "doctest").loss == sweep.base("doctest").loss
    lines = errorbars(plots.best_merge_against_degree.draw(sweep, "code+math", "doctest").axes[0])
    assert lines["code alone"][1] == pytest.approx([2.0, 2.125, 2.25, 2.5])


def test_a_specialist_that_was_not_measured_leaves_a_gap(tmp_path):
    store = quickstart_like()
    store.rows["experiments"] = [r for r in store.rows["experiments"] if not (r["method"] == "specialist" and r["model"] == ["code"] and r["degree"] == [25])]
    sweep = Sweep(store.write(tmp_path / "gap.h5"))
    lines = errorbars(plots.best_merge_against_degree.draw(sweep, "code+math", "doctest").axes[0])
    assert len(lines["code alone"][0]) == 3 and len(lines["math alone"][0]) == 4
    assert len(errorbars(plots.barrier_against_degree.draw(sweep, "code+math", "doctest").axes[0])["parameters averaged as they are"][0]) == 3


def test_norm_and_cosine_of_the_task_vectors_predict_where_they_were_noted(tmp_path):
    store = synthetic_store.rich()
    for row in store.rows["experiments"]:
        if row["method"] == "interpolate_features" and row["degree"][0] > 0 and len(row["model"]) == 2:
            length = row["degree"][0] ** 0.5 * (1 + 0.1 * row["seed"]) * (1 if "code" in row["model"] else 2)
            store.experiment("task_arithmetic", row["model"], row["degree"], {"lambda": 0.3}, row["seed"], layer="all", loss=2.0, id=f"t{row['id'][1:]}",
                             message=json.dumps({"tau_norm": [length, 3 * length], "tau_cosine": 0.1 + 0.01 * row["seed"]}))
    sweep = Sweep(store.write(tmp_path / "noted.h5"))
    norm, cosine = sweep.task_vectors("math+prose", 100)
    assert norm == pytest.approx(2 * 2 * 10 * 1.1) and cosine == pytest.approx(0.11)  # mean of the members, then of seeds 0, 1, 2
    assert np.isnan(sweep.task_vectors("math+prose", 0)).all()
    figure = plots.similarity_and_merge_gap.draw(sweep, "doctest")
    names = [t.get_text() for t in figure.axes[1].get_yticklabels()]
    assert {"degree and norm of the task vectors", "degree and cosine of the task vectors"} <= set(names)
    assert "not compared: " not in words_of(figure)[1]
    chosen = prediction.complete(plots.similarity_and_merge_gap.gaps(sweep, "doctest", "cka_debiased")[0])
    errors = prediction.leave_one_specialist_out(chosen, "gap", ("degree", "task_norm"))
    drawn = figure.axes[1].containers[names.index("degree and norm of the task vectors")]
    assert float(drawn.lines[0].get_xdata()[0]) == pytest.approx(np.mean(list(errors.values())))


def test_degree_0_does_not_decide_which_settings_are_compared(tmp_path):
    store = quickstart_like()
    for row in store.rows["experiments"]:  # routing over span 1 becomes bad, but alone keeps its row at degree 0
        if row["method"] == "route" and '"span":1' in row["setting"] and row["degree"][0] > 0:
            row["loss"] = row["loss_select"] = 5.0
    store.rows["experiments"] = [r for r in store.rows["experiments"] if not (r["method"] == "route" and '"span":2' in r["setting"] and r["degree"] == [0, 0])]
    lines = errorbars(plots.best_merge_against_degree.draw(Sweep(store.write(tmp_path / "zero.h5")), "code+math", "doctest").axes[0])
    assert lines["routing"][1] == pytest.approx([1.953, 1.753, 1.703, 1.673])


def test_a_best_family_that_is_not_certainly_better_than_the_next_is_doubted(tmp_path):
    store = quickstart_like()
    for row in store.rows["experiments"]:
        if row["method"] == "ensemble_probabilities" and row["degree"][0] == 400:  # routing: 1.673, 1.676, 1.679
            row["loss"] = row["loss_select"] = 1.68 + 0.01 * (row["seed"] - 1)
    title = words_of(plots.best_merge_against_degree.draw(Sweep(store.write(tmp_path / "close.h5")), "code+math", "doctest"))[0]
    assert "combining by routing (route) does best (not certainly better than outputs)" in title
