"""Ridge regression from a window to the rows after it, on values less the last ones.

The line to beat (Zeng et al. 2023, "Are Transformers effective for time series forecasting?"), and with a few more
inputs the model that beats it. B windows, C columns, F calendar features, I inputs of one column.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contract.manifest import ForecastSpec
from contract.ridge import ridge_weights
from model.windows import Windows

CYCLES = {
    "second": 60,
    "minute": 60,
    "hour": 24,
    "day_of_week": 7,
    "day_of_month": 31,
    "day_of_year": 366,
    "week_of_year": 53,
    "month": 12,
}
"""How many values a calendar feature has."""
_SEASONS = ("hour", "day_of_week", "week_of_year", "month")


@dataclass(frozen=True, slots=True)
class LinearConfig:
    """Without the last three, the plain ridge of each column on its own history.

    turning_rows: the column's last rows once more, with weights that turn with the season's phase (the hour of the
    day for hourly rows), so that 6 o'clock may look back differently from noon. harmonics: sines and cosines of that
    phase. shared_rows: the last rows of every column.
    """

    seq_len: int = 96
    label_len: int = 0
    pred_len: int = 24
    turning_rows: int = 0
    harmonics: int = 0
    shared_rows: int = 0

    def __post_init__(self) -> None:
        if self.seq_len < 2 or self.pred_len < 1:
            raise ValueError(f"expected seq_len >= 2 and pred_len >= 1, came {self.seq_len} and {self.pred_len}")
        if self.label_len != 0:
            raise ValueError(f"expected label_len 0, since there is no decoder, came {self.label_len}")
        if self.harmonics < 0:
            raise ValueError(f"expected harmonics from 0 on, came {self.harmonics}")
        for name in ("turning_rows", "shared_rows"):
            if not 0 <= getattr(self, name) <= self.seq_len:
                raise ValueError(f"expected 0 <= {name} <= seq_len, came {getattr(self, name)}")


class Linear(nn.Module):
    """Scaled history and calendar features in, scaled forecast out; fitted by `fit_ridge`, in closed form."""

    def __init__(self, config: LinearConfig, n_columns: int, phase: tuple[int, int]) -> None:
        """`phase` is the calendar feature that tells the season's phase, and how many values it has."""
        super().__init__()
        self.config = config
        self.phase = phase
        own = config.seq_len + 2 * config.turning_rows
        shared = 1 + 2 * config.harmonics + config.shared_rows * n_columns
        self.own_weights = nn.Parameter(torch.zeros(n_columns, own, config.pred_len))
        self.shared_weights = nn.Parameter(torch.zeros(n_columns, shared, config.pred_len))

    def forward(self, history: Tensor, calendar: Tensor) -> Tensor:
        """(B, seq_len, C), (B, seq_len + pred_len, F) -> (B, pred_len, C)."""
        own, shared = self.inputs(history, calendar)
        change = torch.einsum("bci,cip->bpc", own, self.own_weights)
        return history[:, -1:] + change + torch.einsum("bi,cip->bpc", shared, self.shared_weights)

    def inputs(self, history: Tensor, calendar: Tensor) -> tuple[Tensor, Tensor]:
        """What each column has to itself (B, C, I_own), and what all have in common (B, I_shared)."""
        config = self.config
        changes = (history - history[:, -1:]).transpose(1, 2)  # (B, C, seq_len)
        start = calendar[:, config.seq_len]  # the first step to forecast
        turning = changes[..., config.seq_len - config.turning_rows :]
        turns = [turning * wave[:, None, None] for wave in waves(start, self.phase, 1)]
        rows = changes[..., config.seq_len - config.shared_rows :].flatten(1)
        common = torch.stack([torch.ones_like(start[:, 0]), *waves(start, self.phase, config.harmonics)], dim=1)
        return torch.cat([changes, *turns], dim=-1), torch.cat([common, rows], dim=1)


def waves(calendar: Tensor, phase: tuple[int, int], harmonics: int) -> list[Tensor]:
    """Cosines and sines (B,) of one of the features (B, F): `phase` is its index, and how many values it has."""
    index, cycle = phase
    # features are in [-0.5, 0.5] from the first value to the last
    angle = 2 * math.pi * (calendar[:, index] + 0.5) * (cycle - 1) / cycle
    return [wave for k in range(1, harmonics + 1) for wave in ((k * angle).cos(), (k * angle).sin())]


def season_phase(calendar: tuple[str, ...]) -> tuple[int, int]:
    """Which of the calendar features tells the season's phase, and how many values it has."""
    index = next(index for index, name in enumerate(calendar) if name in _SEASONS)
    return index, CYCLES[calendar[index]]


def build_linear(config: LinearConfig, spec: ForecastSpec) -> Linear:
    return Linear(config, len(spec.columns), season_phase(spec.calendar))


@torch.no_grad()
def fit_ridge(model: Linear, train: Windows, val: Windows) -> None:
    """Set the weights from scaled windows; each column's penalty is the best on `val`.

    Of values that were not measured nothing is learned.
    """
    train_own, train_shared, train_target = _inputs_and_targets(model, train)
    val_own, val_shared, val_target = _inputs_and_targets(model, val)
    split = train_own.shape[-1]
    for column in range(train_own.shape[1]):
        parts = (
            (
                torch.cat([own[:, column], shared], dim=1).double().numpy(force=True),
                target[..., column].numpy(force=True),
            )
            for own, shared, target in ((train_own, train_shared, train_target), (val_own, val_shared, val_target))
        )
        best = torch.from_numpy(ridge_weights(*([part] for part in parts)))
        model.own_weights[column] = best[:split]
        model.shared_weights[column] = best[split:]


def _inputs_and_targets(model: Linear, windows: Windows) -> tuple[Tensor, Tensor, Tensor]:
    history, calendar, future = windows.batch(torch.arange(len(windows)))
    return *model.inputs(history, calendar), (future - history[:, -1:]).double()
