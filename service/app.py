"""The application: settings in, ASGI out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from service.engine.admission import Limits, Lines
from service.engine.gathering import choose_pool
from service.engine.repository import Repository
from service.engine.session import choose_device
from service.errors import add_error_handlers
from service.gate import Endpoint, Gate
from service.keys import Keys
from service.loader import Loader, load_at_start
from service.metrics import Metrics
from service.openapi import add_components
from service.routes import backtest, forecast, generate, health, inference, models, playground, translate, v2
from service.routes.guard import OPEN, guard, guarded
from service.settings import Settings
from service.state import State, follow_folder
from service.traces import telemetry
from service.watch import Watch

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Raises NotReady if the device asked for is not there, FaultySettings if the file of API keys cannot be read."""
    device = choose_device(*settings.device_wanted)
    keys = Keys(settings.api_keys) if settings.api_keys is not None else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        repository = Repository(settings.bundles, device, settings.versions)
        load_at_start(repository)
        pool = choose_pool(device, settings.threads, settings.cuda_gather_ms / 1000, metrics.batch)
        log.info("%d threads compute on %s", pool.threads, device)
        limits = Limits(pool.threads * settings.max_queue_requests, settings.max_queue_rows, settings.max_queue_bytes)
        lines = Lines(pool, limits)
        loader = Loader(repository)
        metrics.show_engine(str(device), lines, loader.busy_s)
        app.state.seqcast = State.of(settings, loader, lines, metrics, keys)
        async with follow_folder(app):
            yield
        # in a thread: what was cut off is answered meanwhile
        await asyncio.to_thread(pool.close)

    metrics = Metrics()
    # the offline variant brings the scripts of /docs along, instead of pointing to a CDN
    app = FastAPIOffline(
        title="seqcast",
        version=version("seqcast"),
        summary="Trained sequence models behind one REST service",
        lifespan=lifespan,
        redoc_url=None,
        dependencies=[] if keys is None else [Depends(guard)],
        telemetry=telemetry(),
    )
    for routes in (forecast, backtest, translate, generate, models, inference, v2, health, playground):
        app.include_router(routes.router)
    app.mount("/playground", playground.files)
    endpoints: dict[str, Endpoint] = {
        "/forecast": forecast.forecast,
        "/backtest": backtest.backtest,
        "/translate": translate.translate,
        "/generate": generate.generate,
    }
    if keys is not None:
        endpoints = {path: guarded(endpoint) for path, endpoint in endpoints.items()}
    app.add_middleware(Gate, endpoints=endpoints)
    app.add_middleware(Watch, metrics=metrics)
    add_error_handlers(app)
    add_components(app, None if keys is None else OPEN)
    return app
