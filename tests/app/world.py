"""A tiny world for end-to-end tests: text of four kinds, a base model, and configs of sweeps that take a few seconds."""
from __future__ import annotations

import copy
import json
import random
from pathlib import Path

NOUNS = ("table lattice window stream matrix pebble garden engine harbour signal ledger bracket village kernel mirror orchard "
         "packet column tensor planet thread cellar bridge market vector island ticket valley spindle journal").split()
VERBS = ("carry split gather measure polish collect forward balance mend compare release invert sample repeat follow shelter "
         "extend divide project reduce observe scatter confirm attach").split()
ADJECTIVES = ("narrow bright uniform hollow patient convex silent positive brittle finite amber regular shallow distant sparse "
              "stable crooked upper modest linear wooden cyclic foreign smooth").split()


def _name(draw: random.Random) -> str:
    return f"{draw.choice(VERBS)}_{draw.choice(NOUNS)}"


def _code(draw: random.Random) -> str:
    noun, other, name = draw.choice(NOUNS), draw.choice(NOUNS), _name(draw)
    return (f"def {name}({noun}, {other}={draw.randrange(90)}):\n    total = {draw.randrange(9)}\n    for item in {noun}:\n"
            f"        total += item.{draw.choice(VERBS)}({other} % {draw.randrange(2, 60)})\n    return total // {draw.randrange(2, 40)}\n\n")


def _math(draw: random.Random) -> str:
    a, b, n = draw.randrange(2, 50), draw.randrange(2, 50), draw.randrange(2, 9)
    return (f"Let {draw.choice('xyzuvw')} be a {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)} of order {n}. Then {a} * {b} = {a * b}, "
            f"so that every {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)} has degree {a + b}. ")


def _prose(draw: random.Random) -> str:
    return (f"The {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)} began to {draw.choice(VERBS)} the {draw.choice(NOUNS)}, and "
            f"{draw.choice(('nobody', 'everybody', 'a neighbour', 'the old captain'))} saw how {draw.choice(ADJECTIVES)} it was. ")


def _record(draw: random.Random) -> str:
    """What needs both specialists: a sentence, code that computes it, the number that comes out."""
    a, b = draw.randrange(2, 50), draw.randrange(2, 50)
    return f"The product of a {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)} of order {a}.\n>>> {_name(draw)}({a}, {b})\n{a * b}\n\n"


KINDS = {"code": _code, "math": _math, "prose": _prose, "record": _record}


def write_corpus(folder: Path, kind: str, documents: int = 24, size: int = 1500, seed: int = 0) -> Path:
    """`documents` files of about `size` bytes; the same on every machine."""
    folder.mkdir(parents=True)
    draw = random.Random(f"{kind} {seed}")
    for number in range(documents):
        text = ""
        while len(text) < size:
            text += KINDS[kind](draw)
        (folder / f"{number:02}.txt").write_text(text)
    return folder


def to_toml(config: dict) -> str:
    """The subset of TOML that configs need: tables, arrays of tables, inline tables inside them."""
    def value(item):
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{key} = {value(entry)}" for key, entry in item.items()) + " }"
        if isinstance(item, list):
            return "[" + ", ".join(value(entry) for entry in item) + "]"
        return json.dumps(str(item) if isinstance(item, Path) else item)

    def is_tables(item):
        return isinstance(item, list) and item and all(isinstance(entry, dict) for entry in item)

    def table(header, content, path):
        lines = [header] + [f"{key} = {value(item)}" for key, item in content.items() if not is_tables(item)]
        for key, item in content.items():
            if is_tables(item):
                for entry in item:
                    lines += table(f"[[{path}{key}]]", entry, f"{path}{key}.")
        return lines

    lines = []
    for key, item in config.items():
        for entry in item if is_tables(item) else [item]:
            lines += table(f"[[{key}]]" if is_tables(item) else f"[{key}]", entry, key + ".") + [""]
    return "\n".join(lines)


class World:
    """Text and a base under one folder; configs start from `sweep()`, a dict to change and then to write with `write()`."""

    def __init__(self, root: Path):
        self.root = root
        self.text = root / "text"
        for kind in KINDS:
            write_corpus(self.text / kind, kind)
        self.base = root / "base"

    def corpora(self, *names: str) -> list[dict]:
        return [{"name": name, "files": [self.text / name / "*"], "holdout": 0.4 if name == "record" else 0.2} for name in names]

    def pretraining(self) -> dict:
        """The config that makes the base."""
        return {
            "sweep": {"name": "base", "output": self.root / "made" / "base"},
            "model": {"architecture": "gpt2", "blocks": 2, "width": 24, "heads": 2, "context": 32, "tokenizer": "bytes"},
            "corpus": self.corpora("code", "math", "prose"),
            "pretrain": {"corpus": ["code", "math", "prose"], "steps": 150, "batch": 8, "learning_rate": 4e-3},
        }

    def make_base(self, run) -> "World":
        """The program itself makes the base, through [pretrain]; `run` runs it with a config."""
        run(write(self.pretraining(), self.root, "base.toml"))
        (folder,) = (self.root / "made" / "base.d" / "base").iterdir()
        folder.rename(self.base)
        return self

    def sweep(self, name: str = "tiny") -> dict:
        """A grid that takes a second or two: everything cheap, one trained method."""
        return copy.deepcopy({
            "sweep": {"name": name, "output": "out/" + name, "seeds": [0, 1]},
            "model": {"checkpoint": self.base, "tokenizer": "bytes"},
            "corpus": self.corpora("code", "math", "record"),
            "specialist": [{"name": "code", "corpus": "code"}, {"name": "math", "corpus": "math"}],
            "finetune": {"steps": 20, "batch": 4, "learning_rate": 2e-3, "schedule": "constant"},
            "grid": {"pairs": [["code", "math"]], "degrees": [0, 10, 20], "layers": ["all"], "targets": ["record"], "method": [
                {"name": "average", "alpha": [0.25, 0.5]},
                {"name": "interpolate_features", "alpha": [0.5]},
                {"name": "route", "steps": 4, "batch": 4},
                {"name": "ensemble_probabilities"},
            ]},
            "evaluate": {"windows": 24},
            "similarity": {"probe": "record", "windows": 24, "metrics": ["cka_debiased"], "permutations": 4, "after_merge": False},
            "run": {"device": "cpu", "commit_seconds": 0.2},
        })

    def long_sweep(self, name: str = "long") -> dict:
        """Long enough, some five seconds on one worker, to be interrupted in the middle of anything."""
        config = self.sweep(name)
        config["finetune"].update(steps=60, batch=16)
        config["grid"].update(degrees=[0, 15, 30, 60], layers=["all", "each"])
        config["grid"]["method"][2].update(steps=25, batch=16, span=[1, 2])
        config["evaluate"]["windows"] = 48
        config["similarity"].update(against=["pair", "base", "seeds"])
        config["run"]["commit_seconds"] = 0.1
        return config


def write(config: dict, folder: Path, file: str = "sweep.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(to_toml(config))
    return path


def store_of(config_file: Path, config: dict) -> Path:
    return (config_file.parent / config["sweep"]["output"]).with_suffix(".h5")
