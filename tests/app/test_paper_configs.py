"""configs/paper: every experiment is accepted as it stands, with stand-ins under its data's own file names."""
import json
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import program
import safetensors

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs" / "paper").glob("*.toml"))
BLOCKS, WIDTH, CONTEXT = 12, 12, 1024  # GPT-2 small's blocks and context, as narrow as its 12 heads allow


def write_tokenizer(folder):
    """Files as GPT-2's, of bytes alone: its alphabet in its order, one merge, and the end of text."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("\xa1"), ord("\xac") + 1), *range(ord("\xae"), ord("\xff") + 1)]
    letters = [chr(byte) for byte in kept] + [chr(256 + n) for n in range(256 - len(kept))]
    names = [*letters, "th", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\n")
    return len(names)


def write_gpt2(folder, seed=0):
    folder.mkdir(parents=True)
    vocabulary = write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "n_layer": BLOCKS, "n_head": 12, "n_embd": WIDTH,
        "n_positions": CONTEXT, "n_ctx": CONTEXT, "vocab_size": vocabulary, "layer_norm_epsilon": 1e-5}))
    draw = np.random.default_rng(seed)
    shapes = {"wte.weight": (vocabulary, WIDTH), "wpe.weight": (CONTEXT, WIDTH), "ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    for block in range(BLOCKS):
        for name, inputs, outputs in (("attn.c_attn", WIDTH, 3 * WIDTH), ("attn.c_proj", WIDTH, WIDTH), ("mlp.c_fc", WIDTH, 4 * WIDTH),
                                      ("mlp.c_proj", 4 * WIDTH, WIDTH)):
            shapes |= {f"h.{block}.{name}.weight": (inputs, outputs), f"h.{block}.{name}.bias": (outputs,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{block}.{name}.weight": (WIDTH,), f"h.{block}.{name}.bias": (WIDTH,)}
    safetensors.write(folder / "model.safetensors", {name: draw.normal(0, 0.02, shape).astype("f4") for name, shape in shapes.items()})


def write_records(path, members, count=400):
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = random.Random(str(path.name) + str(members))
    words = [f"{draw.choice('bcdfghklmnprst')}{draw.choice('aeiou')}{draw.choice('lmnrst')}{n}" for n in range(400)]
    with path.open("w") as file:
        for _ in range(count):
            file.write(json.dumps({name: " ".join(draw.choices(words, k=30)) for name in members} | {"target": draw.random()}) + "\n")


def write_tokens(path, documents):
    """As nanoGPT's prepare.py writes them: uint16, an end of text after each document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(documents)
    np.concatenate([np.append(draw.integers(0, 256, 900), 257) for _ in range(documents)]).astype("<u2").tofile(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What README.md there lays out."""
    folder = tmp_path_factory.mktemp("paper")
    write_gpt2(folder / "gpt2")
    for number, name in enumerate([f"code-{i}" for i in range(1, 10)] + ["other-1", "math-1"], 1):
        write_gpt2(folder / "models" / name, seed=number)
    write_records(folder / "tiny-codes" / "part_1_200000.jsonl", ["prompt", "response"])
    write_records(folder / "orca-math-word-problems-200k" / "data" / "train-00000-of-00001.jsonl", ["question", "answer"])
    write_records(folder / "gsm-hard" / "gsmhardv2.jsonl", ["input", "code"])
    write_tokens(folder / "openwebtext" / "train.bin", 40)
    write_tokens(folder / "openwebtext" / "val.bin", 4000)
    shutil.copytree(ROOT / "configs" / "paper", folder / "configs" / "paper")
    return folder


def plan(data, config):
    done = subprocess.run([program.CMSWEEP, "plan", data / "configs" / "paper" / config], env={**program.ENVIRONMENT, "PAPER_DATA": str(data)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{config}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_there_are_twelve():
    assert [path.name for path in CONFIGS] == [f"e{number:02}.toml" for number in range(1, 13)]


@pytest.mark.parametrize("config", [path.name for path in CONFIGS])
def test_plan_accepts_the_experiment(data, config):
    said = plan(data, config)
    assert "tasks to run:" in said and "merge" in said
    assert ("specialise" in said) == (config != "e11.toml"), "only e11 loads its specialists"


def test_all_missing_text_is_named_at_once(data, tmp_path):
    (tmp_path / "gpt2").symlink_to(data / "gpt2")
    done = subprocess.run([program.CMSWEEP, "plan", data / "configs" / "paper" / "e01.toml"], env={**program.ENVIRONMENT, "PAPER_DATA": str(tmp_path)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == program.WRONG_INPUT
    assert all(f"{tmp_path}/{name}" in done.stderr for name in ("tiny-codes", "orca-math-word-problems-200k", "gsm-hard")), done.stderr


def test_the_readme_names_every_file_and_experiment():
    page = (ROOT / "configs" / "paper" / "README.md").read_text()
    for config in CONFIGS:
        for path in {word.split('"')[0] for word in config.read_text().split("${PAPER_DATA}/")[1:]}:
            assert path.split("/")[0] in page, f"{config.name} reads {path}"
        assert config.stem.upper().replace("E0", "E") in page
