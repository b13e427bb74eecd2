"""Informer (Zhou et al., AAAI 2021): long-sequence forecasting in one decoder pass.

B batch, L positions, C columns, F calendar features, D d_model.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from contract.attention import AttentionSpec, Axis
from model.attention import FullAttention, Map, MultiHeadAttention, ProbSparseAttention, SparseMap
from model.positions import sinusoids


@dataclass(frozen=True, slots=True)
class InformerConfig:
    """The defaults are the paper's configuration, for 96 -> 24."""

    seq_len: int = 96
    label_len: int = 48
    pred_len: int = 24
    d_model: int = 512
    n_heads: int = 8
    e_layers: int = 2
    d_layers: int = 1
    d_ff: int = 2048
    factor: int = 5
    distil: bool = True
    mix: bool = False
    dropout: float = 0.05
    attention: Literal["probsparse", "full"] = "probsparse"

    def __post_init__(self) -> None:
        sizes = ("seq_len", "pred_len", "d_model", "n_heads", "e_layers", "d_layers", "d_ff", "factor")
        wrong = [f"{name} = {getattr(self, name)}" for name in sizes if getattr(self, name) < 1]
        if wrong:
            raise ValueError(f"expected whole numbers from 1 on, came {', '.join(wrong)}")
        if self.d_model % self.n_heads:
            raise ValueError(f"expected n_heads to divide d_model, came {self.n_heads} and {self.d_model}")
        if not 0 <= self.label_len <= self.seq_len:
            raise ValueError(f"expected 0 <= label_len <= seq_len, came {self.label_len} and {self.seq_len}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 <= dropout < 1, came {self.dropout}")

    def encoder_axes(self) -> list[Axis]:
        """The positions that each encoder layer sees; distilling halves them between layers."""
        return [Axis(0, self.seq_len, 2**layer if self.distil else 1) for layer in range(self.e_layers)]

    def attention_specs(self) -> tuple[AttentionSpec, ...]:
        """What `explain` gives maps of, in its order."""
        encoders = self.encoder_axes()
        decoder = Axis(self.seq_len - self.label_len, self.seq_len + self.pred_len, 1)
        return (
            *(AttentionSpec("encoder", layer, self.n_heads, axis, axis) for layer, axis in enumerate(encoders)),
            *(
                AttentionSpec("decoder", layer, self.n_heads, decoder, decoder, mixed=self.mix)
                for layer in range(self.d_layers)
            ),
            *(AttentionSpec("cross", layer, self.n_heads, decoder, encoders[-1]) for layer in range(self.d_layers)),
        )


class Informer(nn.Module):
    """Scaled history and calendar features in, scaled forecast out; `seed` draws the key samples."""

    def __init__(self, config: InformerConfig, n_columns: int, n_features: int, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        decoder_len = config.label_len + config.pred_len
        self.encoder_embedding = Embedding(n_columns, n_features, config.seq_len, config)
        self.decoder_embedding = Embedding(n_columns, n_features, decoder_len, config)
        self.encoder = nn.ModuleList(EncoderLayer(len(axis), config, generator) for axis in config.encoder_axes())
        self.distillers = nn.ModuleList(
            Distiller(config.d_model) for _ in range(config.e_layers - 1 if config.distil else 0)
        )
        self.encoder_norm = nn.LayerNorm(config.d_model)
        self.decoder = nn.ModuleList(DecoderLayer(decoder_len, config, generator) for _ in range(config.d_layers))
        self.decoder_norm = nn.LayerNorm(config.d_model)
        self.projection = nn.Linear(config.d_model, n_columns)

    def forward(self, history: Tensor, calendar: Tensor) -> Tensor:
        """(B, seq_len, C) and (B, seq_len + pred_len, F) -> (B, pred_len, C).

        The decoder starts from the last label_len rows and pred_len zeros (section 3.3).
        """
        return self._forecast(history, calendar, need_map=False)[0]

    def explain(self, history: Tensor, calendar: Tensor) -> tuple[Tensor, list[SparseMap]]:
        """As `forward`, and the maps that `InformerConfig.attention_specs` lists."""
        return self._forecast(history, calendar, need_map=True)

    def _forecast(self, history: Tensor, calendar: Tensor, *, need_map: bool) -> tuple[Tensor, list[SparseMap]]:
        config = self.config
        memory, encoder_maps = self.encode(history, calendar[:, : config.seq_len], need_map=need_map)
        start = history[:, config.seq_len - config.label_len :]
        unknown = torch.zeros_like(history[:, :1]).expand(-1, config.pred_len, -1)
        tokens = torch.cat([start, unknown], dim=1)  # (B, label_len + pred_len, C)
        output, decoder_maps = self.decode(
            tokens, calendar[:, config.seq_len - config.label_len :], memory, need_map=need_map
        )
        maps = [*encoder_maps, *(own for own, _ in decoder_maps), *(cross for _, cross in decoder_maps)]
        return output[:, config.label_len :], [_with_selection(each) for each in maps if each is not None]

    def encode(self, values: Tensor, calendar: Tensor, *, need_map: bool = False) -> tuple[Tensor, list[Map | None]]:
        """(B, seq_len, C), (B, seq_len, F) -> memory (B, L, D) and each layer's map, if needed."""
        x = self.encoder_embedding(values, calendar)
        maps: list[Map | None] = []
        for index, layer in enumerate(self.encoder):
            x, layer_map = layer(x, need_map=need_map)
            maps.append(layer_map)
            if index < len(self.distillers):
                x = self.distillers[index](x)  # (B, L, D) -> (B, ceil(L / 2), D)
        return self.encoder_norm(x), maps

    def decode(
        self, values: Tensor, calendar: Tensor, memory: Tensor, *, need_map: bool = False
    ) -> tuple[Tensor, list[tuple[Map | None, Map | None]]]:
        """(B, L, C), (B, L, F), memory -> (B, L, C) and each layer's self and cross map, if needed."""
        x = self.decoder_embedding(values, calendar)
        maps: list[tuple[Map | None, Map | None]] = []
        for layer in self.decoder:
            x, layer_maps = layer(x, memory, need_map=need_map)
            maps.append(layer_maps)
        return self.projection(self.decoder_norm(x)), maps


class Embedding(nn.Module):
    """Circular convolution of the values + position + linear calendar features (appendix B)."""

    positions: Tensor

    def __init__(self, n_columns: int, n_features: int, length: int, config: InformerConfig) -> None:
        super().__init__()
        self.value = nn.Conv1d(n_columns, config.d_model, kernel_size=3, padding=1, padding_mode="circular")
        nn.init.kaiming_normal_(self.value.weight, nonlinearity="leaky_relu")
        self.calendar = nn.Linear(n_features, config.d_model)
        self.register_buffer("positions", sinusoids(length, config.d_model), persistent=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, values: Tensor, calendar: Tensor) -> Tensor:
        """(B, L, C), (B, L, F) -> (B, L, D)."""
        embedded = self.value(values.transpose(1, 2)).transpose(1, 2)
        return self.dropout(embedded + self.positions + self.calendar(calendar))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each added and then normed."""

    def __init__(self, length: int, config: InformerConfig, generator: torch.Generator) -> None:
        super().__init__()
        mechanism = _self_attention(length, config, causal=False, generator=generator)
        self.attention = MultiHeadAttention(config.d_model, config.n_heads, mechanism)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, *, need_map: bool = False) -> tuple[Tensor, Map | None]:
        """(B, L, D) -> (B, L, D) and the map or None."""
        attended, attention_map = self.attention(x, x, need_map=need_map)
        x = self.attention_norm(x + self.dropout(attended))
        return self.feed_forward_norm(x + self.feed_forward(x)), attention_map


class Distiller(nn.Module):
    """Halves the positions: circular convolution, batch norm, ELU, max pooling (equation 5)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(d_model, d_model, kernel_size=3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(d_model)
        self.pool = nn.MaxPool1d(kernel_size=3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, ceil(L / 2), D)."""
        x = nn.functional.elu(self.norm(self.convolution(x.transpose(1, 2))))
        return self.pool(x).transpose(1, 2)


class DecoderLayer(nn.Module):
    """Masked self-attention, full attention to the encoder, feed-forward, each added and normed."""

    def __init__(self, length: int, config: InformerConfig, generator: torch.Generator) -> None:
        super().__init__()
        masked = _self_attention(length, config, causal=True, generator=generator)
        self.self_attention = MultiHeadAttention(config.d_model, config.n_heads, masked, mix=config.mix)
        self.self_norm = nn.LayerNorm(config.d_model)
        self.cross_attention = MultiHeadAttention(config.d_model, config.n_heads, FullAttention(dropout=config.dropout))
        self.cross_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, memory: Tensor, *, need_map: bool = False
    ) -> tuple[Tensor, tuple[Map | None, Map | None]]:
        """(B, L, D), memory (B, M, D) -> (B, L, D) and the self and cross maps or Nones."""
        attended, self_map = self.self_attention(x, x, need_map=need_map)
        x = self.self_norm(x + self.dropout(attended))
        attended, cross_map = self.cross_attention(x, memory, need_map=need_map)
        x = self.cross_norm(x + self.dropout(attended))
        return self.feed_forward_norm(x + self.feed_forward(x)), (self_map, cross_map)


class FeedForward(nn.Sequential):
    """Two linear maps with a GELU between, position by position."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__(
            nn.Linear(config.d_model, config.d_ff),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, config.d_model),
            nn.Dropout(config.dropout),
        )


def _with_selection(attention_map: Map) -> SparseMap:
    if isinstance(attention_map, SparseMap):
        return attention_map
    return SparseMap(attention_map, torch.ones_like(attention_map[..., 0], dtype=torch.bool))


def _self_attention(length: int, config: InformerConfig, *, causal: bool, generator: torch.Generator) -> nn.Module:
    if config.attention == "full":
        return FullAttention(causal=causal, dropout=config.dropout)
    return ProbSparseAttention(length, length, config.factor, causal=causal, generator=generator)
