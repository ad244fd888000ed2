"""The figures: what is drawn, with which numbers, and what is said where data lack."""
import matplotlib
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

import figures
import plots
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
    for folder in ("one", "two"):
        figures.draw_all(Sweep(path), tmp_path / folder)
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


def test_several_pairs_get_figures_of_their_own(tmp_path):
    store = quickstart_like()
    store.experiment("average", ["code", "prose"], [25, 25], {"alpha": 0.5}, layer="all", loss=1.9, weights=[0.5, 0.5])
    written, missing = figures.draw_all(Sweep(store.write(tmp_path / "two_pairs.h5")), tmp_path / "out")
    names = {p.stem for p in written}
    assert "loss_against_alpha-code+math-doctest" in names and "similarity_maps-code+math" in names
    lacking = dict(missing)
    assert "comparisons between the members" in lacking["similarity_maps-code+prose"]
    assert "specialist code at degree 25" not in lacking.get("loss_against_alpha-code+prose-doctest", "")
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
    monkeypatch.setattr(figures, "draw_all", lambda sweep, folder: ([], [("degrees", sweep.degrees("code+math", "doctest"))]))
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
