"""FP16 as CUDA would compute it, on a CPU: the conversion needs onnx, which the serving environment has not."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from contract.bundle import read_bundle
from service.engine.session import HALF_TOLERANCE, differ, half

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("folder", "graph_name"),
    [
        ("bundles/hourly", "forecast"),
        ("bundles/hourly", "attention"),
        ("bundles/monthly", "forecast"),
        ("generators/syllables", "step"),
    ],
)
def test_graphs_in_fp16_answer_nearly_as_before_and_take_what_they_took(folder, graph_name):
    bundle = read_bundle(TESTS / folder / "1")
    graph, golden = bundle.manifest.graphs[graph_name], bundle.golden()
    content = half(bundle.graph(graph_name))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in graph.outputs]
    answer = dict(zip(names, session.run(names, {each.name: golden[each.name] for each in graph.inputs}), strict=True))
    expected = {name: golden[name] for name in names}
    assert differ(answer, expected, HALF_TOLERANCE) is None
    assert differ(answer, expected, 1e-6) is not None  # something was converted
    assert {name: answer[name].dtype for name in names} == {each.name: np.dtype(each.dtype) for each in graph.outputs}


def test_the_bundle_is_only_read(tmp_path):
    path = tmp_path / "forecast.onnx"
    path.write_bytes(read_bundle(TESTS / "bundles/daily/1").graph("forecast").read_bytes())
    tmp_path.chmod(0o555)
    half(path)
    assert [each.name for each in tmp_path.iterdir()] == ["forecast.onnx"]
