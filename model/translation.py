"""The translation task: what is learned from pairs.

B batch, S source and T target positions, V words of the target vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jiwer
import sacrebleu
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from contract.text import Vocabulary
from contract.translation import TranslateSpec
from model.pairs import Pairs, PairsConfig
from model.trainer import Validation

POOL = 100
"""Batches that are sorted by length together: little padding, and yet never the same batches."""
SCORED = 300
SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Encoded:
    """Pairs as token ids, bos and eos included."""

    sources: list[Tensor]
    targets: list[Tensor]

    @classmethod
    def of(cls, pairs: Pairs, source: Vocabulary, target: Vocabulary, max_len: int) -> "Encoded":
        """Without the pairs that are longer than max_len on a side."""
        both = zip(source.encode(pairs.sources), target.encode(pairs.targets), strict=True)
        kept = [(torch.tensor(a), torch.tensor(b)) for a, b in both if max(len(a), len(b)) <= max_len]
        return cls([a for a, _ in kept], [b for _, b in kept])


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Padded ids (B, S) and (B, T), and where the source is (B, S)."""

    source: Tensor
    target: Tensor
    mask: Tensor


class TranslationTask:
    """Cross-entropy of the next target token, the true ones before it given."""

    def __init__(
        self,
        pairs: dict[str, Pairs],
        config: PairsConfig,
        spec: TranslateSpec,
        vocabularies: tuple[Vocabulary, Vocabulary],
        device: torch.device,
        label_smoothing: float,
    ) -> None:
        self.config, self.spec, self.device, self.label_smoothing = config, spec, device, label_smoothing
        self.source, self.target = vocabularies
        self.train = Encoded.of(pairs["train"], *vocabularies, spec.max_len)
        self.val = Encoded.of(pairs["val"], *vocabularies, spec.max_len)
        # the first translation of each sentence; `pairs` has a sentence's translations one behind the other
        first = {source: index for index, source in reversed(list(enumerate(pairs["val"].sources)))}
        chosen = sorted(first.values())[:SCORED]
        self.scored = Pairs(*(tuple(side[i] for i in chosen) for side in (pairs["val"].sources, pairs["val"].targets)))

    def batches(self, batch_size: int) -> "_Batches":
        """Batches of up to `batch_size` tokens on the longer side, padding included."""
        chosen = torch.randperm(len(self.train.sources))[: self.config.epoch_pairs]
        examples = list(_join(chosen, self.config.joined))
        return _Batches(self, self.train, _by_length(examples, self.train, self.spec.max_len, batch_size))

    def loss(self, model: nn.Module, batch: TextBatch) -> Tensor:
        return self._loss(model, batch, self.label_smoothing)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> Validation:
        """Loss of all pairs; BLEU, CER and WER of greedy translations of some, to their first translation."""
        total, count = 0.0, 0
        examples = [[index] for index in range(len(self.val.sources))]
        for batch in _Batches(self, self.val, _by_length(examples, self.val, self.spec.max_len, 4096)):
            tokens = int((batch.target[:, 1:] != self.target.pad).sum())
            total += self._loss(model, batch, 0.0).item() * tokens
            count += tokens
        translations = translate(model, self.scored.sources, self.spec, self.source, self.target, self.device)
        references = list(self.scored.targets)
        figures = {
            "BLEU": sacrebleu.corpus_bleu(translations, [references]).score,
            "CER": jiwer.cer(references, translations),
            "WER": jiwer.wer(references, translations),
        }
        lines = zip(self.scored.sources, references, translations, strict=True)
        samples = "\n".join(f"- {a}\n  - {b}\n  - **{c}**" for a, b, c in list(lines)[:SAMPLES])
        return Validation(total / count, figures, samples)

    def collate(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> TextBatch:
        source = pad_sequence(list(sources), batch_first=True, padding_value=self.source.pad).to(self.device)
        target = pad_sequence(list(targets), batch_first=True, padding_value=self.target.pad).to(self.device)
        return TextBatch(source, target, source != self.source.pad)

    def _loss(self, model: nn.Module, batch: TextBatch, smoothing: float) -> Tensor:
        logits = model(batch.source, batch.target[:, :-1], batch.mask)  # (B, T - 1, V)
        return cross_entropy(
            logits.flatten(0, 1).float(),
            batch.target[:, 1:].flatten(),
            ignore_index=self.target.pad,
            label_smoothing=smoothing,
        )


@torch.no_grad()
def translate(
    model: nn.Module,
    texts: Sequence[str],
    spec: TranslateSpec,
    source: Vocabulary,
    target: Vocabulary,
    device: torch.device,
    batch_size: int = 64,
) -> list[str]:
    """Greedy translations, in order; computed without a cache, the plain way that others are checked against."""
    encoded = [torch.tensor(ids[: spec.max_len]) for ids in source.encode(texts)]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids = pad_sequence([encoded[i] for i in chosen], batch_first=True, padding_value=source.pad).to(device)
        caps = [spec.longest(len(encoded[i])) for i in chosen]
        found.update(zip(chosen, greedy(model, ids, ids != source.pad, caps, target), strict=True))
    return target.decode([found[index] for index in range(len(texts))])


@torch.no_grad()
def greedy(model: nn.Module, source: Tensor, mask: Tensor, caps: Sequence[int], target: Vocabulary) -> list[list[int]]:
    """Ids (B, S) -> each row's translation: its likeliest next token, again and again, to eos or its cap."""
    memory, _ = model.encode(source, mask)
    ids = torch.full((len(source), 1), target.bos, device=source.device)
    ends = torch.tensor(caps, device=source.device)
    open_rows = torch.ones(len(source), dtype=torch.bool, device=source.device)
    while open_rows.any():
        logits, _ = model.decode(ids, memory, mask)
        following = logits[:, -1].argmax(-1).where(open_rows, target.pad)
        ids = torch.cat([ids, following[:, None]], dim=1)
        open_rows = open_rows & (following != target.eos) & (ids.shape[1] < ends)
    special = {target.bos, target.eos, target.pad}
    return [[each for each in row if each not in special] for row in ids.tolist()]


def _join(chosen: Tensor, share: float) -> Iterator[list[int]]:
    """The rows of each example: one pair, or with probability `share` two to four in a row."""
    rows = iter(chosen.tolist())
    for row in rows:
        more = 0 if torch.rand(()).item() >= share else int(torch.randint(1, 4, ()))
        yield [row, *(following for _, following in zip(range(more), rows, strict=False))]


def _by_length(examples: list[list[int]], encoded: Encoded, max_len: int, batch_size: int) -> list[list[list[int]]]:
    lengths = [
        max(sum(len(encoded.sources[i]) for i in rows), sum(len(encoded.targets[i]) for i in rows)) for rows in examples
    ]
    order = [i for i in torch.randperm(len(examples)).tolist() if lengths[i] <= max_len]
    mean = sum(lengths) / len(lengths)
    pool = max(1, int(POOL * batch_size / mean))
    batches = []
    for start in range(0, len(order), pool):
        waiting: list[int] = []
        for i in sorted(order[start : start + pool], key=lambda i: lengths[i]):
            if waiting and lengths[i] * (len(waiting) + 1) > batch_size:
                batches.append(waiting)
                waiting = []
            waiting.append(i)
        batches.append(waiting)
    return [[examples[i] for i in batches[b]] for b in torch.randperm(len(batches)).tolist()]


@dataclass(frozen=True, slots=True)
class _Batches:
    task: TranslationTask
    encoded: Encoded
    rows: list[list[list[int]]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[TextBatch]:
        for examples in self.rows:
            yield self.task.collate(
                [_joined([self.encoded.sources[i] for i in rows]) for rows in examples],
                [_joined([self.encoded.targets[i] for i in rows]) for rows in examples],
            )


def _joined(parts: list[Tensor]) -> Tensor:
    """bos, the words of all, eos."""
    return torch.cat([parts[0][:1], *(part[1:-1] for part in parts), parts[0][-1:]])
