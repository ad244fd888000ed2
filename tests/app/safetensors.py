"""Checkpoints written by hand: safetensors is eight bytes of length, a JSON header and the tensors' bytes."""
import json
import struct
from pathlib import Path

import numpy as np


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a float32 file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    assert all(entry["dtype"] == "F32" for entry in header.values())
    return {name: np.frombuffer(data, "<f4", count=int(np.prod(entry["shape"])), offset=8 + size + entry["data_offsets"][0])
            .reshape(entry["shape"]) for name, entry in header.items()}


def stored(tensor: np.ndarray, dtype: str) -> bytes:
    if dtype == "F16":
        return tensor.astype("<f2").tobytes()
    if dtype == "BF16":  # the upper half of a float32, rounded to nearest even
        bits = tensor.astype("<f4").view("<u4").astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return tensor.astype("<f4").tobytes()


def write(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> None:
    header, data = {}, b""
    for name, tensor in tensors.items():
        bytes_of = stored(tensor, dtype)
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(bytes_of)]}
        data += bytes_of
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
