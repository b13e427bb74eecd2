"""Words: read from a file with one a line, and split."""

import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path

from contract.errors import Fault, FaultyTable
from contract.generation import normalized
from contract.quoting import shown


@dataclass(frozen=True, slots=True)
class WordsConfig:
    """How to split a file of words, one a line.

    They are shuffled by Python's `random` with `shuffle_seed`, and cut at `fractions` of them for train, val and test.
    Generated words have at most `max_len` characters; without it, twice as many as the longest of the file. For the
    card, `origin` says where the words come from, and `beside` the validation loss of other models on the same split.
    """

    fractions: tuple[float, ...] = (0.8, 0.1, 0.1)
    shuffle_seed: int = 42
    max_len: int | None = None
    origin: str = ""
    beside: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.fractions) != 3 or min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError(f"expected three positive fractions of 1 in all, came {list(self.fractions)}")
        if self.max_len is not None and self.max_len < 1:
            raise ValueError(f"expected max_len from 1 on, came {self.max_len}")


def read_words(path: Path) -> tuple[tuple[str, ...], str]:
    """The words of a UTF-8 file, and its sha256. Raises FaultyTable, which names the first bad lines."""
    try:
        content = path.read_bytes()
        lines = [normalized(line) for line in content.decode("utf-8").splitlines()]
    except OSError as error:
        raise FaultyTable([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise FaultyTable([Fault("", f"expected UTF-8: {error}")]) from error
    faults = [
        Fault(f"line {number}", f"expected a word without space around it, came {shown(line)}")
        for number, line in enumerate(lines, 1)
        if not line or line != line.strip()
    ]
    if faults or not lines:
        raise FaultyTable(faults[:20] or [Fault("", f"expected words, came an empty file {path}")])
    return tuple(lines), hashlib.sha256(content).hexdigest()


def split_words(words: tuple[str, ...], config: WordsConfig) -> dict[str, tuple[str, ...]]:
    """Train, val and test. A word that the file has twice may be in two of them, as in what is published of names.txt.

    Raises FaultyTable if one of them is empty.
    """
    shuffled = list(words)
    random.Random(config.shuffle_seed).shuffle(shuffled)  # noqa: S311 no secret
    train, val, _ = config.fractions
    first, second = int(train * len(words)), int((train + val) * len(words))
    split = {
        "train": tuple(shuffled[:first]),
        "val": tuple(shuffled[first:second]),
        "test": tuple(shuffled[second:]),
    }
    if not all(split.values()):
        raise FaultyTable([Fault("", f"expected words for train, val and test, came {len(words)} in all")])
    return split
