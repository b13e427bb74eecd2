"""torch modules as ONNX graphs, by torch's exporter."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import nn


def trace(
    graph: nn.Module, example: Sequence[Any], inputs: Sequence[str], outputs: Sequence[str], lengths: Sequence[Any]
) -> bytes:
    """`graph` as an ONNX file, its tensors named `inputs` and `outputs`; it is called with `example`.

    `lengths` has, for each part of the example, the axes that may be longer or shorter, each with its torch.export.Dim.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    with warnings.catch_warnings(action="ignore"):  # the exporter's own deprecations
        program = torch.onnx.export(
            graph,
            tuple(example),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(lengths),
            dynamo=True,
            verbose=False,
        )
    return _without_traces(program.model_proto).SerializeToString()


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes on each node: paths of this machine, and most of a small graph's bytes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
    return model
