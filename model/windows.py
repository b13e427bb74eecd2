"""Windows of a table: what a model sees of it, one stretch of rows at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of `seq_len + pred_len` rows of a table, at stride 1; N of them."""

    values: Tensor  # (rows, C)
    truth: Tensor  # (rows, C), NaN where the value was filled
    calendar: Tensor  # (rows, F)
    starts: Tensor  # (N,), the first row of each
    seq_len: int
    pred_len: int

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Those of the numbers `windows` (B,) -> history (B, seq_len, C), calendar (B, L, F), future (B, pred_len, C).

        The future is NaN where no value was measured.
        """
        rows = self.starts[windows].unsqueeze(1) + torch.arange(self.seq_len + self.pred_len, device=windows.device)
        past, future = rows.split([self.seq_len, self.pred_len], dim=1)
        return self.values[past], self.calendar[rows], self.truth[future]

    def to(self, device: torch.device) -> "Windows":
        values, truth, calendar, starts = (
            each.to(device) for each in (self.values, self.truth, self.calendar, self.starts)
        )
        return Windows(values, truth, calendar, starts, self.seq_len, self.pred_len)
