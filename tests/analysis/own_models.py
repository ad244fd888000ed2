"""Stand-ins for models and text that somebody already has: tiny GPT-2s with a tokenizer, JSON lines and token files, laid out as
configs/own-models.toml expects them."""
import json
import random
import shutil
import sys

import numpy as np

import real_store

sys.path.insert(0, str(real_store.ROOT / "tests" / "app"))

import safetensors  # noqa: E402

BLOCKS, WIDTH, CONTEXT = 2, 16, 32
SHOWN = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in SHOWN]
WORDS = {byte: chr(byte) if byte in SHOWN else chr(256 + OTHERS.index(byte)) for byte in range(256)}  # GPT-2's stand-ins for bytes
VOCABULARY = {WORDS[byte]: byte for byte in range(256)} | {"<|endoftext|>": 256}


def tensors(draw):
    """A base's weights."""
    shapes = {"wte.weight": (len(VOCABULARY), WIDTH), "wpe.weight": (CONTEXT, WIDTH), "ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    for block in range(BLOCKS):
        for name, rows, columns in (("attn.c_attn", WIDTH, 3 * WIDTH), ("attn.c_proj", WIDTH, WIDTH), ("mlp.c_fc", WIDTH, 4 * WIDTH),
                                    ("mlp.c_proj", 4 * WIDTH, WIDTH)):
            shapes |= {f"h.{block}.{name}.weight": (rows, columns), f"h.{block}.{name}.bias": (columns,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{block}.{name}.weight": (WIDTH,), f"h.{block}.{name}.bias": (WIDTH,)}
    made = {name: draw.normal(0, 0.1, shape) for name, shape in shapes.items()}
    return {name: 1 + tensor if "ln_" in name and name.endswith("weight") else tensor for name, tensor in made.items()}


def write_model(folder, weights):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new", "n_embd": WIDTH, "n_head": 2, "n_layer": BLOCKS,
        "n_positions": CONTEXT, "n_ctx": CONTEXT, "n_inner": None, "vocab_size": len(VOCABULARY), "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True, "bos_token_id": 256, "eos_token_id": 256}))
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [{"id": 256, "content": "<|endoftext|>", "special": True}], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "unk_token": None, "vocab": VOCABULARY, "merges": []}}))
    safetensors.write(folder / "model.safetensors", weights)


def write(root):
    """Everything that configs/own-models.toml names, and that config in root/configs. Returns its path."""
    draw = np.random.default_rng(0)
    base = tensors(draw)
    write_model(root / "models" / "gpt2", base)
    for name in ("code", "law"):
        direction = {n: draw.normal(0, 0.02, t.shape) if ".mlp." in n else 0 for n, t in base.items()}
        for degree, far in ((1000, 0.5), (8000, 1.0)):
            write_model(root / "models" / f"{name}-{degree}", {n: t + far * direction[n] for n, t in base.items()})
    text = root / "data" / "own"
    (text / "contracts").mkdir(parents=True)
    words = random.Random(0)
    for number in range(4):
        records = [{"text": " ".join(words.choices(real_store.WORDS["doctest"], k=80)) + f" {number} {record}"} for record in range(20)]
        (text / "contracts" / f"{number}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for name in ("code", "law"):
        sentences = (" ".join(words.choices(real_store.WORDS["code" if name == "code" else "math"], k=60)) + f" {n}" for n in range(150))
        ids = [token for sentence in sentences for token in (*sentence.encode(), 256)]
        np.array(ids, "<u2").tofile(text / f"{name}.bin")
    (root / "configs").mkdir()
    shutil.copy(real_store.ROOT / "configs" / "own-models.toml", root / "configs")
    return root / "configs" / "own-models.toml"
