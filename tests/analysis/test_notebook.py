"""The notebook runs from top to bottom, and says what the store says."""
import os
from pathlib import Path

import nbclient
import nbformat

import findings
from synthetic_store import StoreBuilder, quickstart_like

NOTEBOOK = Path(__file__).resolve().parents[2] / "analysis" / "three_findings.ipynb"


def executed(store, monkeypatch):
    """The notebook's outputs on a store: (all text, number of images)."""
    monkeypatch.setenv("CMSWEEP_STORE", os.fspath(store))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
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
