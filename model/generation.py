"""The generation task: what is learned from words.

P positions of all words, one behind the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from contract.errors import Fault, FaultyTable
from contract.generation import GenerateSpec
from model.config import Recipe, TrainingConfig
from model.trainer import Validation
from model.words import read_words, split_words

VALIDATED = 2000
"""Words of a validation batch."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Words one behind the other: ids (P,) with the end sign in front of each, their places in it, what comes next."""

    ids: Tensor
    place: Tensor
    following: Tensor

    @classmethod
    def of(cls, encoded: Sequence[Tensor]) -> "Packed":
        """`encoded` has the ids of each word, with the end sign in front."""
        ids = torch.cat(list(encoded))
        lengths = torch.tensor([len(each) for each in encoded])
        ends = lengths.cumsum(0)
        place = torch.arange(len(ids)) - (ends - lengths).repeat_interleave(lengths)
        following = ids.roll(-1)  # the next word's end sign is this one's, too
        return cls(ids, place, following)

    def to(self, device: torch.device) -> "Packed":
        return Packed(self.ids.to(device), self.place.to(device), self.following.to(device))


@dataclass(frozen=True, slots=True)
class WordsData:
    """Words split by a recipe."""

    spec: GenerateSpec
    sha256: str
    splits: dict[str, tuple[str, ...]]

    @property
    def files(self) -> dict[str, bytes]:
        """None: the alphabet is in the spec."""
        return {}

    def encoded(self, split: str) -> list[Tensor]:
        return [torch.tensor(self.spec.encode(word)) for word in self.splits[split]]

    def described(self) -> list[str]:
        return []

    def task(self, training: TrainingConfig, device: torch.device) -> "GenerationTask":
        return GenerationTask(self, training.label_smoothing, device)


def prepare_words(path: Path, recipe: Recipe) -> WordsData:
    """The words at `path`, their characters the alphabet. Raises FaultyTable."""
    words, sha256 = read_words(path)
    longest = 2 * max(map(len, words))
    spec = GenerateSpec(
        alphabet="".join(sorted(set("".join(words)))),
        context=recipe.model.context,
        max_len=recipe.data.max_len or longest,
    )
    return WordsData(spec, sha256, split_words(words, recipe.data))


def load_words(path: Path, recipe: Recipe, spec: GenerateSpec) -> WordsData:
    """The words at `path` as a trained model takes them: split by its recipe, in its alphabet. Raises FaultyTable."""
    words, sha256 = read_words(path)
    faults = []
    for number, word in enumerate(words, 1):
        try:
            spec.encode(word)
        except ValueError as error:
            faults.append(Fault(f"line {number}", str(error)))
    if faults:
        raise FaultyTable(faults[:20])
    return WordsData(spec, sha256, split_words(words, recipe.data))


class CharacterModel(Protocol):
    """What an architecture of this task is, beside a module of torch's."""

    def __call__(self, ids: Tensor, place: Tensor) -> Tensor:
        """Ids (P,) of words one behind the other and their places -> logits (P, V)."""
        ...

    def begin(self, words: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Ids (B, T) -> logits (B, T, V), and the state behind them, tensors of B rows."""
        ...

    def step(self, token: Tensor, caches: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Ids (B,) and the state -> logits (B, V), and the new state."""
        ...

    def folded(self) -> Self:
        """A copy for export, in evaluation mode, which computes each row to the same bits in any batch."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def eval(self) -> Self: ...


class GenerationTask:
    """Cross-entropy of the next character, the true ones before it given; every position counts the same."""

    def __init__(self, data: WordsData, label_smoothing: float, device: torch.device) -> None:
        self.label_smoothing, self.device = label_smoothing, device
        self.train, self.val = (data.encoded(name) for name in ("train", "val"))

    def batches(self, batch_size: int) -> "_Batches":
        return _Batches(self.train, torch.randperm(len(self.train)).split(batch_size), self.device)

    def loss(self, model: nn.Module, batch: Packed) -> Tensor:
        return cross_entropy(
            model(batch.ids, batch.place).float(), batch.following, label_smoothing=self.label_smoothing
        )

    @torch.no_grad()
    def validate(self, model: nn.Module) -> Validation:
        return Validation(mean_loss(model, self.val))


@torch.no_grad()
def mean_loss(model: nn.Module, encoded: Sequence[Tensor]) -> float:
    """Cross-entropy in nats, over every next character of every word, end signs included."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for rows in torch.arange(len(encoded)).split(VALIDATED):
        batch = Packed.of([encoded[row] for row in rows]).to(device)
        total += cross_entropy(model(batch.ids, batch.place), batch.following, reduction="sum").item()
        count += len(batch.ids)
    return total / count


@dataclass(frozen=True, slots=True)
class _Batches:
    words: list[Tensor]
    rows: tuple[Tensor, ...]
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Packed]:
        for rows in self.rows:
            yield Packed.of([self.words[row] for row in rows.tolist()]).to(self.device)
