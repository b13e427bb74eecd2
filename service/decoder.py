"""Source tokens in, target tokens out: the decoding half of a translation, on a bundle's graphs."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.decoding import Beam, Hypothesis, padded, repeats_endlessly, score, search, stripped
from contract.text import Vocabulary
from contract.translation import TranslateSpec
from service.engine.admission import Passage
from service.engine.session import Session

GREEDY_BATCH = 32
"""Sentences translated at a time: more gains nothing on a CPU, and makes others wait."""
BEAM_BATCH = 8

T = TypeVar("T")


class Decoder:
    """Translates token ids, as Vocabulary.encode gives them; sources have at most the spec's `max_len`."""

    def __init__(
        self, sessions: Mapping[str, Session], spec: TranslateSpec, vocabularies: tuple[Vocabulary, Vocabulary]
    ) -> None:
        self._sessions, self._spec = sessions, spec
        self._source, self._target = vocabularies
        self._special = {self._target.pad, self._target.bos, self._target.eos}

    async def greedy(self, sources: Sequence[Sequence[int]], passage: Passage) -> list[list[int]]:
        """Each source's likeliest next token, again and again; special tokens are left out.

        Where that would go on repeating itself, the next likeliest token that does not.
        """
        found = await self._in_batches(sources, GREEDY_BATCH, self._greedy, passage)
        endless = [i for i, source in enumerate(sources) if repeats_endlessly(source, found[i])]
        mended = await self.beam([sources[i] for i in endless], passage, n_best=1, beam_size=1)
        for index, (hypothesis,) in zip(endless, mended, strict=True):
            found[index] = list(hypothesis.ids)
        return found

    async def beam(
        self, sources: Sequence[Sequence[int]], passage: Passage, *, n_best: int, beam_size: int
    ) -> list[list[Hypothesis]]:
        """The `n_best` translations of each source, best first; fewer where there are no more."""
        beam = Beam(beam_size, n_best)
        return await self._in_batches(sources, BEAM_BATCH, lambda batch: self._search(batch, beam), passage)

    async def score(self, source: Sequence[int], target: Sequence[int], passage: Passage) -> list[float]:
        """Log probability of each token of `target`, and of eos behind them."""
        (scores,) = await passage.spread([partial(self._score, source, target)], [1])
        return scores

    def map_weights(self, source_len: int, target_len: int) -> int:
        """How many numbers `maps` gives for so many tokens, bos of the target included; 0 if there are no maps."""
        if "attention" not in self._sessions:
            return 0
        sides = {"encoder_maps": (source_len,) * 2, "decoder_maps": (target_len,) * 2}
        maps = self._sessions["attention"].shapes.items()
        return sum(
            math.prod(filter(None, shape)) * math.prod(sides.get(name, (target_len, source_len)))
            for name, shape in maps
        )

    async def maps(
        self, source: Sequence[int], target: Sequence[int], passage: Passage
    ) -> dict[str, NDArray[np.float32]]:
        """Attention maps by kind, "encoder", "decoder" and "cross", each (layers, H, queries, keys); {} if none.

        `target` is without special tokens; the maps have bos in front of it, and in row i of "decoder" and "cross" what
        was looked at to find the token behind position i.
        """
        if "attention" not in self._sessions:
            return {}
        inputs = {"source": np.array([source]), "target": np.array([[self._target.bos, *target]])}
        maps = await passage.run(self._sessions["attention"], inputs)
        return {name.removesuffix("_maps"): each[0] for name, each in maps.items()}

    async def _in_batches(
        self,
        sources: Sequence[Sequence[int]],
        size: int,
        work: Callable[[list[Sequence[int]]], list[T]],
        passage: Passage,
    ) -> list[T]:
        """`work` on batches of similar length, spread over the pool's threads; results in the order of `sources`."""
        order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
        size = min(size, math.ceil(len(sources) / passage.threads)) or 1
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        found: dict[int, T] = {}
        batches.reverse()
        jobs = [partial(work, [sources[i] for i in batch]) for batch in batches]
        for batch, results in zip(batches, await passage.spread(jobs, [len(batch) for batch in batches]), strict=True):
            found.update(zip(batch, results, strict=True))
        return [found[index] for index in range(len(sources))]

    def _greedy(self, sources: list[Sequence[int]]) -> list[list[int]]:
        inputs = {"source": padded(sources, self._source.pad), "caps": np.array(self._caps(sources))}
        return stripped(self._sessions["greedy"].run(inputs)["target"], self._special)

    def _search(self, sources: list[Sequence[int]], beam: Beam) -> list[list[Hypothesis]]:
        encoded = self._sessions["encode"].run({"source": padded(sources, self._source.pad)})
        step, bos, eos = self._sessions["step"].run, self._target.bos, self._target.eos
        return search(encoded, step, sources, self._caps(sources), bos, eos, beam)

    def _score(self, source: Sequence[int], target: Sequence[int]) -> list[float]:
        encoded = self._sessions["encode"].run({"source": np.array([source])})
        return score(encoded, self._sessions["step"].run, [self._target.bos, *target, self._target.eos])

    def _caps(self, sources: Sequence[Sequence[int]]) -> list[int]:
        return [self._spec.longest(len(source)) for source in sources]
