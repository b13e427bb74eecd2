"""Words drawn and scored by a character model: choose, check, and run it in small jobs."""

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyRequest, NotReady
from contract.generation import GenerateSpec, State, log_likelihoods
from contract.quoting import shown
from contract.sampling import Sampling, draw_words
from service.engine.admission import Passage
from service.engine.repository import LoadedBundle, Served
from service.engine.session import Session
from service.faults import MOST_FAULTS, faults_of
from service.schemas import GenerateRequest
from service.settings import Settings
from service.tally import tally
from service.turns import Turns

DRAWN = 32
"""Words of one job: a few milliseconds, so that others do not wait long behind a large request."""
SCORED = 512
"""Characters of one job, padding included."""
_DIGITS = 6


class Generators:
    """The generators of the bundles served."""

    def __init__(self, served: Served, settings: Settings) -> None:
        self._served = served
        self._made = {
            loaded: Generator(loaded, settings) for loaded in served.all if loaded.manifest.generate is not None
        }
        self._newest = [self._made[loaded] for loaded in served.newest if loaded in self._made]

    def choose(self, request: GenerateRequest) -> "Generator":
        """The one named, or the only one.

        Raises UnknownModel, FaultyRequest if the request leaves the choice open, NotReady if there is none.
        """
        if request.model is not None:
            loaded = self._served.get(request.model)
            _ = loaded.manifest.generate_spec  # of another task, it is no model of ours
            candidates = [self._made[loaded]]
        else:
            candidates = self._newest
        if not candidates:
            raise NotReady("no bundle that generates is served; /readyz tells why")
        if len(candidates) > 1:
            names = ", ".join(each.manifest.name for each in candidates)
            raise FaultyRequest([Fault("/model", f"required, to be one of {names}")])
        chosen = candidates[0].manifest
        tally().chose(chosen.name, chosen.version)
        return candidates[0]

    async def faults(self, request: GenerateRequest) -> list[Fault]:
        """What is wrong with the content of a request, as far as its model can be told."""
        return await faults_of(lambda: self.choose(request).check(request))


class Generator:
    """Serves one bundle that generates."""

    def __init__(self, loaded: LoadedBundle, settings: Settings) -> None:
        self._settings = settings
        self.manifest = loaded.manifest
        self.spec = loaded.manifest.generate_spec
        self._graphs = Graphs(loaded.sessions)

    async def answer(self, request: GenerateRequest, passage: Passage) -> dict[str, Any]:
        """As GenerateResponse describes it. Raises QueueFull, and FaultyRequest with every fault."""
        count = min(request.count, self._settings.max_generated)  # less than the default may be allowed
        passage.enter(self.manifest.name, count if request.score is None else len(request.score))
        encoded = await self.check(request)
        head = {"model": self.manifest.name, "version": self.manifest.version}
        if request.score is not None:
            return {**head, "scores": await self._score(request.score, encoded, passage)}
        seed = request.seed if request.seed is not None else secrets.randbits(32)
        sampling = Sampling(seed, request.temperature, request.top_k)
        blocks = [range(start, min(start + DRAWN, count)) for start in range(0, count, DRAWN)]
        jobs = [partial(draw_words, self._graphs, self.spec, encoded[0], block, sampling) for block in blocks]
        drawn = await passage.spread(jobs, [len(block) for block in blocks])
        return {
            **head,
            "seed": seed,
            "generated": [
                {"text": each.word, "log_likelihood": round(each.log_likelihood, _DIGITS), "ended": each.ended}
                for words in drawn
                for each in words
            ],
        }

    async def check(self, request: GenerateRequest) -> list[list[int]]:
        """The ids of the prompt, or of what is to be scored. Raises FaultyRequest with every fault."""
        faults = [*self._range_faults(request), *_mixed_faults(request)]
        texts = [request.prompt] if request.score is None else request.score
        most = self.spec.max_len - 1 if request.score is None else self._settings.max_text_chars
        encoded, turns = [], Turns()
        for index, text in enumerate(texts[: self._settings.max_generated]):
            try:
                encoded.append(_encode(text, self.spec, most))
            except ValueError as error:
                faults.append(Fault("/prompt" if request.score is None else f"/score/{index}", str(error)))
            if len(faults) > MOST_FAULTS:
                break
            await turns.pause()
        if faults:
            raise FaultyRequest(faults)
        return encoded

    def _range_faults(self, request: GenerateRequest) -> list[Fault]:
        most, faults = self._settings.max_generated, []
        if request.count > most and "count" in request.model_fields_set:
            faults.append(Fault("/count", f"expected 1 to {most}, came {shown(request.count)}"))
        if request.score is not None and len(request.score) > most:
            faults.append(Fault("/score", f"expected up to {most} texts, came {len(request.score)}"))
        size = sum(len(text) for text in request.score or () if isinstance(text, str))
        if size > self._settings.max_chars:
            faults.append(Fault("/score", f"expected up to {self._settings.max_chars} characters, came {size}"))
        if request.top_k is not None and request.top_k > self.spec.size:
            message = f"expected 1 to {self.spec.size}, the characters and the end sign, came {shown(request.top_k)}"
            faults.append(Fault("/top_k", message))
        return faults

    async def _score(
        self, texts: Sequence[str], encoded: Sequence[Sequence[int]], passage: Passage
    ) -> list[dict[str, Any]]:
        # of one length side by side: little of a job is padding
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        blocks: list[list[int]] = []
        while order:
            rows = max(1, SCORED // len(encoded[order[-1]]))
            order, chosen = order[:-rows], order[-rows:]
            blocks.append(chosen)
        jobs = [partial(log_likelihoods, self._graphs, [encoded[index] for index in block]) for block in blocks]
        found: dict[int, float] = {}
        for block, each in zip(blocks, await passage.spread(jobs, [len(block) for block in blocks]), strict=True):
            found.update(zip(block, each.tolist(), strict=True))
        return [{"text": text, "log_likelihood": round(found[index], _DIGITS)} for index, text in enumerate(texts)]


class Graphs:
    """A WordModel of a bundle's sessions."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._score, self._step = sessions["score"], sessions["step"]

    def score(self, words: NDArray[np.int64]) -> tuple[NDArray[np.float32], State]:
        log_probs, *state = self._score.run({"words": words}).values()
        return log_probs, state

    def step(self, token: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        names = [name for name in self._step.inputs if name != "token"]
        log_probs, *following = self._step.run({"token": token, **dict(zip(names, state, strict=True))}).values()
        return log_probs, following


def _encode(text: Any, spec: GenerateSpec, most: int) -> list[int]:
    """Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"expected a text, came {shown(text)}")
    if len(text) > most:
        raise ValueError(f"expected up to {most} characters, came {len(text)}")
    return spec.encode(text)


def _mixed_faults(request: GenerateRequest) -> list[Fault]:
    """Fields that say how to draw, beside texts to score."""
    if request.score is None:
        return []
    drawing = ("prompt", "count", "temperature", "top_k", "seed")
    return [
        Fault(f"/{name}", "expected none beside score, for which nothing is drawn")
        for name in drawing
        if name in request.model_fields_set
    ]


def sample_request(loaded: LoadedBundle) -> dict[str, Any]:
    """A body for POST /generate."""
    return {"model": loaded.manifest.name, "count": 10, "temperature": 1.0, "seed": 7}
