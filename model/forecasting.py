"""The forecasting task: what is learned from a table, and the graph that is served.

B batch, C columns, F calendar features, L = seq_len + pred_len.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from contract.calendar_features import calendar_features, feature_names
from contract.errors import Fault, FaultyTable
from contract.frequency import Times
from contract.manifest import ForecastSpec
from contract.pointers import escape
from contract.scaler import Scaler
from model.config import Recipe, TrainingConfig
from model.datasets import SPLITS, split_rows, split_windows, with_context
from model.preprocessing import Table, read_table
from model.trainer import Validation
from model.windows import Windows

EVALUATION_BATCH = 256


def forecast_spec(recipe: Recipe, table: Table) -> ForecastSpec:
    """What the recipe makes of this table; the scaler is fitted on the training rows alone.

    Raises FaultyTable if a column has no value there.
    """
    truth = table.truth[split_rows(recipe.data, len(table.times))["train"]]
    empty = [name for name, column in zip(table.columns, truth.T, strict=True) if np.isnan(column).all()]
    if empty:
        raise FaultyTable(
            [Fault(f"/{escape(name)}", "expected values in the training rows, came none") for name in empty]
        )
    return ForecastSpec(
        columns=table.columns,
        units={name: unit for name, unit in recipe.data.units.items() if name in table.columns},
        frequency=str(table.frequency),
        seq_len=recipe.model.seq_len,
        label_len=recipe.model.label_len,
        pred_len=recipe.model.pred_len,
        calendar=feature_names(table.frequency),
        scaler=Scaler.fit(table.columns, truth),
    )


@dataclass(frozen=True, slots=True)
class ForecastData:
    """A table split by a recipe, as windows in units and as windows scaled.

    `times` are those of a split's rows; `notes` tell what was filled, and what left out; `read`, how the file was read.
    """

    spec: ForecastSpec
    sha256: str
    times: dict[str, Times]
    units: dict[str, Windows]
    scaled: dict[str, Windows]
    notes: tuple[str, ...]
    read: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, recipe: Recipe, spec: ForecastSpec) -> "ForecastData":
        """Raises FaultyTable if a split has not one window."""
        calendar = torch.from_numpy(calendar_features(table.times, spec.calendar))
        in_units = torch.from_numpy(table.values), torch.from_numpy(table.truth)
        scaled = [torch.from_numpy(spec.scaler.scale(values)).float() for values in (table.values, table.truth)]
        rows = split_rows(recipe.data, len(table.times))
        return cls(
            spec,
            table.sha256,
            {name: table.times[with_context(part, spec)] for name, part in rows.items()},
            {name: split_windows(table, calendar, *in_units, spec, part) for name, part in rows.items()},
            {name: split_windows(table, calendar, *scaled, spec, part) for name, part in rows.items()},
            table.mended.notes if table.mended is not None else (),
            table.notes,
        )

    def described(self) -> tuple[str, ...]:
        first, last = (self.times[split][end].astype("M8[s]") for split, end in (("train", 0), ("test", -1)))
        windows = ", ".join(f"{len(self.units[split]):,} {split}" for split in SPLITS)
        columns = ", ".join(self.spec.columns)
        return (
            f"{columns}: every {self.spec.frequency} from {first} to {last}; windows: {windows}",
            *self.read,
            *self.notes,
        )

    @property
    def files(self) -> dict[str, bytes]:
        """None: all that it takes to read another table is in the spec."""
        return {}

    def task(self, training: TrainingConfig, device: torch.device) -> "ForecastTask":
        return ForecastTask(self, device, training.level_shift)


def prepare_data(path: Path, recipe: Recipe) -> ForecastData:
    """The table at `path` as a new model takes it. Raises FaultyTable."""
    table = read_table(path, recipe.data)
    return ForecastData.of(table, recipe, forecast_spec(recipe, table))


def load_data(path: Path, recipe: Recipe, spec: ForecastSpec) -> ForecastData:
    """The table at `path` as a trained model takes it: its columns, its frequency, its scaler.

    Raises FaultyTable.
    """
    config = replace(recipe.data, columns=spec.columns, frequency=spec.frequency)
    return ForecastData.of(read_table(path, config), recipe, spec)


class ForecastTask:
    """Mean squared error of the scaled forecast, over every measured value of training and validation windows."""

    def __init__(self, data: ForecastData, device: torch.device, level_shift: float = 0.0) -> None:
        self.level_shift = level_shift
        self.train, self.val = data.scaled["train"].to(device), data.scaled["val"].to(device)

    def batches(self, batch_size: int) -> "_Batches":
        return _Batches(self.train, torch.randperm(len(self.train)).split(batch_size), self.level_shift)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        history, calendar, future = batch
        forecast = model(history, calendar)
        filled = future.isnan()
        loss = nn.functional.mse_loss(forecast, torch.where(filled, forecast.detach(), future))
        return loss * (future.numel() / (~filled).sum().clamp(min=1))

    @torch.no_grad()
    def validate(self, model: nn.Module) -> Validation:
        total = 0.0
        for starts in torch.arange(len(self.val)).split(EVALUATION_BATCH):
            batch = self.val.batch(starts.to(self.val.values.device))
            total += self.loss(model, batch).item() * len(starts)
        return Validation(total / len(self.val))


@dataclass(frozen=True, slots=True)
class _Batches:
    windows: Windows
    starts: tuple[Tensor, ...]
    level_shift: float

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for starts in self.starts:
            history, calendar, future = self.windows.batch(starts.to(self.windows.values.device))
            if self.level_shift:
                offset = self.level_shift * torch.randn_like(history[:, :1])
                history, future = history + offset, future + offset
            yield history, calendar, future


class ForecastGraph(nn.Module):
    """What is exported and served: scaling, the model, and back to units."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, scaler: Scaler) -> None:
        super().__init__()
        self.model = model
        # double, as the input is: a counter of 1e9 keeps its last digits until the mean is off it
        self.register_buffer("mean", torch.tensor(scaler.mean, dtype=torch.float64))
        self.register_buffer("std", torch.tensor(scaler.std, dtype=torch.float64))

    def forward(self, history: Tensor, calendar: Tensor) -> Tensor:
        """float64 (B, seq_len, C) in units, float32 (B, L, F) -> float64 (B, pred_len, C) in units."""
        return self._unscaled(self.model(self._scaled(history), calendar))

    def _scaled(self, history: Tensor) -> Tensor:
        return ((history - self.mean) / self.std).float()

    def _unscaled(self, forecast: Tensor) -> Tensor:
        return forecast.double() * self.std + self.mean


class AttentionGraph(ForecastGraph):
    """The same forecast, and behind it weights and selection of each map, of a model that can `explain` itself."""

    def forward(self, history: Tensor, calendar: Tensor) -> tuple[Tensor, ...]:
        """As ForecastGraph, then (B, H, L_Q, L_K) float32 and (B, H, L_Q) bool for each AttentionSpec."""
        forecast, maps = self.model.explain(self._scaled(history), calendar)
        return self._unscaled(forecast), *(tensor for each in maps for tensor in each)
