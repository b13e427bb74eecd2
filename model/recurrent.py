"""GRU encoder-decoders: what one fixed vector holds, and what attention adds.

Two GRUs (Cho et al. 2014), the encoder's reading both ways. They are linked by the encoder's last states alone
("fixed"), or by a context that each step chooses for itself (Bahdanau et al. 2015). The context goes to the step's
output and not to its state, as in Luong et al. 2015, so that all steps of a known target are computed at once.

B batch, S source and T target positions, D d_embed, U d_hidden, V words of a vocabulary.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model.attention import AdditiveAttention, BilinearAttention, DotAttention, FullAttention


@dataclass(frozen=True, slots=True)
class RecurrentConfig:
    """`attention` is how a step scores the source's positions; "fixed" is no attention. `max_len` is in tokens."""

    d_embed: int = 256
    d_hidden: int = 384
    attention: Literal["fixed", "additive", "dot", "scaled_dot", "bilinear"] = "additive"
    dropout: float = 0.1
    max_len: int = 256

    def __post_init__(self) -> None:
        for name in ("d_embed", "d_hidden", "max_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} from 1 on, came {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 <= dropout < 1, came {self.dropout}")


class Memory(NamedTuple):
    """What the encoder read: every position (B, S, U), or (B, S, 2 U) where none attends, and one vector (B, U)."""

    positions: Tensor
    vector: Tensor


class Recurrent(nn.Module):
    """Token ids in, logits of each position's next target token out. Used as Transformer is.

    Without `source_size` both sides have one vocabulary, and one embedding.
    """

    def __init__(self, config: RecurrentConfig, target_size: int, source_size: int | None = None) -> None:
        super().__init__()
        width, hidden = config.d_embed, config.d_hidden
        self.config = config
        self.target_embedding = nn.Embedding(target_size, width)
        self.source_embedding = nn.Embedding(source_size, width) if source_size is not None else self.target_embedding
        self.encoder = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.vector = nn.Linear(2 * hidden, hidden)
        self.attention = _mechanism(config)
        self.positions = nn.Linear(2 * hidden, hidden) if self.attention is not None else nn.Identity()
        fed = 0 if self.attention is not None else hidden
        self.decoder = nn.GRU(width + fed, hidden, batch_first=True)
        self.output = nn.Linear(2 * hidden, width)
        self.projection = nn.Linear(width, target_size)
        self.projection.weight = self.target_embedding.weight
        self.dropout = nn.Dropout(config.dropout)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=width**-0.5)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Source ids (B, S), target ids (B, T), mask (B, S) true at source tokens -> logits (B, T, V)."""
        memory, _ = self.encode(source, mask)
        logits, _ = self.decode(target, memory, mask)
        return logits

    def encode(self, source: Tensor, mask: Tensor) -> tuple[Memory, list[Tensor | None]]:
        """(B, S), (B, S) -> what was read, and no map: a GRU has none."""
        lengths = mask.sum(-1).cpu()
        packed = pack_padded_sequence(
            self.dropout(self.source_embedding(source)), lengths, batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])  # (B, S, 2 U)
        vector = torch.tanh(self.vector(torch.cat([last[0], last[1]], dim=-1)))
        return Memory(self.positions(states), vector), []

    def decode(
        self, target: Tensor, memory: Memory, mask: Tensor, *, need_map: bool = False
    ) -> tuple[Tensor, list[tuple[None, Tensor | None]]]:
        """(B, T), memory, its mask -> logits (B, T, V), and the cross map (B, 1, T, S) if needed and there is one."""
        embedded = self.dropout(self.target_embedding(target))
        everywhere = memory.vector[:, None].expand(-1, target.shape[1], -1)  # (B, T, U)
        if self.attention is None:
            embedded = torch.cat([embedded, everywhere], dim=-1)
        states, _ = self.decoder(embedded, memory.vector[None])
        context, cross_map = everywhere, None
        if self.attention is not None:
            keys = memory.positions[:, None]  # one head
            attended, cross_map = self.attention(states[:, None], keys, keys, mask=mask, need_map=need_map)
            context = attended[:, 0]
        output = torch.tanh(self.output(self.dropout(torch.cat([states, context], dim=-1))))
        return self.projection(output), [(None, cross_map)]


def _mechanism(config: RecurrentConfig) -> nn.Module | None:
    width = config.d_hidden
    return {
        "fixed": lambda: None,
        "additive": lambda: AdditiveAttention(width),
        "dot": DotAttention,
        "scaled_dot": FullAttention,
        "bilinear": lambda: BilinearAttention(width),
    }[config.attention]()
