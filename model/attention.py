"""Attention mechanisms with one interface: queries, keys, values -> context, and the map on request.

B batch, H heads, L_Q and L_K query and key positions, E width of a head.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class SparseMap(NamedTuple):
    """The map of an attention that only some queries got.

    `weights` (B, H, L_Q, L_K), where the rows of queries not `selected`, (B, H, L_Q) bool, are 1 / L_K: a
    convention, not learned.
    """

    weights: Tensor
    selected: Tensor


class FullAttention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1); its kin score otherwise."""

    def __init__(self, *, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None = None, need_map: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """(B, H, L_Q, E), (B, H, L_K, E), (B, H, L_K, E) -> (B, H, L_Q, E) and (B, H, L_Q, L_K) or None.

        `mask` (B, L_K) is true where a key may be looked at, and must be so for one key of each row at least.
        """
        scores = self.scores(queries, keys)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -math.inf)
        if self.causal:
            positions = torch.arange(scores.shape[-1], device=scores.device)
            scores = scores.masked_fill(positions > positions[: scores.shape[-2], None], -math.inf)
        weights = scores.softmax(dim=-1)
        return self.dropout(weights) @ values, weights if need_map else None

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, H, L_Q, E), (B, H, L_K, E) -> (B, H, L_Q, L_K): how well each key fits each query."""
        return scaled_dot(queries, keys)


class DotAttention(FullAttention):
    """The dot product as it is (Luong et al. 2015, section 3.1)."""

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(-2, -1)


class BilinearAttention(FullAttention):
    """s^T W h, "general" in Luong et al. 2015, section 3.1."""

    def __init__(self, width: int, *, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.weight = nn.Linear(width, width, bias=False)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ self.weight(keys).transpose(-2, -1)


class AdditiveAttention(FullAttention):
    """v^T tanh(W s + U h) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, width: int, *, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        both = self.query(queries).unsqueeze(-2) + self.key(keys).unsqueeze(-3)  # (B, H, L_Q, L_K, E)
        return self.score(torch.tanh(both)).squeeze(-1)


class ProbSparseAttention(nn.Module):
    """Attention for the u most telling queries alone (Zhou et al. 2021, section 3.2).

    A query tells much if its scores differ from uniform: M = max - sum / L_K over a sample of keys
    (equation 4). The others get the mean of the values, or with `causal` their running sum.

    The sample is drawn once, here, and kept in the buffer `sample_counts` (L_Q, L_K): how often key j
    was drawn for query i. The public implementation draws anew at each call, so two equal calls differ.
    All scores are computed, and the sample read from them: up to some thousand positions one dense
    product is cheaper than gathering u keys for every query (docs/decisions/0003).

    With `causal`, a query sees no later key, but M looks at all: which queries are selected depends
    on later positions, here as in the paper.
    """

    sample_counts: Tensor

    def __init__(
        self, len_q: int, len_k: int, factor: int, *, causal: bool = False, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.causal = causal
        self.n_selected = budget(len_q, factor)
        key_sample = torch.randint(len_k, (len_q, budget(len_k, factor)), generator=generator)
        self.register_buffer("sample_counts", count_samples(key_sample, len_k))

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, *, need_map: bool = False
    ) -> tuple[Tensor, SparseMap | None]:
        """(B, H, L_Q, E), (B, H, L_K, E), (B, H, L_K, E) -> (B, H, L_Q, E) and the map or None."""
        len_k = keys.shape[-2]
        with torch.no_grad():  # M only ranks: no gradient flows through a choice
            ranking = self._sparsity(scaled_dot(queries, keys))
        rows = ranking.topk(self.n_selected, sorted=False).indices.unsqueeze(-1)  # (B, H, u, 1)
        wide = rows.expand(-1, -1, -1, queries.shape[-1])  # (B, H, u, E)
        scores = scaled_dot(queries.gather(-2, wide), keys)  # (B, H, u, L_K)
        if self.causal:
            scores = scores.masked_fill(torch.arange(len_k, device=scores.device) > rows, -math.inf)
        weights = scores.softmax(dim=-1)
        uniform = values.cumsum(dim=-2) if self.causal else values.mean(-2, keepdim=True).expand_as(queries)
        context = uniform.scatter(-2, wide, weights @ values)
        if not need_map:
            return context, None
        uniform_map = torch.full_like(queries[..., :1], 1 / len_k).expand(-1, -1, -1, len_k)
        unselected = torch.zeros_like(ranking, dtype=torch.bool)
        return context, SparseMap(
            uniform_map.scatter(-2, rows.expand_as(weights), weights), unselected.scatter(-1, rows.squeeze(-1), True)
        )

    def _sparsity(self, scores: Tensor) -> Tensor:
        """M of every query: (B, H, L_Q, L_K) -> (B, H, L_Q)."""
        sampled_max = scores.masked_fill(self.sample_counts == 0, -math.inf).amax(-1)
        return sampled_max - (scores * self.sample_counts).sum(-1) / scores.shape[-1]


Map = Tensor | SparseMap
"""(B, H, L_Q, L_K): of an attention that every query got, a tensor."""


class MultiHeadAttention(nn.Module):
    """Heads around an attention mechanism (Vaswani et al. 2017, section 3.2.2).

    `mix` reads the heads' context (B, H, L, E) as (B, L, H * E) without a transpose, as the public
    Informer's decoder does: a position then holds parts of others, later ones too.
    """

    def __init__(
        self, d_model: int, n_heads: int, attention: nn.Module, *, mix: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.mix = mix
        self.attention = attention
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_model, d_model, bias=bias)
        self.value = nn.Linear(d_model, d_model, bias=bias)
        self.out = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self, queries: Tensor, memory: Tensor, *, need_map: bool = False, **masks: Tensor | None
    ) -> tuple[Tensor, Map | None]:
        """(B, L_Q, D) and (B, L_K, D), which gives keys and values -> (B, L_Q, D) and the map or None.

        `masks` go to the attention.
        """
        context, attention_map = self.attention(
            self._heads(self.query(queries)),
            self._heads(self.key(memory)),
            self._heads(self.value(memory)),
            need_map=need_map,
            **masks,
        )
        if not self.mix:
            context = context.transpose(1, 2)  # (B, H, L, E) -> (B, L, H, E)
        return self.out(context.reshape(queries.shape)), attention_map

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, L, H*E) -> (B, H, L, E)


def scaled_dot(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, H, L_Q, E), (B, H, L_K, E) -> (B, H, L_Q, L_K)."""
    return queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])


def budget(length: int, factor: int) -> int:
    """u = factor * ceil(ln length), from 1 to length: queries kept, and keys sampled for each."""
    return min(max(1, factor * math.ceil(math.log(length))), length)


def count_samples(key_sample: Tensor, len_k: int) -> Tensor:
    """Key indices (L_Q, n), repeats allowed -> how often each key was drawn, (L_Q, len_k) float."""
    counts = torch.zeros(len(key_sample), len_k)
    return counts.scatter_add_(1, key_sample, torch.ones_like(key_sample, dtype=counts.dtype))
