"""Words drawn character by character: the same for a seed and an index, whatever else is drawn beside them.

B words, V characters with the end sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.generation import END, GenerateSpec, WordModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Probabilities are raised to the power 1 / `temperature`, and of them the `top_k` largest kept, or all.

    Of two that are equal the first in the alphabet is kept. `top_k` 1 takes the likeliest character.
    """

    seed: int
    temperature: float = 1.0
    top_k: int | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A word, prompt included, and its log likelihood under the model itself, at temperature 1, end sign included.

    One that has not `ended` was cut at max_len, and its log likelihood is without the end sign.
    """

    word: str
    log_likelihood: float
    ended: bool


def draw_words(
    model: WordModel, spec: GenerateSpec, prompt: Sequence[int], indices: range, sampling: Sampling
) -> list[Drawn]:
    """The words of these indices. `prompt` has the end sign in front, and fewer than max_len characters behind it."""
    left = spec.max_len - (len(prompt) - 1)
    numbers = uniforms(sampling.seed, indices, left)
    ids = np.zeros((len(indices), left), np.int64)
    log_probs, state = model.score(np.array([prompt]))
    begun = sum(float(log_probs[0, place, following]) for place, following in enumerate(prompt[1:]))
    log_likelihood = np.full(len(indices), begun, np.float64)
    log_probs = log_probs[:, -1].repeat(len(indices), axis=0)
    state = [each.repeat(len(indices), axis=0) for each in state]
    rows = np.arange(len(indices))
    for place in range(left):
        chosen = choose(log_probs, numbers[rows, place], sampling)
        log_likelihood[rows] += log_probs[np.arange(len(rows)), chosen].astype(np.float64)
        ids[rows, place] = chosen
        going_on = np.flatnonzero(chosen != END)
        rows = rows[going_on]
        if len(rows) == 0:
            break
        if place + 1 < left:
            log_probs, state = model.step(chosen[going_on], [each[going_on] for each in state])
    began = spec.decode(prompt)
    return [
        Drawn(began + spec.decode(word), float(total), END in word)
        for word, total in zip(ids.tolist(), log_likelihood, strict=True)
    ]


def choose(log_probs: NDArray[np.float32], drawn: Floats, sampling: Sampling) -> NDArray[np.int64]:
    """An id for each row: (B, V), `drawn` (B,) from 0 to below 1 -> (B,).

    Rows are computed each by itself, bit for bit the same in any batch.
    """
    logits = log_probs.astype(np.float64) / sampling.temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    if sampling.top_k is not None:
        # a stable sort of what falls: the first of equals comes first
        dropped = np.argsort(-logits, axis=1, kind="stable")[:, sampling.top_k :]
        np.put_along_axis(weights, dropped, 0.0, axis=1)
    cumulated = np.cumsum(weights, axis=1)
    chosen: NDArray[np.int64] = (cumulated <= drawn[:, None] * cumulated[:, -1:]).sum(axis=1)
    return chosen


def uniforms(seed: int, indices: range, length: int) -> Floats:
    """(len(indices), length) numbers from 0 to below 1; each row is Philox's (Salmon et al. 2011), keyed by its index.

    Made of the raw stream, which numpy promises never to change, as `random` makes them.
    """
    rows = [np.random.Philox(key=np.array([seed, index], np.uint64)).random_raw(length) for index in indices]
    bits = np.array(rows, np.uint64).reshape(len(indices), length) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53
