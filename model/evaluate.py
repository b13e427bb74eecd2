"""Errors on every window of a split, beside the baselines that a model has to beat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from contract.manifest import ForecastSpec
from model.forecasting import EVALUATION_BATCH, ForecastData
from model.linear import fit_ridge, ridge_forecast

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
class Evaluation:
    """Scores by forecaster, "model" first, over the same `windows` windows."""

    split: str
    windows: int
    scores: dict[str, Scores]


def evaluate(model: Forecaster, data: ForecastData, spec: ForecastSpec, split: str = "test") -> Evaluation:
    """Score `model`, the last value, the last season and per-channel ridge on every window of `split`."""
    forecasters = {"model": model, **_baselines(data, spec)}
    windows = data.units[split]
    errors: dict[str, list[Tensor]] = {name: [] for name in forecasters}
    for starts in torch.arange(len(windows)).split(EVALUATION_BATCH):
        history, calendar, future = windows.batch(starts)
        for name, forecast in forecasters.items():
            errors[name].append(forecast(history, calendar) - future)
    scores = {name: _scores(torch.cat(parts), spec) for name, parts in errors.items()}
    return Evaluation(split, len(windows), scores)


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
    weights = fit_ridge(data.scaled["train"], data.scaled["val"])
    mean, std = (torch.tensor(part, dtype=torch.float64) for part in (spec.scaler.mean, spec.scaler.std))
    baselines: dict[str, Forecaster] = {
        "last value": lambda history, _: history[:, -1:].expand(-1, spec.pred_len, -1),
        "ridge": lambda history, _: ridge_forecast(weights, (history - mean) / std) * std + mean,
    }
    season = spec.step.season
    if season is not None and 1 < season <= spec.seq_len:
        rows = spec.seq_len - season + steps % season
        baselines["last season"] = lambda history, _: history[:, rows]
    return baselines
