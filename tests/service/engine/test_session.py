import numpy as np
import onnxruntime
import pytest

from contract.errors import NotReady, UnusableFile
from service.engine import session
from service.engine.session import Session, choose_device, differ

CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]
CPU = ["CPUExecutionProvider"]


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
        ("auto", CPU, True, "cpu"),
        ("cpu", CPU, False, "cpu"),
        ("auto", CUDA, True, "cuda"),
        ("auto", CUDA, False, "cpu"),
        ("cuda", CUDA, True, "cuda"),
        ("cpu", CUDA, True, "cpu"),
    ],
)
def test_cuda_is_taken_where_it_is_and_may_be(machine, wanted, providers, has_gpu, expected):
    machine(providers, has_gpu)
    assert choose_device(wanted) == expected


@pytest.mark.parametrize(("providers", "has_gpu", "lack"), [(CPU, True, "no CUDA"), (CUDA, False, "no NVIDIA driver")])
def test_cuda_is_refused_where_it_is_not(machine, providers, has_gpu, lack):
    machine(providers, has_gpu)
    with pytest.raises(NotReady, match=lack):
        choose_device("cuda")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA")
def test_cuda_never_falls_back_to_the_cpu_unsaid(bundle):
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(NotReady, match="fell back"):
        Session(bundle("daily").graph("forecast"), "cuda")


@pytest.mark.parametrize("name", ["hourly", "weekly", "monthly"])
def test_gives_outputs_by_name_and_golden_values_for_golden_inputs(bundle, name):
    golden = bundle(name).golden()
    session = Session(bundle(name).graph("forecast"), "cpu")
    answer = session.run({name: golden[name] for name in ("history", "calendar")})
    assert set(answer) == {"forecast"}
    assert differ(answer, {"forecast": golden["forecast"]}, tolerance=1e-5) is None
    session.replay(bundle(name).manifest.graphs["forecast"], golden)


def test_another_bundles_graph_is_not_this_one(bundle):
    session = Session(bundle("hourly").graph("forecast"), "cpu")
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
