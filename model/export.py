"""A trained forecaster -> a bundle, refused if ONNX Runtime does not compute what torch does."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from contract.attention import AttentionSpec
from contract.bundle import CARD, GOLDEN, Bundle, next_version, write_bundle
from contract.errors import ExportRefused
from contract.forecast_window import forecast_window
from contract.frequency import Times
from contract.manifest import FORMAT, ForecastSpec, Manifest
from contract.records import encode
from model.architectures import ARCHITECTURES
from model.card import forecast_card
from model.config import Recipe
from model.evaluate import Forecaster, Outputs, calibrate, evaluate
from model.forecasting import AttentionGraph, ForecastData, ForecastGraph
from model.onnx_trace import trace
from model.provenance import provenance
from model.windows import Windows

TOLERANCE = 1e-4  # of a column's standard deviation, and of attention weights
NEAR_TIES = 1e-3  # share of queries that may be selected by one alone: rounding decides between two of one sparsity
CHECKED_WINDOWS = 64
GOLDEN_WINDOWS = 2
GOLDEN_START = np.datetime64("2026-01-05T00:00", "ms")


def export_forecast(
    recipe: Recipe,
    spec: ForecastSpec,
    model: nn.Module,
    data: ForecastData,
    training: Mapping[str, Any],
    bundles: Path,
) -> Bundle:
    """Write the next version of `recipe.name` under `bundles`; `training` is its provenance.

    Added to it are the timestamps of the first and the last row of training and validation, `seen_from` and `seen_to`.

    Raises ExportRefused if torch and ONNX Runtime differ by more than TOLERANCE on real test windows.
    """
    graph = ForecastGraph(model, spec.scaler).eval()
    content = onnx_bytes(graph, spec)
    forecaster = onnx_forecaster(content)
    _check(graph, forecaster, data.units["test"], spec)
    contents, golden = {"forecast": content}, [onnx_outputs(content)]
    attention = ARCHITECTURES[recipe.architecture].attention(recipe.model)
    if attention:
        explained = AttentionGraph(model, spec.scaler).eval()
        contents["attention"] = onnx_bytes(explained, spec, attention)
        golden.append(onnx_outputs(contents["attention"]))
        _check_attention(explained, golden[-1], forecaster, data.units["test"], spec, attention)
    intervals = calibrate(forecaster, data, spec)
    evaluation = evaluate(forecaster, data, spec, intervals=intervals)
    manifest = Manifest(
        format=FORMAT,
        name=recipe.name,
        version=next_version(bundles, recipe.name),
        task="forecast",
        graphs={name: spec.graph(f"{name}.onnx", attention if name == "attention" else ()) for name in contents},
        files={},
        forecast=spec,
        intervals=intervals,
        attention=attention,
        metrics=encode(evaluation),
        training={
            **training,
            "seen_from": str(data.times["train"][0].astype("M8[s]")),
            "seen_to": str(data.times["val"][-1].astype("M8[s]")),
            **({"mended": list(data.notes)} if data.notes else {}),
            **provenance(recipe, model),
        },
    )
    files = {
        **{manifest.graphs[name].file: each for name, each in contents.items()},
        GOLDEN: golden_vectors(golden, spec, recipe.seed),
        CARD: forecast_card(manifest, recipe, evaluation).encode(),
    }
    return write_bundle(bundles, manifest, files)


def onnx_bytes(graph: ForecastGraph, spec: ForecastSpec, attention: Sequence[AttentionSpec] = ()) -> bytes:
    """The graph as ONNX, its batch dynamic; `attention` are the maps that it gives beside the forecast."""
    history = torch.zeros(2, spec.seq_len, len(spec.columns), dtype=torch.float64)
    calendar = torch.zeros(2, spec.seq_len + spec.pred_len, len(spec.calendar))
    batch = torch.export.Dim("batch")
    outputs = [output.name for output in spec.graph("", attention).outputs]
    return trace(graph, (history, calendar), ("history", "calendar"), outputs, ({0: batch}, {0: batch}))


def onnx_forecaster(content: bytes) -> Forecaster:
    """ONNX Runtime on a forecast graph, with torch tensors in and out."""
    outputs = onnx_outputs(content)
    return lambda history, calendar: outputs(history, calendar)["forecast"]


def onnx_outputs(content: bytes) -> Outputs:
    """ONNX Runtime on a graph, with torch tensors in and out."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def outputs(history: Tensor, calendar: Tensor) -> dict[str, Tensor]:
        came = session.run(names, {"history": history.numpy(), "calendar": calendar.numpy()})
        return dict(zip(names, map(torch.from_numpy, came), strict=True))

    return outputs


def torch_outputs(graph: AttentionGraph, spec: ForecastSpec, attention: Sequence[AttentionSpec]) -> Outputs:
    """torch on a graph."""
    names = [output.name for output in spec.graph("", attention).outputs]

    def outputs(history: Tensor, calendar: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return dict(zip(names, graph(history, calendar), strict=True))

    return outputs


def golden_vectors(graphs: Sequence[Outputs], spec: ForecastSpec, seed: int) -> bytes:
    """golden.npz: made-up histories with the columns' own mean and spread, and what the graphs make of them.

    `times` (seq_len,) are the histories' timestamps. The service replays them before it is ready, and
    offers the first one as a sample request.
    """
    times = spec.step.following(np.array([GOLDEN_START]), spec.seq_len)
    histories = _made_up_histories(times, spec, np.random.default_rng(seed))
    calendar = np.stack([forecast_window(times, history, spec).calendar for history in histories])
    outputs: dict[str, np.ndarray] = {}
    for graph in graphs:
        came = graph(torch.from_numpy(histories), torch.from_numpy(calendar))
        outputs = {**{name: output.numpy() for name, output in came.items()}, **outputs}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, times=times, history=histories, calendar=calendar, **outputs)
    return buffer.getvalue()


def _made_up_histories(times: Times, spec: ForecastSpec, random: np.random.Generator) -> np.ndarray:
    """(GOLDEN_WINDOWS, seq_len, C) in units: a season's wave, a slow drift and noise, to four digits of its spread."""
    rows = np.arange(len(times))[:, None]
    shape = (GOLDEN_WINDOWS, 1, len(spec.columns))
    wave = np.sin(2 * np.pi * (rows / (spec.step.season or spec.seq_len) + random.uniform(0, 1, shape)))
    noise = random.normal(0, 0.2, (GOLDEN_WINDOWS, len(times), len(spec.columns)))
    drift = np.cumsum(noise, axis=1) / 4
    histories = spec.scaler.unscale(0.7 * wave + drift + noise)
    for column, std in enumerate(spec.scaler.std):
        digits = 4 - math.ceil(math.log10(std))
        rounded = [round(value, digits) for value in histories[..., column].ravel().tolist()]
        histories[..., column] = np.reshape(rounded, histories.shape[:-1])
    return histories


def _check(graph: ForecastGraph, forecaster: Forecaster, windows: Windows, spec: ForecastSpec) -> None:
    history, calendar = _checked(windows)
    with torch.no_grad():
        _check_forecast(graph(history, calendar), forecaster(history, calendar), spec)


def _check_attention(
    graph: AttentionGraph,
    outputs: Outputs,
    forecaster: Forecaster,
    windows: Windows,
    spec: ForecastSpec,
    attention: Sequence[AttentionSpec],
) -> None:
    """Whether its forecast is the very forecast of the plain graph, and its maps are torch's."""
    history, calendar = _checked(windows)
    came = outputs(history, calendar)
    _check_forecast(forecaster(history, calendar), came["forecast"], spec)
    expected = torch_outputs(graph, spec, attention)(history, calendar)
    otherwise = {each.selected: came[each.selected] != expected[each.selected] for each in attention}
    wrong = [name for name, flags in otherwise.items() if flags.float().mean() > NEAR_TIES]
    # a query selected otherwise changes what comes after it
    alike = ~torch.stack([flags.flatten(1).any(1) for flags in otherwise.values()]).any(0)
    for each in attention:
        difference = (came[each.weights] - expected[each.weights])[alike].abs()
        if not (difference <= TOLERANCE).all():
            wrong.append(each.weights)
    if wrong:
        raise ExportRefused(f"torch and ONNX Runtime attend to different steps: {', '.join(wrong)}")


def _checked(windows: Windows) -> tuple[Tensor, Tensor]:
    starts = torch.linspace(0, len(windows) - 1, CHECKED_WINDOWS).long()
    history, calendar, _ = windows.batch(starts)
    return history, calendar


def _check_forecast(expected: Tensor, came: Tensor, spec: ForecastSpec) -> None:
    worst = ((expected - came).abs().amax((0, 1)) / torch.tensor(spec.scaler.std)).tolist()
    wrong = {name: error for name, error in zip(spec.columns, worst, strict=True) if not error <= TOLERANCE}
    if wrong:
        shown = ", ".join(f"{name} by {error:.2g}" for name, error in wrong.items())
        raise ExportRefused(f"torch and ONNX Runtime differ by over {TOLERANCE} standard deviations: {shown}")
