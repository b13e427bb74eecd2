"""A multilayer perceptron on what a linear map leaves over: what a window says of the rows after it beyond sums.

Dense layers beside a linear path are from TiDE (Das et al. 2023, "Long-term Forecasting with TiDE: Time-series Dense
Encoder", section 4); there each column is forecast from itself, here from all of them at once. The linear path is
fitted first, in closed form, and stays. B windows, C columns, F calendar features, D d_hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contract.errors import Fault, FaultyRecipe
from contract.manifest import ForecastSpec
from model.linear import CYCLES, Linear, LinearConfig, season_phase, waves

_HARMONICS = 2


@dataclass(frozen=True, slots=True)
class MLPConfig(LinearConfig):
    """The fields of `LinearConfig` are the linear path's.

    seasons: the calendar features that the perceptron sees, as two sines and cosines each of the first step to
    forecast. input_dropout leaves out inputs, dropout what the dense layers make of them.
    """

    d_hidden: int = 256
    dropout: float = 0.4
    input_dropout: float = 0.0
    seasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        LinearConfig.__post_init__(self)
        if self.d_hidden < 1:
            raise ValueError(f"expected d_hidden from 1 on, came {self.d_hidden}")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"expected 0 <= {name} < 1, came {getattr(self, name)}")
        if len(set(self.seasons)) < len(self.seasons):
            raise ValueError(f"expected each of seasons once, came {', '.join(self.seasons)}")


class MLP(nn.Module):
    """Scaled history and calendar features in, scaled forecast out; untrained, the linear path's alone."""

    def __init__(
        self, config: MLPConfig, n_columns: int, phase: tuple[int, int], seasons: Sequence[tuple[int, int]]
    ) -> None:
        """`phase` and each of `seasons` is a calendar feature's index, and how many values it has."""
        super().__init__()
        self.seasons = tuple(seasons)
        self.linear = Linear(config, n_columns, phase).requires_grad_(False)
        n_inputs = (config.seq_len + 1) * n_columns + 2 * _HARMONICS * len(self.seasons)
        self.input = nn.Linear(n_inputs, config.d_hidden)
        self.hidden = nn.Linear(config.d_hidden, config.d_hidden)
        self.output = nn.Linear(config.d_hidden, config.pred_len * n_columns)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, history: Tensor, calendar: Tensor) -> Tensor:
        """(B, seq_len, C), (B, seq_len + pred_len, F) -> (B, pred_len, C)."""
        last = history[:, -1:]
        start = calendar[:, history.shape[1]]  # the first step to forecast
        values = self.input_dropout(torch.cat([history - last, last], dim=1).flatten(1))  # (B, (seq_len + 1) * C)
        seasons = [wave.unsqueeze(1) for season in self.seasons for wave in waves(start, season, _HARMONICS)]
        x = self.dropout(nn.functional.gelu(self.input(torch.cat([values, *seasons], dim=1))))
        x = x + self.dropout(nn.functional.gelu(self.hidden(x)))
        linear: Tensor = self.linear(history, calendar)
        return linear + self.output(x).reshape(linear.shape)  # (B, pred_len * C) -> (B, pred_len, C)


def build_mlp(config: MLPConfig, spec: ForecastSpec) -> MLP:
    """Raises FaultyRecipe if a season is no calendar feature of the spec's frequency."""
    unknown = [name for name in config.seasons if name not in spec.calendar]
    if unknown:
        message = f"expected some of {', '.join(spec.calendar)}, came {', '.join(unknown)}"
        raise FaultyRecipe([Fault("/model/seasons", message)])
    seasons = [(spec.calendar.index(name), CYCLES[name]) for name in config.seasons]
    return MLP(config, len(spec.columns), season_phase(spec.calendar), seasons)
