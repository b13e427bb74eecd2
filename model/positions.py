"""Where a token stands, as a vector."""

import math

import torch
from torch import Tensor


def sinusoids(length: int, d_model: int) -> Tensor:
    """Fixed position encoding (Vaswani et al. 2017, section 3.5): (length, d_model)."""
    positions = torch.arange(length).unsqueeze(1)
    rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000) / d_model))
    table = torch.zeros(length, d_model)
    table[:, 0::2] = torch.sin(positions * rates)
    table[:, 1::2] = torch.cos(positions * rates)[:, : d_model // 2]
    return table
