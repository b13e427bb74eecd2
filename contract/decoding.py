"""From the log probabilities of next tokens to translations: beam search, of which greedy is the narrowest.

B sentences, K beams of each, R rows (sentences times beams), T tokens so far, V words of the target vocabulary.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.graphs import NEXT

Arrays = Mapping[str, NDArray[Any]]
Step = Callable[[dict[str, NDArray[Any]]], Arrays]
"""A step graph (contract/translation.py)."""

LENGTH_PENALTY = 0.6
REPEATS = 3
"""How often in a row a translation may say the same, if its source does not say anything more often."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A translation's tokens, without special ones, and its log probability over the length penalty."""

    ids: tuple[int, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Beam:
    """`size` beams are kept of each sentence, and its `n_best` hypotheses given.

    A hypothesis scores its log probability over ((5 + length) / 6) ** length_penalty (Wu et al. 2016, section 7).
    """

    size: int = 1
    n_best: int = 1
    length_penalty: float = LENGTH_PENALTY

    def __post_init__(self) -> None:
        if not 1 <= self.n_best <= self.size or self.length_penalty < 0:
            raise ValueError(f"expected 1 <= n_best <= size and length_penalty from 0 on, came {self}")

    def divisor(self, length: int) -> float:
        """What a log probability of so many tokens, eos included, is divided by."""
        return float(((5 + length) / 6) ** self.length_penalty)


def padded(rows: Sequence[Sequence[int]], pad: int) -> NDArray[np.int64]:
    """(B, the longest) of ids."""
    array = np.full((len(rows), max(map(len, rows))), pad)
    for row, ids in zip(array, rows, strict=True):
        row[: len(ids)] = ids
    return array


def stripped(target: NDArray[np.int64], special: Collection[int]) -> list[list[int]]:
    """Padded ids (B, T) -> each row's without the special ones."""
    return [[each for each in row if each not in special] for row in target.tolist()]


def repeats(ids: Sequence[int], enough: int = 1) -> int:
    """How often in a row the most repeated run of tokens stands in `ids`; if up to `enough` times, some such number."""
    if not ids or max(Counter(ids).values()) <= enough:  # each token of it would stand there as often
        return min(enough, len(ids))
    array, most = np.array(ids), 1
    for period in range(1, len(ids) // 2 + 1):
        same = np.concatenate([[False], array[period:] == array[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        longest = int((edges[1::2] - edges[::2]).max(initial=0))
        most = max(most, 1 + longest // period)
    return most


def allowed_repeats(source: Sequence[int]) -> int:
    """Of a translation: as many as its source has, and REPEATS in any case."""
    return max(REPEATS, repeats(source, REPEATS))


def repeats_endlessly(source: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a greedy translation is to be made again by `search`, which stops repetition."""
    most = allowed_repeats(source)
    return repeats(target, most) > most


def search(
    encoded: Arrays,
    step: Step,
    sources: Sequence[Sequence[int]],
    caps: Sequence[int],
    bos: int,
    eos: int,
    beam: Beam,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source, best first.

    `encoded` is what an encode graph gives of `sources`; `caps` bounds each translation, bos and eos included. No run
    of tokens comes more often in a row than `allowed_repeats`. A sentence is done, and its rows leave the batch, when
    `size` beams have come to an end, or no open one could still score better than the worst of its `n_best`. Where too
    few come to an end, those cut off at the cap follow them.
    """
    beams = [_Sentence(beam, cap) for cap in caps]
    limits = np.array([allowed_repeats(source) for source in sources])
    open_sentences = np.arange(len(sources))
    tokens = np.full((len(sources), 1, 1), bos)  # (B, K, T)
    scores = np.zeros((len(sources), 1))  # (B, K)
    tensors = dict(encoded)
    while len(open_sentences):
        n_beams = tokens.shape[1]
        rows = tokens.reshape(len(open_sentences) * n_beams, -1)
        given = dict(step({**tensors, "token": rows[:, -1]}))
        log_probs = given.pop("log_probs").astype(np.float64)
        _forbid_repeats(log_probs, rows, limits[open_sentences].repeat(n_beams))
        totals = scores[..., None] + log_probs.reshape(len(open_sentences), n_beams, -1)
        parents, following, best = _candidates(totals, 2 * beam.size)  # so many that eos cannot take all
        kept = np.stack(
            [
                beams[sentence].take(tokens[place], parents[place], following[place], best[place], eos)
                for place, sentence in enumerate(open_sentences)
            ]
        )
        stay = np.array([not beams[sentence].done for sentence in open_sentences])
        scores = np.where(kept < 0, -np.inf, np.take_along_axis(best, kept, axis=1))[stay]
        parents = np.take_along_axis(parents, kept, axis=1)[stay]
        following = np.take_along_axis(following, kept, axis=1)[stay]
        tokens = np.take_along_axis(tokens[stay], parents[..., None], axis=1)
        tokens = np.concatenate([tokens, following[..., None]], axis=2)
        origins = (np.flatnonzero(stay)[:, None] * n_beams + parents).ravel()  # rows that the new rows come from
        tensors.update({name.removeprefix(NEXT): each for name, each in given.items()})
        if not np.array_equal(origins, np.arange(len(rows))):
            tensors = {name: each[origins] for name, each in tensors.items()}
        open_sentences = open_sentences[stay]
    return [sentence.best() for sentence in beams]


def score(encoded: Arrays, step: Step, target: Sequence[int]) -> list[float]:
    """Log probability of each token of `target` but the first, those before it given; `encoded` is of one source."""
    tensors, scores = dict(encoded), []
    for token, following in pairwise(target):
        given = dict(step({**tensors, "token": np.array([token])}))
        scores.append(float(given.pop("log_probs")[0, following]))
        tensors.update({name.removeprefix(NEXT): each for name, each in given.items()})
    return scores


class _Sentence:
    """What one sentence has come to."""

    def __init__(self, beam: Beam, cap: int) -> None:
        self._beam, self._cap = beam, cap
        self._ended: list[Hypothesis] = []
        self._cut: list[Hypothesis] = []
        self.done = False

    def take(
        self,
        tokens: NDArray[np.int64],
        parents: NDArray[np.int64],
        following: NDArray[np.int64],
        scores: NDArray[np.float64],
        eos: int,
    ) -> NDArray[np.int64]:
        """Beams (K, T) and their candidates, best first -> which of them go on, (size,), -1 where there are too few."""
        length = tokens.shape[1]  # with the candidate, without bos
        divisor = self._beam.divisor(length)
        going: list[int] = []
        for index, (parent, token, score) in enumerate(zip(parents, following, scores, strict=True)):
            if not np.isfinite(score) or len(going) == self._beam.size:
                break
            if token != eos:
                going.append(index)
            elif index < self._beam.size:
                self._ended.append(Hypothesis(tuple(tokens[parent, 1:].tolist()), float(score / divisor)))
        if length + 1 == self._cap:
            whole = [(*tokens[parents[index], 1:].tolist(), int(following[index])) for index in going]
            cut = zip(whole, scores[going], strict=True)
            self._cut = [Hypothesis(ids, float(score / divisor)) for ids, score in cut]
        self._ended.sort(key=lambda each: -each.score)
        self.done = not going or length + 1 == self._cap or self._settled(float(scores[going[0]]))
        return np.array(going + [-1] * (self._beam.size - len(going)))

    def best(self) -> list[Hypothesis]:
        return (self._ended + self._cut)[: self._beam.n_best]

    def _settled(self, best_open: float) -> bool:
        """A score only falls, but its divisor grows up to the cap."""
        if len(self._ended) >= self._beam.size:
            return True
        if len(self._ended) < self._beam.n_best:
            return False
        return self._ended[self._beam.n_best - 1].score >= best_open / self._beam.divisor(self._cap - 1)


def _candidates(
    totals: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(B, K, V) -> the beams, tokens and scores of each sentence's best, (B, count) each; the first of equals first."""
    flat = totals.reshape(len(totals), -1)
    count = min(count, flat.shape[1])
    places: NDArray[np.int64] = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    best: NDArray[np.float64] = np.take_along_axis(flat, places, axis=1)
    order = np.lexsort((places, -best), axis=1)
    places, best = np.take_along_axis(places, order, axis=1), np.take_along_axis(best, order, axis=1)
    return places // totals.shape[2], places % totals.shape[2], best


def _forbid_repeats(log_probs: NDArray[np.float64], rows: NDArray[np.int64], limits: NDArray[np.int64]) -> None:
    """No chance for a token with which a run would stand once too often: log_probs (R, V), rows (R, T), limits (R,)."""
    length = rows.shape[1]
    for limit in np.unique(limits):
        chosen = np.flatnonzero(limits == limit)
        for period in range(1, (length + 1) // (limit + 1) + 1):
            tail = rows[chosen, length - ((limit + 1) * period - 1) :]
            at_limit = chosen[(tail[:, period:] == tail[:, :-period]).all(axis=1)]
            log_probs[at_limit, rows[at_limit, -period]] = -np.inf
