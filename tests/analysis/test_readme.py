"""The README against the program: its tables, commands, exit codes and examples."""
import os
import re
import subprocess
import sys

import pytest

import cmsweep_reader
import own_models
import real_store

ROOT = real_store.ROOT
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "jobs"))

import registry_tables  # noqa: E402


def block(language, title):
    """The code block of that language under a heading."""
    (code,) = re.findall(rf"(?s)```{language}\n(.*?)```", re.split(r"(?m)^##+ ", README.split(f"## {title}\n")[1])[0])
    return code


def test_the_tables_are_what_the_program_prints():
    assert registry_tables.updated(README, real_store.run) == README, "run jobs/registry_tables.py"


def test_the_tables_keep_names_defaults_and_sources():
    (ties, pwcca) = registry_tables.entries("""ties  [parameter]
    Trims.
    density: a number in (0, 1]; default 0.2; share that is kept
    lambda: a number in [0, 100]; scale; default 1, "fusionbench" 0.3
    top_k: an integer in [1, 9] or "all"
    needs: the base
    holds: symmetric
    source: Yadav et al. 2023

pwcca  (not symmetric)
    canonical: weighted
    source: Morcos""")
    assert ties == {"name": "ties", "mark": "parameter", "summary": "Trims.", "source": "Yadav et al. 2023",
                    "parameters": {"density": "0.2", "lambda": '1, "fusionbench" 0.3', "top_k": None}}
    assert (pwcca["mark"], pwcca["summary"], pwcca["parameters"]) == ("not symmetric", "canonical: weighted", {})


def test_the_reader_knows_every_methods_family():
    printed = {}
    for entry in registry_tables.entries(real_store.run("methods")):
        printed.setdefault(entry["mark"], []).append(entry["name"])
    assert {family: sorted(names) for family, names in printed.items()} == {f: sorted(names) for f, names in cmsweep_reader.FAMILIES.items()}


def test_commands_and_exit_codes_are_the_programs():
    said = real_store.run("--help")
    usage, codes = said.split("exit codes:")
    commands = set(re.findall(r"cmsweep \[?(\w+)", usage)) | set(re.findall(r"\| (\w+) ", usage))
    assert commands == set(re.findall(r"`cmsweep ([a-z]+)\b", README.split("| command | does |")[1].split("\n\n")[0]))
    header = (ROOT / "src" / "app" / "exit_code.hpp").read_text()
    values = set(re.findall(r"= (\d+),", header))
    assert values == set(re.findall(r"(?m)^\| (\d+) \|", README)) == set(re.findall(r"(\d+) ", codes.split("\n\n")[0]))


def test_the_first_config_is_one_that_the_program_plans(tmp_path):
    for folder in ("configs", "data/mine"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "configs" / "models").symlink_to(ROOT / "configs" / "models")
    real_store.write_text(tmp_path / "data" / "mine")
    for theirs, ours in (("math", "law"), ("doctest", "contracts")):
        (tmp_path / "data" / "mine" / theirs).rename(tmp_path / "data" / "mine" / ours)
    config = tmp_path / "configs" / "mine.toml"
    config.write_text(block("toml", "A first config of your own"))
    said = real_store.run("plan", config)
    assert re.search(r"(?m)^pair +4 +base, code, law, code\+law$", said) and re.search(r"(?m)^layer +6 ", said)  # none, all, 0 to 3


def planned(config, text):
    """What `plan` says of a config, whether or not it likes it."""
    config.write_text(text)
    done = subprocess.run([real_store.program(), "plan", config], env=real_store.environment(), capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_the_config_for_models_that_exist_is_the_shipped_one_and_is_planned(tmp_path):
    text = block("toml", "Your own checkpoints and text")
    assert text == (ROOT / "configs" / "own-models.toml").read_text()
    config = own_models.write(tmp_path)
    said = real_store.run("plan", config)
    assert re.search(r"(?m)^pair +4 +base, code, law, code\+law$", said) and re.search(r"(?m)^target +3 +contracts, code, law$", said)
    # What the page says of loaded models.
    for change, message in ((('["code", "law"]]', '["code#1", "law"]]'), "only fine-tuned specialists have twins"),
                            (('name = "ensemble_probabilities"', 'name = "joint"'), "give a number of steps"),
                            (('name = "ensemble_probabilities"', 'name = "fisher"'), "has no training text: name a corpus"),
                            (('name = "ensemble_probabilities"', 'name = "fisher"\ntrain_on = "code"'), "fisher")):
        assert text.count(change[0]) == 1 and message in planned(config, text.replace(*change)), change
    without = planned(config, text.replace('metrics = ["cka_debiased"]', 'metrics = ["cka_debiased"]\nagainst = ["pair"]'))
    assert planned(config, text.replace('metrics = ["cka_debiased"]', 'metrics = ["cka_debiased"]\nagainst = ["pair", "seeds"]')) == without, "no ceiling"


def test_the_lines_for_a_notebook_run(real):
    names = {}
    exec(block("python", "Reading the store in a notebook").replace("results/quickstart.h5", str(real)), names)
    assert len(names["df"]) == 50 and names["cka"]["value"].dims == ("comparison", "degree", "seed", "layer_a", "layer_b")


@pytest.mark.parametrize("page", ["README.md", "jobs/README.md", "src/README.md", "analysis/STORE_FORMAT.md"])
def test_what_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^##+ (.*)$", text)}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("https://"):
            assert ((ROOT / page).parent / link).exists(), link
    for path in re.findall(r"`((?:\./)?(?:jobs|configs|analysis|src|include|tests)/[\w./-]+)`", text):
        known = ("configs/mine.toml",)  # the reader's own
        assert path in known or (ROOT / path).exists(), path


def test_the_scripts_that_a_command_names_can_be_started():
    commands = re.findall(r"(?m)^((?:analysis|jobs|tests)/[\w./]+)", "".join(README.split("```")[1::2]))
    assert len(set(commands)) >= 2
    for script in commands:
        assert os.access(ROOT / script, os.X_OK), script


def test_the_scripts_of_the_first_screen_can_be_started():
    for script in re.findall(r"(?m)^\./(\S+)", README.split("\n## ")[0]):
        assert os.access(ROOT / script, os.X_OK), script
        assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0
