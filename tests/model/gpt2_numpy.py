"""An independent GPT-2 in NumPy, as the oracle for the C++ network.

Usage: gpt2_numpy.py CHECKPOINT CASES TOLERANCE. CHECKPOINT is a folder in Hugging Face's layout; CASES a safetensors
file with ids.<i> (I64, [B, T]) and logits.<i> (F32, [B, T, V]). Exits with 1 and a message unless every logit agrees.
Written from the paper's and OpenAI's description (github.com/openai/gpt-2, src/model.py); float64 throughout.
"""
import json
import math
import struct
import sys

import numpy as np

DTYPES = {"F32": np.float32, "I64": np.int64}
erf = np.vectorize(math.erf)


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[8 + length + first:8 + length + last], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata


def gelu(x, form):
    if form == "gelu_new":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
    assert form == "gelu", form
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def logits(p, config, ids):
    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred ** 2).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + config["layer_norm_epsilon"]) * p[name + ".weight"] + p[name + ".bias"]

    def linear(name, x):
        return x @ p[name + ".weight"] + p[name + ".bias"]

    length, heads, width = len(ids), config["n_head"], config["n_embd"]
    depth = width // heads
    x = p["transformer.wte.weight"][ids] + p["transformer.wpe.weight"][:length]
    for block in range(config["n_layer"]):
        h = f"transformer.h.{block}."
        q, k, v = np.split(linear(h + "attn.c_attn", norm(h + "ln_1", x)), 3, axis=-1)
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * depth, (head + 1) * depth)
            for t in range(length):  # position t sees 0 ... t
                weights = softmax(k[:t + 1, part] @ q[t, part] / math.sqrt(depth))
                mixed[t, part] = weights @ v[:t + 1, part]
        x = x + linear(h + "attn.c_proj", mixed)
        hidden = gelu(linear(h + "mlp.c_fc", norm(h + "ln_2", x)), config["activation_function"])
        x = x + linear(h + "mlp.c_proj", hidden)
    head = p["lm_head.weight"] if "lm_head.weight" in p else p["transformer.wte.weight"]
    return norm("transformer.ln_f", x) @ head.T


def main(checkpoint, cases, tolerance):
    with open(checkpoint + "/config.json") as file:
        config = json.load(file)
    tensors, metadata = read_safetensors(checkpoint + "/model.safetensors")
    if metadata.get("format") != "pt":
        sys.exit(f"metadata is {metadata}, transformers wants format pt")
    if config["tie_word_embeddings"] == ("lm_head.weight" in tensors):
        sys.exit("a tied head must not be stored, a separate one must")
    parameters = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    data, _ = read_safetensors(cases)
    count = len(data) // 2
    if count == 0:
        sys.exit("no cases")
    for case in range(count):
        for row, ids in enumerate(data[f"ids.{case}"]):
            expected = logits(parameters, config, ids)
            if np.abs(expected).max() < 0.5:
                sys.exit("the logits are too small to tell anything")
            error = np.abs(expected - data[f"logits.{case}"][row]).max()
            if not error <= tolerance:
                sys.exit(f"case {case}, row {row}: logits differ by {error:g}, more than {tolerance:g}")
    print(f"{count} cases agree")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
