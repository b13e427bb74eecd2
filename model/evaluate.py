"""Errors on every window of a split, beside the baselines that a model has to beat."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract import scores
from contract.attention import AttentionSpec
from contract.baselines import Baseline, Ridge, naive_baselines
from contract.intervals import Intervals
from contract.manifest import ForecastSpec
from model.forecasting import EVALUATION_BATCH, ForecastData
from model.windows import Windows

Floats = NDArray[np.float64]
Forecaster = Callable[[Tensor, Tensor], Tensor]  # history and calendar in units -> forecast in units
Outputs = Callable[[Tensor, Tensor], dict[str, Tensor]]  # the same -> a graph's outputs by name


@dataclass(frozen=True, slots=True)
class Attentive:
    """A forecaster, and the outputs of its attention graph, which are described by `attention`."""

    forecaster: Forecaster
    outputs: Outputs
    attention: tuple[AttentionSpec, ...]

    def __call__(self, history: Tensor, calendar: Tensor) -> Tensor:
        return self.forecaster(history, calendar)


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
    errors = {name: forecast_errors(forecaster, windows).numpy() for name, forecaster in forecasters.items()}
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
    """Forecast less truth on every window, in units: (N, pred_len, C), NaN where no truth was measured."""
    errors = []
    for starts in torch.arange(len(windows)).split(EVALUATION_BATCH):
        history, calendar, future = windows.batch(starts)
        errors.append(model(history, calendar) - future)
    return torch.cat(errors)


def _coverage(
    intervals: Intervals, naive: Intervals, errors: Floats, windows: Windows, spec: ForecastSpec
) -> dict[str, Coverage]:
    std = np.array(spec.scaler.std)
    histories = _histories(windows)
    coverage = {}
    for level in intervals.half_widths:
        half_widths, naive_half_widths = (each.half_width(level, histories, std) for each in (intervals, naive))
        measured = scores.Coverage.of(errors, half_widths)
        coverage[level] = Coverage(
            share=measured.share.overall(),
            share_by_step=tuple(measured.share.by_step().tolist()),
            width=(measured.width / std).overall(),
            naive_width=float((2 * naive_half_widths / std).mean()),
        )
    return coverage


def _histories(windows: Windows) -> Floats:
    history, _, _ = windows.batch(torch.arange(len(windows)))
    return history.numpy()


def _scores(errors: Floats, spec: ForecastSpec) -> Scores:
    """`errors` (N, pred_len, C), in units."""
    in_units = scores.Errors.of(errors)
    scaled = in_units / np.array(spec.scaler.std)
    return Scores(
        mse=scaled.squared.overall(),
        mae=scaled.absolute.overall(),
        mse_by_step=tuple(scaled.squared.by_step().tolist()),
        mae_by_step=tuple(scaled.absolute.by_step().tolist()),
        mse_by_column=dict(zip(spec.columns, in_units.squared.by_column().tolist(), strict=True)),
        mae_by_column=dict(zip(spec.columns, in_units.absolute.by_column().tolist(), strict=True)),
    )


def _baselines(data: ForecastData, spec: ForecastSpec) -> dict[str, Forecaster]:
    # a row of NaN at each gap, so that no window of the fit goes across
    train, val = (
        np.insert(data.units[split].values.numpy(), spec.step.breaks(data.times[split]), np.nan, axis=0)
        for split in ("train", "val")
    )
    ridge = Ridge.fit(train, val, spec.scaler, spec.seq_len, spec.pred_len)
    return {name: _in_torch(baseline) for name, baseline in {**naive_baselines(spec), "ridge": ridge}.items()}


def _in_torch(baseline: Baseline) -> Forecaster:
    return lambda history, _: torch.from_numpy(baseline(history.numpy()))
