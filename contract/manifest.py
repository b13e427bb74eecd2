"""`manifest.json`: what a bundle holds and how to feed it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from contract.attention import AttentionSpec
from contract.calendar_features import feature_names
from contract.errors import Fault, FaultyManifest, NewerFormat, UnknownModel
from contract.frequency import Frequency
from contract.generation import GenerateSpec
from contract.graphs import Graph, Tensor
from contract.intervals import Intervals
from contract.quoting import shown
from contract.records import decode, encode
from contract.scaler import Scaler
from contract.translation import TranslateSpec

FORMAT = 2
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Of bundles and of the files in them: safe as a part of a path, or of an address."""


@dataclass(frozen=True, slots=True)
class ForecastSpec:
    """How a forecast graph is fed: `seq_len` rows of `columns`, one `frequency` apart, give `pred_len` more.

    `units` is for people, and has only the columns whose unit somebody said.
    """

    columns: tuple[str, ...]
    units: dict[str, str]
    frequency: str
    seq_len: int
    label_len: int
    pred_len: int
    calendar: tuple[str, ...]
    scaler: Scaler

    def __post_init__(self) -> None:
        if self.scaler.columns != self.columns:
            raise ValueError(f"expected a scaler of columns {self.columns}, came {self.scaler.columns}")
        if self.calendar != feature_names(self.step):
            raise ValueError(f"expected calendar {feature_names(self.step)}, came {self.calendar}")
        if not 0 <= self.label_len <= self.seq_len or self.pred_len < 1:
            raise ValueError(
                "expected 0 <= label_len <= seq_len and pred_len >= 1, "
                f"came {self.label_len}, {self.seq_len}, {self.pred_len}"
            )

    @property
    def step(self) -> Frequency:
        return Frequency.parse(self.frequency)

    def graph(self, file: str, attention: Sequence[AttentionSpec] = ()) -> Graph:
        """What the graph takes and gives: units in, units out; scaling is its own work.

        With `attention`, its maps beside the forecast.
        """
        columns, features = len(self.columns), len(self.calendar)
        maps: list[Tensor] = []
        for spec in attention:
            queries = (None, spec.n_heads, len(spec.rows))
            maps.append(Tensor(spec.weights, "float32", (*queries, len(spec.columns))))
            maps.append(Tensor(spec.selected, "bool", queries))
        return Graph(
            file,
            inputs=(
                Tensor("history", "float64", (None, self.seq_len, columns)),
                Tensor("calendar", "float32", (None, self.seq_len + self.pred_len, features)),
            ),
            outputs=(Tensor("forecast", "float64", (None, self.pred_len, columns)), *maps),
        )


_MAIN_GRAPHS = {"forecast": "forecast", "translate": "greedy", "generate": "score"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle's contents. `files` has the sha256 of each file beside the manifest.

    Of `forecast`, `translate` and `generate` there is the one that `task` names: how the graphs are fed.
    `attention` describes the maps of the graph "attention", which also gives the forecast that they belong to.
    `metrics` and `training` are carried for people and `GET /models/{name}`; from BLEU alone the
    service takes which of several translators it asks first.
    """

    format: int
    name: str
    version: int
    task: Literal["forecast", "translate", "generate"]
    graphs: dict[str, Graph]
    files: dict[str, str]
    metrics: dict[str, Any]
    training: dict[str, Any]
    forecast: ForecastSpec | None = None
    translate: TranslateSpec | None = None
    generate: GenerateSpec | None = None
    intervals: Intervals | None = None
    attention: tuple[AttentionSpec, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"expected a name of {NAME.pattern}, came {shown(self.name)}")
        if self.format < 1:
            raise ValueError(f"expected a format from 1 on, came {self.format}")
        if self.version < 1:
            raise ValueError(f"expected a version from 1 on, came {self.version}")
        for file in self.files:
            if not NAME.fullmatch(file):
                raise ValueError(f"expected plain file names, came {shown(file)}")
        specs = {"forecast": self.forecast, "translate": self.translate, "generate": self.generate}
        came = [task for task, spec in specs.items() if spec is not None]
        if came != [self.task]:
            raise ValueError(f"expected {self.task} alone of {', '.join(specs)}, came {', '.join(came) or 'none'}")
        for each in (self.translate, self.generate):
            if each is not None:
                each.check(self.graphs)
        if self.forecast is not None:
            _check_forecast(self.graphs, self.attention, self.forecast)
            if self.intervals is not None:
                _check_intervals(self.intervals, self.forecast)
        elif self.intervals is not None or self.attention:
            raise ValueError("expected intervals and attention of a forecast alone")

    @property
    def main_graph(self) -> str:
        """The graph that does the task; the others are parts of it, or tell more."""
        return _MAIN_GRAPHS[self.task]

    @property
    def quantized(self) -> bool:
        """Whether its graphs compute with int8."""
        return self.training.get("weights") == "int8"

    @property
    def needed(self) -> set[str]:
        """The files that graphs and texts are read from."""
        graphs = {graph.file for graph in self.graphs.values()}
        weights = {graph.weights for graph in self.graphs.values() if graph.weights is not None}
        tokenizers = {self.translate.source_tokenizer, self.translate.target_tokenizer} if self.translate else set()
        return graphs | weights | tokenizers

    @property
    def forecast_spec(self) -> ForecastSpec:
        """Raises UnknownModel if this is a model of another task."""
        if self.forecast is None:
            raise UnknownModel(f"expected a model that forecasts, came {self.name}, made to {self.task}")
        return self.forecast

    @property
    def translate_spec(self) -> TranslateSpec:
        """Raises UnknownModel if this is a model of another task."""
        if self.translate is None:
            raise UnknownModel(f"expected a model that translates, came {self.name}, made to {self.task}")
        return self.translate

    @property
    def generate_spec(self) -> GenerateSpec:
        """Raises UnknownModel if this is a model of another task."""
        if self.generate is None:
            raise UnknownModel(f"expected a model that generates, came {self.name}, made to {self.task}")
        return self.generate

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Raises NewerFormat or FaultyManifest, which lists every fault."""
        try:
            data = json.loads(text)
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair could not be told to anybody
        except (ValueError, RecursionError) as error:
            raise FaultyManifest(f"expected JSON: {error}") from error
        # first, since a newer format may have other fields
        if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > FORMAT:
            raise NewerFormat(f"format {data['format']}, but this seqcast reads up to {FORMAT}: upgrade seqcast")
        manifest, faults = decode(cls, data)
        if manifest is None:
            raise FaultyManifest("; ".join(map(Fault.__str__, faults)))
        return manifest

    def to_json(self) -> bytes:
        return json.dumps(encode(self), indent=1, ensure_ascii=False).encode() + b"\n"


def _check_forecast(graphs: Mapping[str, Graph], attention: Sequence[AttentionSpec], spec: ForecastSpec) -> None:
    graph = graphs.get("forecast")
    if graph is None or graph != spec.graph(graph.file):
        raise ValueError(f"expected a graph forecast such as {spec.graph('forecast.onnx')}, came {graph}")
    seq_len, length = spec.seq_len, spec.seq_len + spec.pred_len
    for each in attention:
        rows, columns = {"encoder": (seq_len, seq_len), "decoder": (length, length), "cross": (length, seq_len)}[
            each.kind
        ]
        if each.rows.stop > rows or each.columns.stop > columns:
            came = f"{each.rows.stop} and {each.columns.stop}"
            raise ValueError(f"expected {each.weights} of rows up to {rows}, columns up to {columns}, came {came}")
    if len({each.weights for each in attention}) < len(attention):
        raise ValueError("expected each kind and layer of attention once")
    graph = graphs.get("attention")
    expected = spec.graph(graph.file if graph is not None else "attention.onnx", attention) if attention else None
    if graph != expected:
        raise ValueError(f"expected a graph attention such as {expected}, came {graph}")


def _check_intervals(intervals: Intervals, spec: ForecastSpec) -> None:
    if not 1 <= intervals.season < spec.seq_len:
        raise ValueError(f"expected a season shorter than seq_len {spec.seq_len}, came {intervals.season}")
    expected = spec.pred_len, len(spec.columns)
    for level, half_widths in intervals.half_widths.items():
        if np.shape(half_widths) != expected:
            raise ValueError(f"expected half widths of shape {expected} at {level}, came {np.shape(half_widths)}")
    for lower, higher in pairwise(sorted(intervals.half_widths, key=int)):
        if (np.array(intervals.half_widths[higher]) < np.array(intervals.half_widths[lower])).any():
            raise ValueError(f"expected half widths at {higher} no smaller than those at {lower}, came some that are")
