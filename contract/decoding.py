"""From scores of the next token to translations: greedy and beam search over a step.

B sentences, R rows (beams of sentences), V words of the target vocabulary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A translation's tokens, without special ones, and its log probability over the length penalty."""

    ids: tuple[int, ...]
    score: float


def padded(rows: Sequence[Sequence[int]], pad: int) -> NDArray[np.int64]:
    """(B, the longest) of ids."""
    array = np.full((len(rows), max(map(len, rows))), pad)
    for row, ids in zip(array, rows, strict=True):
        row[: len(ids)] = ids
    return array


def stripped(target: NDArray[np.int64], special: Collection[int]) -> list[list[int]]:
    """Padded ids (B, T) -> each row's without the special ones."""
    return [[each for each in row if each not in special] for row in target.tolist()]
