"""The Transformer (Vaswani et al. 2017): an encoder-decoder of attention alone.

B batch, S source and T target positions, D d_model, H heads, V words of a vocabulary.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from model.attention import FullAttention, MultiHeadAttention
from model.positions import sinusoids


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The defaults are the paper's base model, but for `pre_norm`.

    `pre_norm` normalises what goes into a sublayer in place of what comes out (Xiong et al. 2020), and once more at
    the end. `tied` has the output projection be the target's embedding (Press and Wolf 2017). `max_len` bounds
    source and target, in tokens.
    """

    d_model: int = 512
    n_heads: int = 8
    e_layers: int = 6
    d_layers: int = 6
    d_ff: int = 2048
    dropout: float = 0.1
    pre_norm: bool = True
    tied: bool = True
    max_len: int = 256

    def __post_init__(self) -> None:
        for name in ("d_model", "n_heads", "e_layers", "d_layers", "d_ff", "max_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} from 1 on, came {getattr(self, name)}")
        if self.d_model % self.n_heads:
            raise ValueError(f"expected d_model {self.d_model} to be a multiple of n_heads {self.n_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 <= dropout < 1, came {self.dropout}")


class Transformer(nn.Module):
    """Token ids in, logits of each position's next target token out.

    Without `source_size` both sides have one vocabulary, and one embedding.
    """

    positions: Tensor

    def __init__(self, config: TransformerConfig, target_size: int, source_size: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.target_embedding = nn.Embedding(target_size, config.d_model)
        self.source_embedding = (
            nn.Embedding(source_size, config.d_model) if source_size is not None else self.target_embedding
        )
        self.register_buffer("positions", sinusoids(config.max_len, config.d_model), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.e_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.d_layers))
        self.encoder_norm = nn.LayerNorm(config.d_model) if config.pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if config.pre_norm else nn.Identity()
        self.projection = nn.Linear(config.d_model, target_size, bias=not config.tied)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=config.d_model**-0.5)  # of unit size once scaled
        if config.tied:
            self.projection.weight = self.target_embedding.weight

    def forward(self, source: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Source ids (B, S), target ids (B, T), mask (B, S) true at source tokens -> logits (B, T, V)."""
        memory, _ = self.encode(source, mask)
        logits, _ = self.decode(target, memory, mask)
        return logits

    def encode(self, source: Tensor, mask: Tensor, *, need_map: bool = False) -> tuple[Tensor, list[Tensor | None]]:
        """(B, S), (B, S) -> memory (B, S, D) and each layer's map, if needed."""
        x = self._embed(self.source_embedding, source)
        maps: list[Tensor | None] = []
        for layer in self.encoder:
            x, layer_map = layer(x, mask, need_map=need_map)
            maps.append(layer_map)
        return self.encoder_norm(x), maps

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        mask: Tensor,
        *,
        target_mask: Tensor | None = None,
        need_map: bool = False,
    ) -> tuple[Tensor, list[tuple[Tensor | None, Tensor | None]]]:
        """(B, T), memory (B, S, D), its mask -> logits (B, T, V) and each layer's self and cross map, if needed.

        `target_mask` (B, T) only matters to what stands behind a target's end.
        """
        x = self._embed(self.target_embedding, target)
        maps: list[tuple[Tensor | None, Tensor | None]] = []
        for layer in self.decoder:
            x, layer_maps = layer(x, memory, mask, target_mask, need_map=need_map)
            maps.append(layer_maps)
        return self.projection(self.decoder_norm(x)), maps

    def _embed(self, embedding: nn.Embedding, ids: Tensor) -> Tensor:
        scaled = embedding(ids) * math.sqrt(self.config.d_model)  # section 3.4
        return self.dropout(scaled + self.positions[: ids.shape[1]])


class Residual(nn.Module):
    """What is around each sublayer: add, and norm before or after."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def before(self, x: Tensor) -> Tensor:
        return self.norm(x) if self.pre_norm else x

    def after(self, x: Tensor, sublayer: Tensor) -> Tensor:
        x = x + self.dropout(sublayer)
        return x if self.pre_norm else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = _heads(config)
        self.attention_residual = Residual(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_residual = Residual(config)

    def forward(self, x: Tensor, mask: Tensor, *, need_map: bool = False) -> tuple[Tensor, Tensor | None]:
        """(B, S, D), mask (B, S) -> (B, S, D) and the map or None."""
        y = self.attention_residual.before(x)
        attended, attention_map = self.attention(y, y, mask=mask, need_map=need_map)
        x = self.attention_residual.after(x, attended)
        fed = self.feed_forward(self.feed_forward_residual.before(x))
        return self.feed_forward_residual.after(x, fed), attention_map


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the encoder, feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _heads(config, causal=True)
        self.self_residual = Residual(config)
        self.cross_attention = _heads(config)
        self.cross_residual = Residual(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_residual = Residual(config)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor, target_mask: Tensor | None, *, need_map: bool = False
    ) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
        """(B, T, D), memory (B, S, D), its mask (B, S) -> (B, T, D) and the self and cross maps or Nones."""
        y = self.self_residual.before(x)
        attended, self_map = self.self_attention(y, y, mask=target_mask, need_map=need_map)
        x = self.self_residual.after(x, attended)
        y = self.cross_residual.before(x)
        attended, cross_map = self.cross_attention(y, memory, mask=mask, need_map=need_map)
        x = self.cross_residual.after(x, attended)
        fed = self.feed_forward(self.feed_forward_residual.before(x))
        return self.feed_forward_residual.after(x, fed), (self_map, cross_map)


class FeedForward(nn.Sequential):
    """Two linear maps with a ReLU between, position by position (section 3.3)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(
            nn.Linear(config.d_model, config.d_ff),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, config.d_model),
        )


def _heads(config: TransformerConfig, *, causal: bool = False) -> MultiHeadAttention:
    # without bias, as in the paper
    mechanism = FullAttention(causal=causal, dropout=config.dropout)
    return MultiHeadAttention(config.d_model, config.n_heads, mechanism, bias=False)
