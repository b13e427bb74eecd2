"""A character model in the form of WaveNet (van den Oord et al. 2016): dilated causal convolutions.

One stack of weights, computed in three ways that give the same logits: as a tree over one window (`tree`), for every
position of many words at once (`forward`), and character by character from what was cached (`step`).

P positions of all words, one behind the other; N windows; B words; C channels, S skip channels, V characters.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_linear_bn_eval


@dataclass(frozen=True, slots=True)
class WaveNetConfig:
    """Layer i fuses `kernels[i]` neighbours, each of which stands for the product of the kernels before it.

    (2, 2, 2) is the hierarchical model of context 8, (8,) the plain MLP of that context (Bengio et al. 2003). Without
    `skip` a layer is linear, batch norm, tanh, `hidden` wide. With it, gated units, residual and skip connections
    (van den Oord et al. 2016, sections 2.3 and 2.4), and `embedding` residual channels.
    """

    embedding: int = 24
    hidden: int = 128
    kernels: tuple[int, ...] = (2, 2, 2)
    skip: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("embedding", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} from 1 on, came {getattr(self, name)}")
        if not self.kernels or min(self.kernels) < 2:
            raise ValueError(f"expected kernels from 2 on, at least one, came {list(self.kernels)}")
        if self.context > 1024:
            raise ValueError(f"expected kernels of product 1024 at most, came {self.context}")
        if self.skip < 0:
            raise ValueError(f"expected skip from 0 on, came {self.skip}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 <= dropout < 1, came {self.dropout}")

    @property
    def context(self) -> int:
        """Characters that the next one is told from."""
        return math.prod(self.kernels)

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(math.prod(self.kernels[:layer]) for layer in range(len(self.kernels)))


class WaveNet(nn.Module):
    """Character ids in, logits of the next character out. In front of a word there is the end sign, again and again."""

    def __init__(self, config: WaveNetConfig, size: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(size, config.embedding)
        layers: list[TanhLayer] | list[GatedLayer]
        if config.skip:
            layers = [GatedLayer(config, kernel) for kernel in config.kernels]
            self.head = nn.Sequential(
                nn.ReLU(), nn.Linear(config.skip, config.skip), nn.ReLU(), nn.Linear(config.skip, size)
            )
        else:
            widths = [config.embedding, *[config.hidden] * (len(config.kernels) - 1)]
            layers = [TanhLayer(config, kernel, width) for kernel, width in zip(config.kernels, widths, strict=True)]
            self.head = nn.Sequential(nn.Linear(config.hidden, size))
        self.layers = nn.ModuleList(layers)

    @property
    def stack(self) -> list[tuple[nn.Module, int, int]]:
        """Each layer, its kernel and its dilation."""
        return list(zip(self.layers, self.config.kernels, self.config.dilations, strict=True))

    def forward(self, ids: Tensor, place: Tensor) -> Tensor:
        """The dilated form: ids (P,) of words that begin with the end sign, and each one's place in its word, from 0.

        Gives logits (P, V): each position costs every layer once.
        """
        logits, _ = self._dilated(ids, place)
        return logits

    def begin(self, words: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Ids (B, T) of words or their beginnings -> logits (B, T, V), and the caches from which `step` goes on."""
        length = words.shape[1]
        logits, inputs = self._dilated(words, torch.arange(length, device=words.device))
        caches = []
        for x, (_, kernel, dilation) in zip(inputs, self.stack, strict=True):
            back = torch.arange((kernel - 1) * dilation - 1, -1, -1, device=words.device)
            latest = (length - 1 - back).clamp(min=0)  # before the first position there are others like it
            caches.append(x.index_select(1, latest))
        return logits, caches

    def _dilated(self, ids: Tensor, place: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Ids (..., P) at these places (P,) -> logits (..., P, V), and what each layer took in, (..., P, C)."""
        x, gathered = self.embedding(ids), None
        inputs = []
        for layer, kernel, dilation in self.stack:
            inputs.append(x)
            # index_select, whose gradient is many times faster than that of x[...]
            taps = [x.index_select(-2, before(place, back * dilation)) for back in range(kernel - 1, 0, -1)]
            x, gathered = layer(torch.cat([*taps, x], dim=-1), x, gathered)
        return self.head(gathered), inputs

    def tree(self, windows: Tensor) -> Tensor:
        """The hierarchical form: ids (N, context), oldest first -> logits (N, V) of what comes next."""
        x, gathered = self.embedding(windows), None
        for layer, kernel, _ in self.stack:
            latest = slice(kernel - 1, None, kernel)
            # (N, G, C) -> (N, G / kernel, kernel * C)
            taps = x.reshape(len(x), x.shape[1] // kernel, kernel * x.shape[2])
            x, gathered = layer(taps, x[:, latest], None if gathered is None else gathered[:, latest])
        return self.head(gathered[:, 0])

    def step(self, token: Tensor, caches: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One character: ids (B,) and the caches -> logits (B, V) and new caches.

        A layer's cache is what it took in at the positions before, (B, (kernel - 1) * dilation, C), the oldest first.
        """
        x, gathered = self.embedding(token), None
        following = []
        for (layer, _, dilation), cache in zip(self.stack, caches, strict=True):
            following.append(torch.cat([cache[:, 1:], x[:, None]], dim=1))
            taps = torch.cat([cache[:, ::dilation], x[:, None]], dim=1)
            x, gathered = layer(taps.flatten(1), x, gathered)
        return self.head(gathered), following

    def folded(self) -> "WaveNet":
        """A copy in evaluation mode, batch norm folded into the linear maps, each of which maps row by row."""
        copied = copy.deepcopy(self).eval()
        for layer in copied.layers:
            layer.linear, layer.norm = fuse_linear_bn_eval(layer.linear, layer.norm), nn.Identity()
        for module in list(copied.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, RowLinear(child))
        return copied


class TanhLayer(nn.Module):
    """Linear, batch norm over batch and time, tanh."""

    def __init__(self, config: WaveNetConfig, kernel: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(kernel * width, config.hidden, bias=False)
        self.norm = BatchNorm(config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, taps: Tensor, latest: Tensor, gathered: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., kernel * C) -> (..., hidden), for the next layer and for the head."""
        x = self.dropout(torch.tanh(self.norm(self.linear(taps))))
        return x, x


class GatedLayer(nn.Module):
    """tanh(filter) * sigmoid(gate), added to what came in and to what the head gets; batch norm before the gate."""

    def __init__(self, config: WaveNetConfig, kernel: int) -> None:
        super().__init__()
        self.linear = nn.Linear(kernel * config.embedding, 2 * config.hidden, bias=False)
        self.norm = BatchNorm(2 * config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.residual = nn.Linear(config.hidden, config.embedding)
        self.skip = nn.Linear(config.hidden, config.skip)

    def forward(self, taps: Tensor, latest: Tensor, gathered: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., kernel * C), the latest of them (..., C), skips so far (..., S) -> (..., C) and (..., S)."""
        signal, gate = self.norm(self.linear(taps)).chunk(2, dim=-1)
        x = self.dropout(torch.tanh(signal) * torch.sigmoid(gate))
        skip = self.skip(x)
        return latest + self.residual(x), skip if gathered is None else gathered + skip


class BatchNorm(nn.BatchNorm1d):
    """Over all axes but the last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


class RowLinear(nn.Module):
    """A linear map that computes each row as if it were alone: the same bits in any batch.

    As one product of matrices, rows of it would be added up in an order that depends on how many there are.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)."""
        return (self.weight @ x.unsqueeze(-1)).squeeze(-1) + self.bias


def before(place: Tensor, back: int) -> Tensor:
    """Where in P positions, which have these places (P,), those are that come so far before each.

    Before a word's first position there are others like it, and so it stands for them.
    """
    return torch.arange(place.shape[0], device=place.device) - place.clamp(max=back)
