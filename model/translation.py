"""The translation task: what is learned from pairs.

B batch, S source and T target positions, V words of the target vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import sacrebleu
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from contract.errors import Fault, FaultyTable
from contract.text import SpecialTokens, Vocabulary, shortened
from contract.translation import TranslateSpec
from model.config import Recipe, TrainingConfig
from model.pairs import Pairs, PairsConfig, first_translations, fit_tokenizers, read_pairs, split_pairs
from model.trainer import Validation

POOL = 100
"""Batches that are sorted by length together: little padding, and yet never the same batches."""
VALIDATED = 4096
"""Tokens of a validation batch."""
TRANSLATED = 64
"""Sentences translated at a time."""
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


@dataclass(frozen=True, slots=True)
class PairsData:
    """Pairs split by a recipe, and the vocabularies to read them with; `files` are the vocabularies' own."""

    spec: TranslateSpec
    sha256: str
    config: PairsConfig
    splits: dict[str, Pairs]
    files: dict[str, bytes]
    source: Vocabulary
    target: Vocabulary

    def task(self, training: TrainingConfig, device: torch.device) -> "TranslationTask":
        return TranslationTask(self, training.label_smoothing, device)

    def described(self) -> tuple[str, ...]:
        return ()


def prepare_pairs(path: Path, recipe: Recipe) -> PairsData:
    """The pairs at `path`, with vocabularies made from those to train on. Raises FaultyTable."""
    pairs, sha256 = read_pairs(path)
    splits = split_pairs(pairs, recipe.data, recipe.seed)
    files = fit_tokenizers(splits["train"], recipe.data)
    source, target = next(iter(files)), list(files)[-1]
    special = SpecialTokens()
    sizes = {name: len(Vocabulary(content, special)) for name, content in files.items()}
    spec = TranslateSpec(
        source=recipe.data.source,
        target=recipe.data.target,
        source_tokenizer=source,
        target_tokenizer=target,
        source_size=sizes[source],
        target_size=sizes[target],
        max_len=recipe.model.max_len,
        special=special,
    )
    return _pairs_data(spec, sha256, recipe.data, splits, files)


def load_pairs(path: Path, recipe: Recipe, spec: TranslateSpec, folder: Path) -> PairsData:
    """The pairs at `path` as a trained model takes them: split by its recipe, in its own vocabularies.

    Raises FaultyTable.
    """
    pairs, sha256 = read_pairs(path)
    splits = split_pairs(pairs, recipe.data, recipe.seed)
    files = {name: (folder / name).read_bytes() for name in (spec.source_tokenizer, spec.target_tokenizer)}
    return _pairs_data(spec, sha256, recipe.data, splits, files)


def _pairs_data(
    spec: TranslateSpec, sha256: str, config: PairsConfig, splits: dict[str, Pairs], files: dict[str, bytes]
) -> PairsData:
    source = Vocabulary(files[spec.source_tokenizer], spec.special)
    target = source if spec.shared else Vocabulary(files[spec.target_tokenizer], spec.special)
    return PairsData(spec, sha256, config, splits, files, source, target)


class TranslationTask:
    """Cross-entropy of the next target token, the true ones before it given."""

    def __init__(self, data: PairsData, label_smoothing: float, device: torch.device) -> None:
        self.data, self.label_smoothing, self.device = data, label_smoothing, device
        self.train, self.val = (
            Encoded.of(data.splits[name], data.source, data.target, data.spec.max_len) for name in ("train", "val")
        )
        if not self.train.sources or not self.val.sources:
            message = (
                f"expected pairs of up to max_len {data.spec.max_len} tokens to train on and to validate, came none"
            )
            raise FaultyTable([Fault("", message)])
        self.scored = first_translations(data.splits["val"]).head(SCORED)

    def batches(self, batch_size: int) -> "_Batches":
        """Batches of up to `batch_size` tokens on the longer side, padding included."""
        chosen = torch.randperm(len(self.train.sources))[: self.data.config.epoch_pairs]
        examples = list(_join(chosen, self.data.config.joined, self.train, self.data.spec.max_len))
        return _Batches(self, self.train, _by_length(examples, self.train, batch_size))

    def loss(self, model: nn.Module, batch: TextBatch) -> Tensor:
        return self._loss(model, batch, self.label_smoothing)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> Validation:
        """Loss of all pairs; BLEU, CER and WER of greedy translations of some, to their first translation."""
        total, count = 0.0, 0
        examples = [[index] for index in range(len(self.val.sources))]
        for batch in _Batches(self, self.val, _by_length(examples, self.val, VALIDATED)):
            tokens = int((batch.target[:, 1:] != self.data.target.pad).sum())
            total += self._loss(model, batch, 0.0).item() * tokens
            count += tokens
        translations, references = translate(model, self.scored.sources, self.data), list(self.scored.targets)
        figures = {
            "BLEU": sacrebleu.corpus_bleu(translations, [references]).score,
            "CER": jiwer.cer(references, translations),
            "WER": jiwer.wer(references, translations),
        }
        shown = list(zip(self.scored.sources, references, translations, strict=True))[:SAMPLES]
        return Validation(total / count, figures, "\n".join(f"- {a}\n  - {b}\n  - **{c}**" for a, b, c in shown))

    def collate(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> TextBatch:
        """Ids of both sides, padded."""
        source = _pad(sources, self.data.source.pad).to(self.device)
        target = _pad(targets, self.data.target.pad).to(self.device)
        return TextBatch(source, target, source != self.data.source.pad)

    def _loss(self, model: nn.Module, batch: TextBatch, smoothing: float) -> Tensor:
        logits = model(batch.source, batch.target[:, :-1], batch.mask)  # (B, T - 1, V)
        return cross_entropy(
            logits.flatten(0, 1).float(),
            batch.target[:, 1:].flatten(),
            ignore_index=self.data.target.pad,
            label_smoothing=smoothing,
        )


def translate(model: nn.Module, texts: Sequence[str], data: PairsData) -> list[str]:
    """Greedy translations, in order."""
    return data.target.decode(greedy_ids(model, data.source.encode(texts), data))


def greedy_ids(model: nn.Module, sources: Sequence[Sequence[int]], data: PairsData) -> list[list[int]]:
    """Tokens to tokens; computed without a cache, the plain way that others are checked against."""
    device = next(model.parameters()).device
    encoded = [torch.tensor(shortened(ids, data.spec.max_len)) for ids in sources]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), TRANSLATED):
        chosen = order[start : start + TRANSLATED]
        ids = _pad([encoded[i] for i in chosen], data.source.pad).to(device)
        caps = [data.spec.longest(len(encoded[i])) for i in chosen]
        found.update(zip(chosen, greedy(model, ids, ids != data.source.pad, caps, data.target), strict=True))
    return [found[index] for index in range(len(encoded))]


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


def _pad(rows: Sequence[Tensor], value: int) -> Tensor:
    return pad_sequence(list(rows), batch_first=True, padding_value=value)


def _join(chosen: Tensor, share: float, encoded: Encoded, max_len: int) -> Iterator[list[int]]:
    """The rows of each example: one pair, or with probability `share` two to four in a row, if max_len has room."""
    rows = iter(chosen.tolist())
    for row in rows:
        more = 0 if torch.rand(()).item() >= share else int(torch.randint(1, 4, ()))
        joined = [row, *(following for _, following in zip(range(more), rows, strict=False))]
        if _length(joined, encoded) <= max_len:
            yield joined
        else:
            yield from ([each] for each in joined)


def _length(rows: list[int], encoded: Encoded) -> int:
    """Of the longer side, each pair's bos and eos counted."""
    return max(sum(len(side[row]) for row in rows) for side in (encoded.sources, encoded.targets))


def _by_length(examples: list[list[int]], encoded: Encoded, batch_size: int) -> list[list[list[int]]]:
    lengths = [_length(rows, encoded) for rows in examples]
    order = torch.randperm(len(examples)).tolist()
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
