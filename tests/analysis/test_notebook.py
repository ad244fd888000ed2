"""The notebooks run from top to bottom, and say what the store says."""
import nbformat
import pytest

import advice
import findings
import refresh
import story
import verdict
from refresh import OWN_MODELS, PAPER_STORY
from sweep import Sweep
from synthetic_store import StoreBuilder
from test_story import rich


@pytest.fixture
def executed(monkeypatch):
    """Function: a notebook's outputs on a store, (all text, number of images)."""
    for name in ("STORE", "PAIR", "TARGET", "DEGREE", "OUTSIDE_PLAN"):
        monkeypatch.setenv(f"CMSWEEP_{name}", "")  # put back afterwards

    def of(notebook, store, outside_plan=""):
        monkeypatch.setenv("CMSWEEP_OUTSIDE_PLAN", outside_plan)
        return contents(refresh.execute(nbformat.read(notebook, as_version=4), store))
    return of


def contents(notebook):
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"], "warnings in the notebook"
    data = [o.data for o in outputs if "data" in o]
    text = "\n".join([d.get("text/markdown") or d.get("text/plain", "") for d in data] + [o.text for o in outputs if o.output_type == "stream"])
    return text, sum("image/png" in d for d in data)


def figures_of(notebook):
    return "".join(cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code").count("display.figure(")


def test_the_story_runs_on_the_quickstart_store_or_one_like_it(quickstart_or_synthetic, executed):
    text, images = executed(PAPER_STORY, quickstart_or_synthetic)
    assert images + text.count("*Not drawn: ") == figures_of(PAPER_STORY) and images >= 8
    sweep = Sweep(quickstart_or_synthetic)
    for name, claim in story.CLAIMS.items():
        finding = story.claim(sweep, name, *sweep.cases()[0])
        assert f"**{claim[0].upper()}{claim[1:]}: {finding.verdict}**" in text and f"| {claim} | **{finding.verdict}** |" in text
        for what, interval in finding.measured:
            assert f"| {what} | {interval.text(digits=4)} |" in text
    assert f"Of {len(story.CLAIMS)} claims" in text


def test_the_notebook_for_own_models_runs_on_the_quickstart_store_or_one_like_it(quickstart_or_synthetic, executed):
    text, images = executed(OWN_MODELS, quickstart_or_synthetic)
    assert images + text.count("*Not drawn: ") == figures_of(OWN_MODELS) and images >= 3
    sweep = Sweep(quickstart_or_synthetic)
    found = advice.case(verdict.verdicts(sweep))
    assert advice.verdict_of(found, verdict.SettingText(sweep)) in text
    for option in found.options:
        assert option.gain.text(digits=4) in text
    for hint in found.hints:
        assert f"| {hint.about} | {hint.text} |" in text
    assert (refresh.FOLDER.parent / "configs" / "own-models.toml").read_text() in text


def test_the_story_of_a_richer_store_judges_more(tmp_path, executed):
    store = rich()
    for row in store.rows["experiments"]:
        row["in_plan"] = 0  # as where several configs filled it in turn
    text, images = executed(PAPER_STORY, store.write(tmp_path / "rich.h5"), outside_plan="1")
    for name in ("saturation", "equal_flops", "gate", "input", "target_text"):
        assert f"| {story.CLAIMS[name]} | **holds** |" in text
    assert f"| {story.CLAIMS['joint']} | **does not hold** |" in text
    assert "1 cannot be judged on this store" not in text and "2 cannot be judged on this store" in text


def test_the_notebook_for_own_models_says_what_a_poor_store_lacks(tmp_path, executed):
    store = StoreBuilder()
    store.experiment("base", ["base"], [0])
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, layer="all", weights=[0.5, 0.5])
    text, images = executed(OWN_MODELS, store.write(tmp_path / "poor.h5"))
    assert "The store lacks" in text and "code has not been measured alone on doctest under every seed (yet)" in text and "were not compared" in text
    assert "**No verdict yet**: not measured alone: code, math." in text and "run the sweep on" in text and "materialize" not in text.split("# Models that exist")[0]


@pytest.mark.parametrize("notebook", [PAPER_STORY, OWN_MODELS], ids=lambda path: path.stem)
def test_it_is_kept_with_the_outputs_of_a_real_run(notebook):
    kept = nbformat.read(notebook, as_version=4)
    text, images = contents(kept)
    assert images >= 3 and images + text.count("*Not drawn: ") == figures_of(notebook) and "weep `quickstart`" in text
    assert not any("metadata" in c and "execution" in c.metadata for c in kept.cells)  # nothing that changes with every run
    assert "/results/quickstart.h5" not in text.replace("`results/", "").replace(" results/", ""), "a path of one machine"


def test_the_readmes_findings_are_those_of_the_notebook():
    text, _ = contents(nbformat.read(PAPER_STORY, as_version=4))
    readme = (refresh.FOLDER.parent / "README.md").read_text()
    start, end = refresh.MARKERS
    section = readme.split(start)[1].split(end)[0]
    for claim in story.CLAIMS.values():
        said = [line for line in section.splitlines() if line.startswith(f"| {claim} |")]
        assert said and said[0] in text if f"| {claim} | **not estimable** |" not in text else not said and claim in section.split("need a richer sweep: ")[1]


def test_the_section_for_the_readme_says_what_the_store_says(synthetic):
    section = refresh.findings_section(synthetic)
    assert f"| {findings.CLAIMS['b']} | **holds** |" in section and "3 seeds, degrees 0, 25, 100, 400" in section
    start, end = refresh.MARKERS
    assert refresh.with_section(f"a\n{start}old\n{end}\nb\n", section) == f"a\n{start}{section}{end}\nb\n"


def test_the_readmes_figure_is_drawn_small_enough(quickstart_or_synthetic, tmp_path):
    refresh.draw(quickstart_or_synthetic, tmp_path / "figure.png")
    for path in (tmp_path / "figure.png", refresh.FIGURE):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size <= 150_000
