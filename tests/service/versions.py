"""Versions of a bundle that answer differently, and so tell which one answered."""

import hashlib
import io
import json
import shutil

import numpy as np

from contract.bundle import CARD, GOLDEN, MANIFEST
from service.engine.session import CPU, Session


def write_version(source, path, *, lie=0.0):
    """A copy of the version at `source` that takes the data's mean to be higher by its number.

    Its golden forecasts are higher than its answers by `lie`. It has another name until it is whole.
    """
    number = int(path.name)
    draft = shutil.copytree(source, path.parent / f".draft-{number}")
    manifest = json.loads((draft / MANIFEST).read_text())
    scaler = manifest["forecast"]["scaler"]
    mean = np.array(scaler["mean"])
    moved = mean + number
    scaler["mean"], manifest["version"] = moved.tolist(), number
    graph = (draft / "forecast.onnx").read_bytes()
    assert graph.count(mean.tobytes()) == 1
    files = {"forecast.onnx": graph.replace(mean.tobytes(), moved.tobytes()), CARD: f"# {number}".encode()}
    (draft / "forecast.onnx").write_bytes(files["forecast.onnx"])
    with np.load(draft / GOLDEN) as arrays:
        golden = dict(arrays)
    golden |= Session(draft / "forecast.onnx", CPU).run({name: golden[name] for name in ("history", "calendar")})
    golden["forecast"] = golden["forecast"] + lie
    buffer = io.BytesIO()
    np.savez(buffer, **golden)
    files[GOLDEN] = buffer.getvalue()
    for name, content in files.items():
        (draft / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (draft / MANIFEST).write_text(json.dumps(manifest))
    return draft.rename(path)
