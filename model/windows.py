"""Windows of a table: what a model sees of it, one stretch of rows at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """Every stretch of `seq_len + pred_len` rows of a table, at stride 1."""

    values: Tensor  # (rows, C)
    calendar: Tensor  # (rows, F)
    seq_len: int
    pred_len: int

    def __len__(self) -> int:
        return max(0, len(self.values) - self.seq_len - self.pred_len + 1)

    def batch(self, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows that start at rows `starts` (B,) -> history (B, seq_len, C), calendar (B, L, F), future."""
        rows = starts.unsqueeze(1) + torch.arange(self.seq_len + self.pred_len, device=starts.device)
        values = self.values[rows]  # (B, L, C)
        return values[:, : self.seq_len], self.calendar[rows], values[:, self.seq_len :]
