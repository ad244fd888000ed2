"""Checkpoints and tokenizers as they come from elsewhere: all spellings of one model give one base loss."""
import json
import shutil

import numpy as np
import pytest

import program
import safetensors
import world as worlds


def tensors_of(world) -> dict[str, np.ndarray]:
    """The base's tensors under names without a prefix."""
    return {name.removeprefix("transformer."): tensor for name, tensor in safetensors.read(world.base / "model.safetensors").items()}


def write_sharded(folder, tensors):
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, inside in shards.items():
        safetensors.write(folder / file, {name: tensors[name] for name in inside})
    index = {"metadata": {"total_size": sum(4 * tensor.size for tensor in tensors.values())},
             "weight_map": {name: file for file, inside in shards.items() for name in inside}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


LAYOUTS = {
    "plain": lambda folder, tensors: safetensors.write(folder / "model.safetensors", tensors),
    "prefixed": lambda folder, tensors: safetensors.write(folder / "model.safetensors", {"transformer." + n: t for n, t in tensors.items()}),
    "with_masks_and_head": lambda folder, tensors: safetensors.write(folder / "model.safetensors", {
        **tensors, "lm_head.weight": tensors["wte.weight"], **{f"h.{i}.attn.bias": np.tril(np.ones((1, 1, 32, 32))) for i in range(2)},
        **{f"h.{i}.attn.masked_bias": np.array(-1e4) for i in range(2)}}),
    "sharded": write_sharded,
    "float16": lambda folder, tensors: safetensors.write(folder / "model.safetensors", tensors, "F16"),
    "bfloat16": lambda folder, tensors: safetensors.write(folder / "model.safetensors", tensors, "BF16"),
}


def base_only(world, name) -> dict:
    config = world.sweep(name)
    config["sweep"]["seeds"] = [0]
    config["grid"].update(degrees=[0], method=[{"name": "average"}])
    del config["similarity"]
    return config


@pytest.fixture(scope="session")
def bases(world):
    """Base loss and id by layout."""
    found = {}
    for layout, write in LAYOUTS.items():
        config = base_only(world, "layout")
        folder = world.root / f"layout-{layout}" / "model"
        folder.mkdir(parents=True)
        shutil.copy(world.base / "config.json", folder)
        write(folder, tensors_of(world))
        config["model"]["checkpoint"] = folder
        file = worlds.write(config, folder.parent)
        program.run_well(file)
        data = program.columns(worlds.store_of(file, config), "experiments")
        row = program.names_of(worlds.store_of(file, config), "method").index("base")
        found[layout] = data["loss"][row], data["id"][row].decode()
    return found


@pytest.mark.parametrize("layout", ["prefixed", "with_masks_and_head", "sharded"])
def test_another_layout_is_the_same_model(bases, layout):
    assert bases[layout] == bases["plain"], "the same bits, and the same result"


@pytest.mark.parametrize("layout, tolerance", [("float16", 1e-3), ("bfloat16", 1e-2)])
def test_half_precision_is_nearly_the_same_model(bases, layout, tolerance):
    """2^-11 and 2^-8 relative in the weights: a loss of about 3 nats moves by less than the tolerance."""
    loss, identity = bases[layout]
    assert loss == pytest.approx(bases["plain"][0], abs=tolerance)
    assert loss != bases["plain"][0] and identity != bases["plain"][1], "other weights are another model"


# ---- GPT-2's tokenizer, in both of its spellings

def byte_words() -> dict[int, str]:
    """GPT-2's printable stand-ins for the 256 bytes (bytes_to_unicode in OpenAI's encoder.py)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    words = {byte: chr(byte) for byte in shown}
    return words | {byte: chr(256 + n) for n, byte in enumerate(byte for byte in range(256) if byte not in words)}


def small_vocabulary():
    """All bytes, some merges that occur in the text, and the end of text."""
    words = byte_words()
    merges = [("t", "h"), ("th", "e"), (words[32], "a"), (words[32], "t"), ("r", "e"), ("o", "r"), ("d", "e"), ("i", "n"), ("e", "r"),
              (words[32], "o"), (words[32] + "o", "f")]
    tokens = [words[byte] for byte in range(256)] + [a + b for a, b in merges] + ["<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, [f"{a} {b}" for a, b in merges]


def test_two_spellings_of_one_tokenizer_give_the_same_results(world):
    vocabulary, merges = small_vocabulary()
    ids, tokens = {}, {}
    for spelling in ("two_files", "one_file", "bytes"):
        config = base_only(world, "tokenizer")
        config["model"] = {**world.pretraining()["model"]}
        config["pretrain"] = {"corpus": ["code", "math"], "steps": 10, "batch": 4}
        folder = world.root / f"tokenizer-{spelling}" / "tokenizer"
        folder.mkdir(parents=True)
        if spelling == "two_files":
            (folder / "vocab.json").write_text(json.dumps(vocabulary))
            (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        elif spelling == "one_file":
            (folder / "tokenizer.json").write_text(json.dumps({
                "version": "1.0", "added_tokens": [{"id": vocabulary["<|endoftext|>"], "content": "<|endoftext|>", "special": True}],
                "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                "decoder": {"type": "ByteLevel"},
                "model": {"type": "BPE", "unk_token": None, "vocab": vocabulary, "merges": merges}}))
        if spelling != "bytes":
            config["model"]["tokenizer"] = folder
        file = worlds.write(config, folder.parent)
        program.run_well(file)
        store = worlds.store_of(file, config)
        program.assert_all_done(store)
        ids[spelling] = program.columns(store, "experiments")["id"].tolist()
        plan = program.run_well("plan", file).out
        tokens[spelling] = next(line for line in plan.splitlines() if line.startswith("estimated disk:"))
        made = next((store.parent / "tokenizer.d" / "base").iterdir())
        assert json.loads((made / "config.json").read_text())["vocab_size"] == (len(vocabulary) if spelling != "bytes" else 256)
        copies = {"two_files": {"vocab.json", "merges.txt"}, "one_file": {"tokenizer.json"}, "bytes": set()}[spelling]
        assert copies <= {path.name for path in made.iterdir()}, "a base that was made can be loaded elsewhere"
    assert ids["two_files"] == ids["one_file"] != ids["bytes"]
    assert tokens["two_files"] == tokens["one_file"]


def test_a_checkpoint_without_a_tokenizer_says_what_to_do(world, tmp_path):
    config = base_only(world, "none")
    del config["model"]["tokenizer"]
    result = program.run(worlds.write(config, tmp_path))
    assert result.code == 2 and "tokenizer.json" in result.err and 'tokenizer = "bytes"' in result.err, str(result)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]
