"""Attention maps that a graph gives beside its forecast: which there are, and what their rows and columns stand for.

Steps are numbered from the oldest row of the history, 0, to the last of the forecast, seq_len + pred_len - 1.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["encoder", "decoder", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Who looks at whom: the history at itself, what is forecast at itself, what is forecast at the history."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Positions in order of time, each standing for `stride` steps: the first from `start` on, the last before `stop`.

    After distilling (Zhou et al. 2021, equation 5), position i is pooled around step `start + i * stride` of the raw
    table, and stands for the steps from there to the next position's. The last one may have fewer.
    """

    start: int
    stop: int
    stride: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop or self.stride < 1:
            raise ValueError(
                f"expected 0 <= start < stop and a stride from 1 on, came {self.start}, {self.stop}, {self.stride}"
            )

    def __len__(self) -> int:
        return len(range(self.start, self.stop, self.stride))

    def first_steps(self) -> NDArray[np.int64]:
        """The first step that each position stands for, (L,)."""
        return np.arange(self.start, self.stop, self.stride)

    def last_steps(self) -> NDArray[np.int64]:
        """The last step that each position stands for, (L,)."""
        return np.minimum(self.first_steps() + self.stride, self.stop) - 1


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """The maps of one layer: `n_heads` of them, a row for each query and a column for each key.

    `mixed`: what row i of head h gathers goes on at position (h * len(rows) + i) // n_heads, in place of i: the
    Informer's `mix`. The map tells who was looked at, and then not what came of it at that step.
    """

    kind: Kind
    layer: int
    n_heads: int
    rows: Axis
    columns: Axis
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.layer < 0 or self.n_heads < 1:
            raise ValueError(f"expected a layer from 0 on and n_heads from 1 on, came {self.layer} and {self.n_heads}")

    @property
    def weights(self) -> str:
        """The graph's output (B, n_heads, L_Q, L_K) float32. Rows sum to 1, but those of queries not selected."""
        return f"{self.kind}_{self.layer}"

    @property
    def selected(self) -> str:
        """The graph's output (B, n_heads, L_Q) bool: the queries whose attention was computed."""
        return f"{self.kind}_{self.layer}_selected"
