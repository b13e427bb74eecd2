"""What lives as long as the application, and how a route gets at it."""

from dataclasses import dataclass

from fastapi import Request

from service.engine.batching import RowPool
from service.engine.repository import Repository
from service.forecaster import Forecasters
from service.generator import Generators
from service.keys import Keys
from service.metrics import Metrics
from service.settings import Settings
from service.translator import Translators


@dataclass(frozen=True, slots=True)
class State:
    """Built at start-up by the application's lifespan."""

    settings: Settings
    repository: Repository
    pool: RowPool
    forecasters: Forecasters
    translators: Translators
    generators: Generators
    metrics: Metrics
    keys: Keys | None


def state_of(request: Request) -> State:
    state: State = request.app.state.seqcast
    return state
