"""Source tokens in, target tokens out: the decoding half of a translation, on a bundle's graphs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contract.decoding import Hypothesis, padded, stripped
from contract.text import Vocabulary
from contract.translation import TranslateSpec
from service.engine.batching import RowPool
from service.engine.repository import LoadedBundle

BATCH = 32
"""Sentences translated at a time: more gains nothing on a CPU, and makes others wait."""


class Decoder:
    """Translates token ids, as Vocabulary.encode gives them; sources have at most the spec's `max_len`."""

    def __init__(self, loaded: LoadedBundle, spec: TranslateSpec, source: Vocabulary, target: Vocabulary) -> None:
        self._sessions = loaded.sessions
        self._spec = spec
        self._source, self._target = source, target
        self._special = {target.pad, target.bos, target.eos}

    async def greedy(self, sources: Sequence[Sequence[int]], pool: RowPool) -> list[list[int]]:
        """Each source's likeliest next token, again and again; special tokens are left out."""
        order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            inputs = {
                "source": padded([sources[i] for i in chosen], self._source.pad),
                "caps": np.array([self._spec.longest(len(sources[i])) for i in chosen]),
            }
            target = (await pool.run_whole(self._sessions["greedy"], inputs))["target"]
            found.update(zip(chosen, stripped(target, self._special), strict=True))
        return [found[index] for index in range(len(sources))]

    async def beam(
        self, sources: Sequence[Sequence[int]], pool: RowPool, *, n_best: int, beam_size: int
    ) -> list[list[Hypothesis]]:
        """The `n_best` translations of each source, best first."""
        raise NotImplementedError

    async def maps(self, source: Sequence[int], target: Sequence[int], pool: RowPool) -> dict[str, NDArray[np.float32]]:
        """Attention maps by kind, "encoder", "decoder" and "cross", each (layers, H, queries, keys); {} if none.

        `target` is without special tokens; the maps have bos in front of it, and in row i of "decoder" and "cross" what
        was looked at to find the token behind position i.
        """
        if "attention" not in self._sessions:
            return {}
        inputs = {"source": np.array([source]), "target": np.array([[self._target.bos, *target]])}
        maps = await pool.run_whole(self._sessions["attention"], inputs)
        return {name.removesuffix("_maps"): each[0] for name, each in maps.items()}
