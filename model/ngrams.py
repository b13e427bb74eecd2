"""Words by counting: what a character model has to beat."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.generation import END


@dataclass(frozen=True, slots=True)
class NGrams:
    """The next of V characters, from how often each came after the same `order` - 1 or fewer in training.

    Longer contexts are interpolated with shorter ones (Witten and Bell 1991), the shortest with all characters alike.
    """

    order: int
    counts: dict[tuple[int, ...], NDArray[np.int64]]
    size: int

    @classmethod
    def fit(cls, words: Sequence[Sequence[int]], order: int, size: int) -> "NGrams":
        """`words` are ids with the end sign in front."""
        counts: dict[tuple[int, ...], NDArray[np.int64]] = defaultdict(lambda: np.zeros(size, np.int64))
        for word in words:
            for context, following in _positions(word, order):
                for start in range(len(context) + 1):
                    counts[context[start:]][following] += 1
        return cls(order, dict(counts), size)

    def mean_loss(self, words: Sequence[Sequence[int]]) -> float:
        """Cross-entropy in nats, over every next character of every word, end signs included."""
        found: dict[tuple[int, ...], NDArray[np.float64]] = {}
        total, count = 0.0, 0
        for word in words:
            for context, following in _positions(word, self.order):
                if context not in found:
                    found[context] = self._probabilities(context)
                total -= float(np.log(found[context][following]))
                count += 1
        return total / count

    def _probabilities(self, context: tuple[int, ...]) -> NDArray[np.float64]:
        shorter = self._probabilities(context[1:]) if context else np.full(self.size, 1 / self.size)
        counted = self.counts.get(context)
        if counted is None:
            return shorter
        kinds = np.count_nonzero(counted)
        return np.asarray((counted + kinds * shorter) / (counted.sum() + kinds))


def _positions(word: Sequence[int], order: int) -> list[tuple[tuple[int, ...], int]]:
    """What stands before each character of a word and behind the last, at most order - 1 of it, and the character."""
    return [
        (tuple(word[max(0, place - order + 2) : place + 1]), following)
        for place, following in enumerate([*word[1:], END])
    ]
