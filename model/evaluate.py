"""Errors on every window of a split, beside the baselines that a model has to beat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.intervals import Intervals
from contract.manifest import ForecastSpec
from model.forecasting import EVALUATION_BATCH, ForecastData, ForecastGraph
from model.linear import LinearConfig, build_linear, fit_ridge
from model.windows import Windows

Forecaster = Callable[[Tensor, Tensor], Tensor]  # history and calendar in units -> forecast in units


@dataclass(frozen=True, slots=True)
class Scores:
    """`mse` and `mae` are on scaled values, as published; those by column are in its units."""

    mse: float
    mae: float
    mse_by_step: tuple[float, ...]
    mae_by_step: tuple[float, ...]
    mse_by_column: dict[str, float]
    mae_by_column: dict[str, float]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the truth lay in one level's intervals: of all values, and of those of each step.

    `width` is the mean width on scaled values; `naive_width` that of intervals made in the same way around
    the last season, or the last value where there is no season.
    """

    share: float
    share_by_step: tuple[float, ...]
    width: float
    naive_width: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores by forecaster, "model" first, over the same `windows` windows; the model's coverage by level."""

    split: str
    windows: int
    scores: dict[str, Scores]
    coverage: dict[str, Coverage] = field(default_factory=dict)


def evaluate(
    model: Forecaster,
    data: ForecastData,
    spec: ForecastSpec,
    split: str = "test",
    intervals: Intervals | None = None,
) -> Evaluation:
    """Score `model`, the last value, the last season and per-channel ridge on every window of `split`.

    Also the coverage of `intervals`, by default those that `calibrate` makes.
    """
    forecasters = {"model": model, **_baselines(data, spec)}
    windows = data.units[split]
    errors = {name: forecast_errors(forecaster, windows) for name, forecaster in forecasters.items()}
    naive = forecasters.get("last season", forecasters["last value"])
    return Evaluation(
        split,
        len(windows),
        {name: _scores(each, spec) for name, each in errors.items()},
        _coverage(
            intervals or calibrate(model, data, spec), calibrate(naive, data, spec), errors["model"], windows, spec
        ),
    )


def calibrate(model: Forecaster, data: ForecastData, spec: ForecastSpec) -> Intervals:
    """Intervals around `model`, from its errors on every validation window."""
    windows = data.units["val"]
    season = spec.step.season
    return Intervals.calibrate(
        forecast_errors(model, windows).numpy(),
        _histories(windows),
        np.array(spec.scaler.std),
        season if season is not None and season < spec.seq_len else 1,
    )


def forecast_errors(model: Forecaster, windows: Windows) -> Tensor:
    """Forecast less truth on every window, in units: (N, pred_len, C)."""
    errors = []
    for starts in torch.arange(len(windows)).split(EVALUATION_BATCH):
        history, calendar, future = windows.batch(starts)
        errors.append(model(history, calendar) - future)
    return torch.cat(errors)


def _coverage(
    intervals: Intervals, naive: Intervals, errors: Tensor, windows: Windows, spec: ForecastSpec
) -> dict[str, Coverage]:
    std = np.array(spec.scaler.std)
    histories = _histories(windows)
    coverage = {}
    for level in intervals.half_widths:
        half_width = intervals.half_width(level, histories, std)
        inside = np.abs(errors.numpy()) <= half_width
        coverage[level] = Coverage(
            share=float(inside.mean()),
            share_by_step=tuple(inside.mean(axis=(0, 2)).tolist()),
            width=float((2 * half_width / std).mean()),
            naive_width=float((2 * naive.half_width(level, histories, std) / std).mean()),
        )
    return coverage


def _histories(windows: Windows) -> NDArray[np.float64]:
    history, _, _ = windows.batch(torch.arange(len(windows)))
    return history.numpy()


def _scores(errors: Tensor, spec: ForecastSpec) -> Scores:
    """`errors` (N, pred_len, C), in units."""
    scaled = errors / torch.tensor(spec.scaler.std, dtype=errors.dtype)
    return Scores(
        mse=float(scaled.square().mean()),
        mae=float(scaled.abs().mean()),
        mse_by_step=tuple(scaled.square().mean((0, 2)).tolist()),
        mae_by_step=tuple(scaled.abs().mean((0, 2)).tolist()),
        mse_by_column=dict(zip(spec.columns, errors.square().mean((0, 1)).tolist(), strict=True)),
        mae_by_column=dict(zip(spec.columns, errors.abs().mean((0, 1)).tolist(), strict=True)),
    )


def _baselines(data: ForecastData, spec: ForecastSpec) -> Mapping[str, Forecaster]:
    steps = torch.arange(spec.pred_len)
    ridge = build_linear(LinearConfig(seq_len=spec.seq_len, pred_len=spec.pred_len), spec)
    fit_ridge(ridge, data.scaled["train"], data.scaled["val"])
    baselines: dict[str, Forecaster] = {
        "last value": lambda history, _: history[:, -1:].expand(-1, spec.pred_len, -1),
        "ridge": torch.no_grad()(ForecastGraph(ridge, spec.scaler)),
    }
    season = spec.step.season
    if season is not None and 1 < season <= spec.seq_len:
        rows = spec.seq_len - season + steps % season
        baselines["last season"] = lambda history, _: history[:, rows]
    return baselines
