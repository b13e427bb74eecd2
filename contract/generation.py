"""How a character model is fed, and what its graphs are.

B words, T characters of a word with the end sign in front, V characters with the end sign.

- `score`: `words` (B, T), padded behind -> `log_probs` (B, T, V) of what comes after each character, and the state, in
  which the last T are cached: tensors of the architecture's own, B rows each.
- `step`: `token` (B,) and the state -> `next_log_probs` (B, V) of what comes after that, and the new state.

Rows are words' own, and computed each by itself: the same bits in any batch, and in `score` as in `step`.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.decoding import padded
from contract.graphs import NEXT, Graph, Tensor, expect
from contract.quoting import shown

END = 0
"""The id of what comes before a word and behind it; characters are from 1 on."""


@dataclass(frozen=True, slots=True)
class GenerateSpec:
    """A model of words over an `alphabet`, which looks back on `context` characters.

    `max_len` bounds what is generated, in characters.
    """

    alphabet: str
    context: int
    max_len: int

    def __post_init__(self) -> None:
        if not self.alphabet or "".join(sorted(set(self.alphabet))) != self.alphabet:
            raise ValueError(f"expected an alphabet of different characters in order, came {shown(self.alphabet)}")
        if self.context < 1 or self.max_len < 1:
            raise ValueError(f"expected context and max_len from 1 on, came {self.context} and {self.max_len}")

    @property
    def size(self) -> int:
        """Ids in all, V."""
        return len(self.alphabet) + 1

    @property
    def longest_row(self) -> int:
        """Of the lengths of inputs that differ from call to call: a word with the end sign in front."""
        return self.max_len + 1

    def bounds(self, name: str) -> tuple[int, int] | None:
        """The least and the greatest number of a graph's integers called `name`; None for other inputs."""
        return (0, self.size - 1) if name in ("words", "token") else None

    def check(self, graphs: Mapping[str, Graph]) -> None:
        """Raises ValueError if these are not the graphs of such a model."""
        if graphs.keys() != {"score", "step"}:
            raise ValueError(f"expected graphs score and step, came {', '.join(graphs) or 'none'}")
        score, step = graphs["score"], graphs["step"]
        state = score.outputs[1:]
        log_probs = Tensor("log_probs", "float32", (None, None, self.size))
        expect("score", score, (Tensor("words", "int64", (None, None)),), (log_probs, *state))
        following = (Tensor(NEXT + each.name, each.dtype, each.shape) for each in state)
        expect(
            "step",
            step,
            (Tensor("token", "int64", (None,)), *state),
            (Tensor(NEXT + "log_probs", "float32", (None, self.size)), *following),
        )

    def encode(self, word: str) -> list[int]:
        """Its ids, with the end sign in front. Raises ValueError at characters that are not in the alphabet."""
        ids = [self.alphabet.find(character) + 1 for character in normalized(word)]
        if END in ids:
            strange = dict.fromkeys(c for c, i in zip(normalized(word), ids, strict=True) if i == END)
            came = ", ".join(map(shown, list(strange)[:10]))
            raise ValueError(f"expected characters of {self.alphabet}, came {came}")
        return [END, *ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The characters of `ids`; the end sign says nothing."""
        return "".join(self.alphabet[each - 1] for each in ids if each != END)


def normalized(word: str) -> str:
    """As words are trained on and read: composed (NFC)."""
    return unicodedata.normalize("NFC", word)


State = list[NDArray[Any]]


class WordModel(Protocol):
    """The two graphs, or what computes the same."""

    def score(self, words: NDArray[np.int64]) -> tuple[NDArray[np.float32], State]: ...

    def step(self, token: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]: ...


def log_likelihoods(model: WordModel, encoded: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Of each word, its end sign included, (B,); `encoded` are ids with the end sign in front."""
    words = padded(encoded, END)
    log_probs, _ = model.score(words)
    following = np.roll(words, -1, axis=1)  # the end sign in front is behind, too
    told = np.take_along_axis(log_probs, following[..., None], axis=2)[..., 0].astype(np.float64)
    within = np.arange(words.shape[1]) < np.array([len(each) for each in encoded])[:, None]
    # one after the other, as characters are drawn: the same bits however much is padded
    return np.cumsum(told * within, axis=1)[:, -1]
