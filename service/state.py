"""What lives as long as the application, and how a route gets at it."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fastapi import FastAPI, Request

from service.decoder import Decoder
from service.engine.admission import Lines, Passage
from service.engine.repository import LoadedBundle, Repository, Served
from service.forecaster import Forecasters
from service.generator import Generators
from service.inference.statistics import Statistics
from service.keys import Keys
from service.metrics import Metrics
from service.settings import Settings
from service.translator import Translator, Translators

log = logging.getLogger(__name__)

PASSAGE = "seqcast.passage"
"""Of a request's scope."""
NICE = 10
"""Of the thread that loads: beside requests it gets a tenth of a core."""


def _loader() -> ThreadPoolExecutor:
    """A thread that steps back behind those which compute."""

    def step_back() -> None:
        if sys.platform == "linux":  # elsewhere a priority is the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)

    return ThreadPoolExecutor(1, thread_name_prefix="seqcast-loader", initializer=step_back)


@dataclass(frozen=True, slots=True)
class State:
    """Built at start-up by the application's lifespan, and anew when other models are served."""

    settings: Settings
    repository: Repository
    served: Served
    """What the repository served when this was made: it goes on to load others."""
    lines: Lines
    forecasters: Forecasters
    translators: Translators
    generators: Generators
    metrics: Metrics
    keys: Keys | None
    statistics: Statistics = field(default_factory=Statistics)
    loader: ThreadPoolExecutor = field(default_factory=_loader)
    """Its one thread alone changes the repository."""

    @classmethod
    def of(
        cls, settings: Settings, repository: Repository, lines: Lines, metrics: Metrics, keys: Keys | None
    ) -> "State":
        """What serves the models that the repository has loaded."""
        served = repository.served
        manifests = (loaded.manifest for loaded in served.all)
        metrics.show_bundles(manifests, served.failures, ready=not served.complaints())
        forecasters, translators = Forecasters(served, settings), Translators(_translators(served), settings)
        generators = Generators(served, settings)
        return cls(settings, repository, served, lines, forecasters, translators, generators, metrics, keys)


async def change_models(app: FastAPI, change: Callable[[Repository], None]) -> None:
    """Let `change` alter which models are loaded, one at a time, then serve these, also if it raised.

    Requests that run have what they began with.
    """
    # to its end, though who asked for it leaves: a thread cannot be stopped
    await asyncio.shield(_change(app, change))


async def _change(app: FastAPI, change: Callable[[Repository], None]) -> None:
    state: State = app.state.seqcast
    try:
        await asyncio.get_running_loop().run_in_executor(state.loader, change, state.repository)
    finally:
        if state.repository.served is not app.state.seqcast.served:
            anew = State.of(state.settings, state.repository, state.lines, state.metrics, state.keys)
            app.state.seqcast = replace(anew, statistics=state.statistics, loader=state.loader)


@asynccontextmanager
async def follow_folder(app: FastAPI) -> AsyncIterator[None]:
    """Serve what comes, changes and goes in the bundles' folder meanwhile."""
    seconds = app.state.seqcast.settings.watch_s

    async def follow() -> None:
        while seconds:
            await asyncio.sleep(seconds)
            await change_models(app, Repository.follow)

    watching = asyncio.create_task(follow())
    watching.add_done_callback(_complain)
    try:
        yield
    finally:
        watching.cancel()
        app.state.seqcast.loader.shutdown(wait=False, cancel_futures=True)


def _complain(watching: asyncio.Task[None]) -> None:
    if not watching.cancelled() and (error := watching.exception()) is not None:
        log.error("new versions are watched for no more", exc_info=error)


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
