"""Ridge regression from a window's rows to the next ones, one map a column, on values less the last.

The line to beat: Zeng et al. 2023 ("Are Transformers effective for time series forecasting?").
"""

import torch
from torch import Tensor

from model.datasets import Windows

PENALTIES = tuple(10.0**power for power in range(-1, 7))


def fit_ridge(train: Windows, val: Windows) -> Tensor:
    """Scaled windows -> weights (C, seq_len, pred_len); the penalty is the best of PENALTIES on `val`."""
    x, y = _pairs(train)
    x_val, y_val = _pairs(val)
    gram, cross = x.transpose(1, 2) @ x, x.transpose(1, 2) @ y  # (C, L, L), (C, L, P)
    eye = torch.eye(gram.shape[1], dtype=gram.dtype)
    candidates = (torch.linalg.solve(gram + penalty * eye, cross) for penalty in PENALTIES)
    return min(candidates, key=lambda weights: float((x_val @ weights - y_val).square().mean()))


def ridge_forecast(weights: Tensor, history: Tensor) -> Tensor:
    """`weights` (C, seq_len, pred_len), scaled `history` (B, seq_len, C) -> (B, pred_len, C)."""
    last = history[:, -1:]
    return torch.einsum("blc,clp->bpc", (history - last).to(weights.dtype), weights) + last


def _pairs(windows: Windows) -> tuple[Tensor, Tensor]:
    history, _, future = windows.batch(torch.arange(len(windows)))
    last = history[:, -1:]
    # (N, L, C) -> (C, N, L)
    return tuple((part - last).double().permute(2, 0, 1) for part in (history, future))  # type: ignore[return-value]
