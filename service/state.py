"""What lives as long as the application, and how a route gets at it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from fastapi import FastAPI, Request

from service.decoder import Decoder
from service.engine.batching import RowPool
from service.engine.repository import LoadedBundle, Repository
from service.forecaster import Forecasters
from service.generator import Generators
from service.inference.statistics import Statistics
from service.keys import Keys
from service.metrics import Metrics
from service.settings import Settings
from service.translator import Translator, Translators


@dataclass(frozen=True, slots=True)
class State:
    """Built at start-up by the application's lifespan, and anew when other models are served."""

    settings: Settings
    repository: Repository
    pool: RowPool
    forecasters: Forecasters
    translators: Translators
    generators: Generators
    metrics: Metrics
    keys: Keys | None
    statistics: Statistics = field(default_factory=Statistics)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def of(
        cls, settings: Settings, repository: Repository, pool: RowPool, metrics: Metrics, keys: Keys | None
    ) -> "State":
        """What serves the models that the repository has loaded."""
        metrics.show_bundles(loaded.manifest for loaded in repository.loaded.values())
        forecasters, translators = Forecasters(repository, settings), Translators(_translators(repository), settings)
        generators = Generators(repository, settings)
        return cls(settings, repository, pool, forecasters, translators, generators, metrics, keys)


async def change_models(app: FastAPI, change: Callable[[Repository], None]) -> None:
    """Let `change` alter which models are loaded, one at a time, then serve these.

    Requests that run have what they began with.
    """
    state: State = app.state.seqcast
    async with state.changing:
        await asyncio.to_thread(change, state.repository)
        anew = State.of(state.settings, state.repository, state.pool, state.metrics, state.keys)
        app.state.seqcast = replace(anew, statistics=state.statistics, changing=state.changing)


def state_of(request: Request) -> State:
    state: State = request.app.state.seqcast
    return state


def _translators(repository: Repository) -> Iterator[Translator]:
    """The one that was best when it was exported first."""
    for loaded in sorted(repository.loaded.values(), key=_bleu, reverse=True):
        if loaded.vocabularies is not None:
            manifest, spec = loaded.manifest, loaded.manifest.translate_spec
            decoder = Decoder(loaded.sessions, spec, loaded.vocabularies)
            yield Translator(manifest.name, manifest.version, spec, loaded.vocabularies, decoder)


def _bleu(loaded: LoadedBundle) -> float:
    bleu = loaded.manifest.metrics.get("bleu")
    return float(bleu) if isinstance(bleu, int | float) else 0.0
