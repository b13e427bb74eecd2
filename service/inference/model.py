"""A bundle's graph as the protocol has models: name, metadata, configuration, and rows through it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contract.errors import Fault, FaultyRequest, GraphFailed, UnknownModel
from contract.generation import GenerateSpec
from contract.graphs import Graph, Tensor
from contract.manifest import Manifest
from contract.quoting import shown
from contract.translation import TranslateSpec
from service.engine.admission import Passage
from service.engine.repository import LoadedBundle, Served
from service.engine.session import Arrays
from service.inference.tensors import DATATYPES

GRAPH = "@"
"""Between a bundle's name and a graph of it: no name has one."""
PLATFORM = "onnxruntime_onnx"


@dataclass(frozen=True, slots=True)
class GraphModel:
    """One graph of a bundle that is served. The main graph goes by the bundle's name, others by name@graph.

    `versions` are those of the bundle that have such a graph, newest first.
    """

    loaded: LoadedBundle
    graph_name: str
    versions: tuple[str, ...]

    @property
    def manifest(self) -> Manifest:
        return self.loaded.manifest

    @property
    def graph(self) -> Graph:
        return self.manifest.graphs[self.graph_name]

    @property
    def name(self) -> str:
        main = self.graph_name == self.manifest.main_graph
        return self.manifest.name if main else f"{self.manifest.name}{GRAPH}{self.graph_name}"

    @property
    def version(self) -> str:
        return str(self.manifest.version)

    def metadata(self) -> dict[str, Any]:
        """Of `GET /v2/models/{name}`; -1 is the batch, or a length that differs from call to call."""
        return {
            "name": self.name,
            "versions": list(self.versions),
            "platform": PLATFORM,
            "inputs": [_described(each) for each in self.graph.inputs],
            "outputs": [_described(each) for each in self.graph.outputs],
        }

    def config(self, keep: int) -> dict[str, Any]:
        """Of `GET /v2/models/{name}/config`: shapes are whole, for which Triton has max_batch_size 0.

        `keep` versions of a bundle are served.
        """
        return {
            "name": self.name,
            "platform": PLATFORM,
            "backend": "onnxruntime",
            "version_policy": {"latest": {"num_versions": keep}},
            "max_batch_size": 0,
            "input": [_configured(each) for each in self.graph.inputs],
            "output": [_configured(each) for each in self.graph.outputs],
            "default_model_filename": self.graph.file,
        }

    @property
    def bounded(self) -> TranslateSpec | GenerateSpec | None:
        """What bounds the inputs whose lengths, and numbers, a graph's shapes alone leave open."""
        return self.manifest.translate or self.manifest.generate

    def largest_answer(self, inputs: Arrays, names: Sequence[str]) -> int:
        """Bytes that the outputs `names` have at most."""
        rows = len(next(iter(inputs.values())))
        lengths = [
            size
            for each in self.graph.inputs
            for size, fixed in zip(inputs[each.name].shape[1:], each.shape[1:], strict=True)
            if fixed is None
        ]
        if "caps" in inputs:
            lengths.append(int(inputs["caps"].max()))
        longest = max(lengths, default=1)
        return rows * sum(
            np.dtype(each.dtype).itemsize * math.prod(longest if size is None else size for size in each.shape[1:])
            for each in self.graph.outputs
            if each.name in names
        )

    async def run(self, inputs: Arrays, names: Sequence[str], passage: Passage) -> Arrays:
        """The outputs `names`. Raises QueueFull, and FaultyRequest if the graph cannot compute on the inputs."""
        passage.enter(self.manifest.name, len(next(iter(inputs.values()))))
        vocabularies = self.loaded.vocabularies
        fill = vocabularies[1].pad if vocabularies is not None else 0
        try:
            return await passage.run(self.loaded.sessions[self.graph_name], inputs, names, fill)
        except GraphFailed as error:
            message = f"expected tensors that {self.name} can compute on, but {_first_line(error)}"
            raise FaultyRequest([Fault("/inputs", message)]) from error


def choose_model(served: Served, reference: str, version: str | None = None) -> GraphModel:
    """`reference` is name, name:version, either with @graph behind it. Raises UnknownModel."""
    bundle, _, graph = reference.partition(GRAPH)
    loaded = served.get(bundle if version is None else f"{bundle}:{version}")
    known = models_of(served, loaded)
    if GRAPH not in reference:
        return known[0]
    for model in known:
        if model.graph_name == graph:
            return model
    raise UnknownModel(f"expected one of {', '.join(each.name for each in known)}, came {shown(reference)}")


def models_of(served: Served, loaded: LoadedBundle) -> list[GraphModel]:
    """Of a bundle's version, the main graph first."""
    main, all_versions = loaded.manifest.main_graph, [each.manifest for each in served.loaded[loaded.manifest.name]]
    return [
        GraphModel(loaded, name, tuple(str(each.version) for each in all_versions if name in each.graphs))
        for name in sorted(loaded.manifest.graphs, key=lambda name: (name != main, name))
    ]


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": _shape(tensor)}


def _configured(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "data_type": f"TYPE_{DATATYPES[tensor.dtype]}", "dims": _shape(tensor)}


def _shape(tensor: Tensor) -> list[int]:
    return [-1 if size is None else size for size in tensor.shape]


def _first_line(error: GraphFailed) -> str:
    return str(error).partition("\n")[0][:300]
