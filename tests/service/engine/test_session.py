import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import onnxruntime
import pytest

from contract.errors import NotReady, UnusableFile
from service.engine import session
from service.engine.session import CPU, Device, Session, choose_device, differ

WITH_CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]
WITHOUT = ["CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch):
    """machine(providers, has_gpu): an ONNX Runtime with these providers, and a GPU or none."""

    def machine(providers, has_gpu):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
        monkeypatch.setattr(session, "_has_gpu", lambda: has_gpu)

    return machine


@pytest.mark.parametrize(
    ("wanted", "providers", "has_gpu", "expected"),
    [
        ("auto", WITHOUT, True, "cpu"),
        ("cpu", WITHOUT, False, "cpu"),
        ("auto", WITH_CUDA, True, "cuda"),
        ("auto", WITH_CUDA, False, "cpu"),
        ("cuda", WITH_CUDA, True, "cuda"),
        ("cpu", WITH_CUDA, True, "cpu"),
    ],
)
def test_cuda_is_taken_where_it_is_and_may_be(machine, wanted, providers, has_gpu, expected):
    machine(providers, has_gpu)
    device = choose_device(wanted, "tf32", 512)
    assert (device.kind, device.precision) == (expected, "tf32" if expected == "cuda" else "fp32")


@pytest.mark.parametrize(
    ("providers", "has_gpu", "lack"), [(WITHOUT, True, "no CUDA"), (WITH_CUDA, False, "no NVIDIA driver")]
)
def test_cuda_is_refused_where_it_is_not(machine, providers, has_gpu, lack):
    machine(providers, has_gpu)
    with pytest.raises(NotReady, match=lack):
        choose_device("cuda")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA")
def test_cuda_never_falls_back_to_the_cpu_unsaid(bundle):
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(NotReady, match="fell back"):
        Session(bundle("daily").graph("forecast"), Device("cuda"))


@pytest.mark.skipif(find_spec("onnx") is not None, reason="onnx is there")
def test_fp16_says_what_it_lacks(bundle):
    with pytest.raises(NotReady, match=r"onnx is missing: install seqcast\[serve-gpu\]"):
        Session(bundle("daily").graph("forecast"), Device("cuda", "fp16"))


@pytest.mark.parametrize("name", ["hourly", "weekly", "monthly"])
def test_gives_outputs_by_name_and_golden_values_for_golden_inputs(bundle, name):
    golden = bundle(name).golden()
    session = Session(bundle(name).graph("forecast"), CPU)
    answer = session.run({name: golden[name] for name in ("history", "calendar")})
    assert set(answer) == {"forecast"}
    assert differ(answer, {"forecast": golden["forecast"]}, tolerance=1e-5) is None
    session.replay(bundle(name).manifest.graphs["forecast"], golden)


def test_another_bundles_graph_is_not_this_one(bundle):
    session = Session(bundle("hourly").graph("forecast"), CPU)
    with pytest.raises(UnusableFile, match=r"expected a graph of .*28, 2.*, came one of .*96, 3"):
        session.replay(bundle("daily").manifest.graphs["forecast"], bundle("daily").golden())


GOLDEN = np.array([[1.0, 2.0], [3.0, 4.0]])  # a spread of 1.118


@pytest.mark.parametrize(
    ("came", "wrong"),
    [
        (GOLDEN, None),
        (GOLDEN + 0.001, None),
        (GOLDEN - 0.002, "y: expected the golden values, came values up to 0.002 off"),
        (GOLDEN.T, "y: expected the golden values, came values up to 1 off"),
        (GOLDEN * np.nan, "y: expected the golden values, came values up to nan off"),
        (GOLDEN[:1], "y: expected shape (2, 2), came (1, 2)"),
    ],
)
def test_differ_says_what_is_wrong(came, wrong):
    assert differ({"y": came}, {"y": GOLDEN}) == wrong


def test_onnxruntime_tells_nobody_what_it_runs(bundle, tmp_path):
    """It would keep an id and what it is to send in the home folder."""
    graph = next(iter(bundle("daily").path.glob("*.onnx")))
    imports = "from pathlib import Path; from service.engine.session import CPU, Session"
    code = f"{imports}; Session(Path({str(graph)!r}), CPU)"
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    subprocess.run([sys.executable, "-c", code], env={**unset, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
