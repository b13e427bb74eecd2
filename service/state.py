"""What lives as long as the application, and how a route gets at it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fastapi import FastAPI, Request

from contract.errors import TooLate
from service.decoder import Decoder
from service.engine.admission import Lines, Passage
from service.engine.repository import LoadedBundle, Repository, Served
from service.forecaster import Forecasters
from service.generator import Generators
from service.inference.statistics import Statistics
from service.keys import Keys
from service.loader import Change, Loader
from service.metrics import Metrics
from service.settings import Settings
from service.translator import Translator, Translators

log = logging.getLogger(__name__)

PASSAGE = "seqcast.passage"
"""Of a request's scope."""


@dataclass(frozen=True, slots=True)
class State:
    """Built at start-up by the application's lifespan, and anew when other models are served."""

    settings: Settings
    loader: Loader
    served: Served
    """What its repository served when this was made: it goes on to load others."""
    lines: Lines
    forecasters: Forecasters
    translators: Translators
    generators: Generators
    metrics: Metrics
    keys: Keys | None
    statistics: Statistics = field(default_factory=Statistics)

    @classmethod
    def of(cls, settings: Settings, loader: Loader, lines: Lines, metrics: Metrics, keys: Keys | None) -> "State":
        """What serves the models that the loader's repository has loaded."""
        served = loader.repository.served
        manifests = (loaded.manifest for loaded in served.all)
        metrics.show_bundles(manifests, served.failures, ready=not served.complaints())
        forecasters, translators = Forecasters(served, settings), Translators(_translators(served), settings)
        generators = Generators(served, settings)
        return cls(settings, loader, served, lines, forecasters, translators, generators, metrics, keys)


async def change_models(app: FastAPI, change: Change) -> None:
    """Let `change` alter which models are loaded, one at a time, then serve these, also if it raised.

    Requests that run have what they began with. Raises TooLate if it takes longer than a request may; it goes on.
    """
    seconds = app.state.seqcast.settings.timeout_s
    try:
        async with asyncio.timeout(seconds):
            # to its end, though who asked for it leaves: a thread cannot be stopped
            await asyncio.shield(_change(app, change))
    except TimeoutError:
        raise TooLate(f"not done within {seconds:g} s; it goes on") from None


async def _change(app: FastAPI, change: Change) -> None:
    state: State = app.state.seqcast
    try:
        await state.loader.run(change)
    finally:
        if state.loader.repository.served is not app.state.seqcast.served:
            anew = State.of(state.settings, state.loader, state.lines, state.metrics, state.keys)
            app.state.seqcast = replace(anew, statistics=state.statistics)


@asynccontextmanager
async def follow_folder(app: FastAPI) -> AsyncIterator[None]:
    """Serve what comes, changes and goes in the bundles' folder meanwhile."""
    seconds = app.state.seqcast.settings.watch_s

    async def follow() -> None:
        told = ""
        while seconds:
            await asyncio.sleep(seconds)
            try:
                await _change(app, Repository.follow)
                told = ""
            except Exception as error:  # the next look may go well
                if told != (told := f"{type(error).__name__}: {error}"):
                    log.exception("a look for new versions failed")

    watching = asyncio.create_task(follow())
    try:
        yield
    finally:
        watching.cancel()
        await app.state.seqcast.loader.close()


def state_of(request: Request) -> State:
    state: State = request.app.state.seqcast
    return state


def passage_of(request: Request) -> Passage:
    """That which the gate gave the request."""
    passage: Passage = request.scope[PASSAGE]
    return passage


def _translators(served: Served) -> Iterator[Translator]:
    """The one that was best when it was exported first; of each name the newest version before the others."""
    for versions in sorted(served.loaded.values(), key=lambda versions: _bleu(versions[0]), reverse=True):
        for loaded in versions:
            if loaded.vocabularies is not None:
                manifest, spec = loaded.manifest, loaded.manifest.translate_spec
                decoder = Decoder(loaded.sessions, spec, loaded.vocabularies)
                yield Translator(manifest.name, manifest.version, spec, loaded.vocabularies, decoder)


def _bleu(loaded: LoadedBundle) -> float:
    bleu = loaded.manifest.metrics.get("bleu")
    return float(bleu) if isinstance(bleu, int | float) else 0.0
