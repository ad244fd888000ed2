"""The notebook runs from top to bottom, and says what the store says."""
import nbformat

import findings
import refresh
from refresh import NOTEBOOK
from synthetic_store import StoreBuilder, quickstart_like


def executed(store, monkeypatch):
    """The notebook's outputs on a store: (all text, number of images)."""
    monkeypatch.setenv("CMSWEEP_STORE", "")  # put back afterwards
    return contents(refresh.execute(nbformat.read(NOTEBOOK, as_version=4), store))


def contents(notebook):
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"], "warnings in the notebook"
    data = [o.data for o in outputs if "data" in o]
    text = "\n".join([d.get("text/markdown") or d.get("text/plain", "") for d in data] + [o.text for o in outputs if o.output_type == "stream"])
    return text, sum("image/png" in d for d in data)


def test_it_runs_on_the_quickstart_store_or_one_like_it(quickstart_or_synthetic, monkeypatch):
    text, images = executed(quickstart_or_synthetic, monkeypatch)
    assert images == 7 and "not drawn" not in text
    for finding in findings.findings(quickstart_or_synthetic):
        assert f"**({finding.name}) {findings.CLAIMS[finding.name]}: {finding.verdict}**" in text
        assert finding.reason in text


def test_it_prints_a_finding_that_does_not_show(tmp_path, monkeypatch):
    store = quickstart_like()
    for row in store.rows["experiments"]:
        if row["method"] == "interpolate_features":  # ever better, so nothing is lost again
            row["loss"] = row["loss_select"] = 2.0 - 0.001 * row["degree"][0] + 0.001 * row["seed"]
    text, _ = executed(store.write(tmp_path / "no_bowl.h5"), monkeypatch)
    assert "loses again: does not hold**" in text and "loses again: holds" not in text


def test_it_says_what_a_poor_store_lacks(tmp_path, monkeypatch):
    store = StoreBuilder()
    store.experiment("base", ["base"], [0])
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, layer="all", weights=[0.5, 0.5])
    text, images = executed(store.write(tmp_path / "poor.h5"), monkeypatch)
    assert "not drawn: the store lacks" in text and "not estimable**" in text


def test_it_is_kept_with_the_outputs_of_a_real_run():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text, images = contents(notebook)
    assert images == 7 and "sweep 'quickstart'" in text
    assert not any("metadata" in c and "execution" in c.metadata for c in notebook.cells)  # nothing that changes with every run


def test_the_readmes_findings_are_those_of_the_notebook():
    text, _ = contents(nbformat.read(NOTEBOOK, as_version=4))
    readme = (refresh.FOLDER.parent / "README.md").read_text()
    start, end = refresh.MARKERS
    section = readme.split(start)[1].split(end)[0]
    for name, claim in findings.CLAIMS.items():
        (verdict,) = [line for line in section.splitlines() if line.startswith(f"| ({name}) {claim} |")]
        assert f"**({name}) {claim}: {verdict.split('**')[1]}**" in text


def test_the_section_for_the_readme_says_what_the_store_says(synthetic):
    section = refresh.findings_section(synthetic)
    assert "| (b) interpolation first gains over the base, then loses again | **holds** |" in section and "3 seeds, degrees 0, 25, 100, 400" in section
    start, end = refresh.MARKERS
    assert refresh.with_section(f"a\n{start}old\n{end}\nb\n", section) == f"a\n{start}{section}{end}\nb\n"


def test_the_readmes_figure_is_drawn_small_enough(quickstart_or_synthetic, tmp_path):
    refresh.draw(quickstart_or_synthetic, tmp_path / "figure.png")
    for path in (tmp_path / "figure.png", refresh.FIGURE):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size <= 150_000
