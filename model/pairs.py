"""Sentence pairs: read, split by source sentence, made token ids."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from contract.errors import Fault, FaultyTable
from contract.quoting import shown
from contract.text import SpecialTokens

_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class PairsConfig:
    """How to read a file of pairs, one a line, tab between, and what to make of them.

    `held_back` is how many source sentences are for validation and for test, each with all its translations.
    `tokenizer` is byte pairs (Sennrich et al. 2016) or whole words; `shared` is one for both languages. `joined` is the
    share of training examples that are two to four pairs in a row, for longer input. An epoch is
    `epoch_pairs` pairs, drawn anew; None takes them all. `origin` says where the pairs come from, for the card.
    """

    source: str = "en"
    target: str = "it"
    held_back: tuple[int, ...] = (2000, 4000)
    tokenizer: Literal["bpe", "word"] = "bpe"
    vocabulary: int = 8000
    shared: bool = True
    joined: float = 0.0
    epoch_pairs: int | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        for code in (self.source, self.target):
            if not _LANGUAGE.fullmatch(code):
                raise ValueError(f"expected a language code such as en, came {shown(code)}")
        if len(self.held_back) != 2 or min(self.held_back) < 1:
            raise ValueError(f"expected two positive counts in held_back, came {list(self.held_back)}")
        if self.vocabulary < 100:
            raise ValueError(f"expected vocabulary from 100 on, came {self.vocabulary}")
        if not 0 <= self.joined <= 1:
            raise ValueError(f"expected 0 <= joined <= 1, came {self.joined}")
        if self.epoch_pairs is not None and self.epoch_pairs < 1:
            raise ValueError(f"expected epoch_pairs from 1 on, came {self.epoch_pairs}")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentences and their translations, one to one."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def head(self, count: int) -> "Pairs":
        return Pairs(self.sources[:count], self.targets[:count])


def read_pairs(path: Path) -> tuple[Pairs, str]:
    """The pairs of a UTF-8 file, and its sha256. Raises FaultyTable, which names the first bad lines."""
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8-sig").split("\n")  # a text may hold what splitlines takes for a line's end
    except OSError as error:
        raise FaultyTable([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise FaultyTable([Fault("", f"expected UTF-8: {error}")]) from error
    cells = [line.split("\t") for line in (lines if lines[-1] else lines[:-1])]
    faults = [
        Fault(f"line {number}", f"expected two texts with a tab between, came {len(parts)} columns")
        for number, parts in enumerate(cells, 1)
        if len(parts) < 2 or not parts[0].strip() or not parts[1].strip()
    ]
    if faults or not cells:
        raise FaultyTable(faults[:20] or [Fault("", f"expected pairs, came an empty file {path}")])
    return Pairs(*zip(*((parts[0].strip(), parts[1].strip()) for parts in cells), strict=True)), hashlib.sha256(
        content
    ).hexdigest()


def split_pairs(pairs: Pairs, config: PairsConfig, seed: int) -> dict[str, Pairs]:
    """Train, val and test. No source sentence is in two of them, whatever its case and punctuation.

    Raises FaultyTable if too few are left to train on.
    """
    groups: dict[str, list[int]] = {}
    for index, source in enumerate(pairs.sources):
        letters = unicodedata.normalize("NFC", source.casefold())
        groups.setdefault("".join(filter(str.isalnum, letters)), []).append(index)
    n_val, n_test = config.held_back
    if len(groups) <= n_val + n_test:
        message = f"expected over {n_val + n_test} source sentences, as held_back says, came {len(groups)}"
        raise FaultyTable([Fault("", message)])
    keys = list(groups)
    order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(seed)).tolist()
    parts = {"val": order[:n_val], "test": order[n_val : n_val + n_test], "train": order[n_val + n_test :]}
    split = {}
    for name, chosen in parts.items():
        rows = [row for group in chosen for row in groups[keys[group]]]
        split[name] = Pairs(tuple(pairs.sources[row] for row in rows), tuple(pairs.targets[row] for row in rows))
    return split


def first_translations(pairs: Pairs) -> Pairs:
    """Each source once, with the translation that comes first."""
    first: dict[str, str] = {}
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        first.setdefault(source, target)
    return Pairs(tuple(first), tuple(first.values()))


def fit_tokenizers(pairs: Pairs, config: PairsConfig) -> dict[str, bytes]:
    """Files of one tokenizer for both sides, or of the source's and the target's.

    A source with several translations counts once.
    """
    sources = list(dict.fromkeys(pairs.sources))
    if config.shared:
        return {"tokenizer.json": fit_tokenizer([*sources, *pairs.targets], config)}
    files = {"source-tokenizer.json": sources, "target-tokenizer.json": pairs.targets}
    return {file: fit_tokenizer(texts, config) for file, texts in files.items()}


def fit_tokenizer(texts: Sequence[str], config: PairsConfig) -> bytes:
    """A tokenizer.json for these texts. Spaces are part of the words behind them, so decoding gives them back."""
    special = SpecialTokens()
    tokens = [special.pad, special.unk, special.bos, special.eos]
    if config.tokenizer == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token=special.unk, fuse_unk=True))
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocabulary, special_tokens=_added(tokens), min_frequency=2, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=special.unk))
        trainer = trainers.WordLevelTrainer(
            vocab_size=config.vocabulary, special_tokens=_added(tokens), min_frequency=2, show_progress=False
        )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    # signs and digits stand alone, so that a number or a name is spelt, not guessed
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode()


def _added(tokens: list[str]) -> list[AddedToken]:
    return [AddedToken(token, special=True) for token in tokens]
