"""The Open Inference Protocol v2, but for inference itself: health, metadata, statistics, loading and unloading."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from contract.errors import Fault, FaultyRequest
from contract.quoting import shown
from service.inference.model import choose_model, models_of
from service.inference.schemas import InferenceProblem
from service.openapi import problems
from service.routes.body import json_response, read_body
from service.state import change_models, state_of

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
_MEMORY = "shared memory: send and ask for tensors in the body"
_TRACE = "trace settings: GET /metrics and the statistics of models tell times"
_UNSUPPORTED = {
    "/systemsharedmemory/{rest:path}": _MEMORY,
    "/cudasharedmemory/{rest:path}": _MEMORY,
    "/trace/setting": _TRACE,
    "/models/{name}/trace/setting": _TRACE,
    "/logging": "log settings: SEQCAST_LOG_LEVEL sets the level at the start",
}
"""Of Triton's extensions."""
_ERRORS = problems(400, 404, schema=InferenceProblem)
_CHANGED = problems(400, 404, 413, 415, 503, 504, schema=InferenceProblem)

router = APIRouter(prefix="/v2", tags=["open inference protocol"])


@router.get("")
async def server() -> dict[str, Any]:
    """Name, version, and the extensions that are spoken."""
    return {"name": "seqcast", "version": version("seqcast"), "extensions": EXTENSIONS}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get("/health/ready", responses=problems(400, schema=InferenceProblem))
async def ready(request: Request) -> Response:
    """As `/readyz`; 400 if not, as the protocol asks."""
    served = state_of(request).served
    complaints = [*served.complaints(), *await asyncio.to_thread(served.examine)]
    if complaints:
        content = {"ready": False, "error": "; ".join(complaints)}
        return Response(orjson.dumps(content), 400, media_type="application/json")
    return json_response({"ready": True})


@router.get("/models/stats")
async def all_statistics(request: Request) -> dict[str, Any]:
    """Counts and times of every graph that is served."""
    state = state_of(request)
    models = [model for loaded in state.served.all for model in models_of(state.served, loaded)]
    return {"model_stats": [state.statistics.of(model) for model in models]}


@router.get("/models/{name}", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}", responses=_ERRORS)
async def metadata(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Tensors of a bundle's main graph, or of another one by name@graph."""
    return choose_model(state_of(request).served, name, version).metadata()


@router.get("/models/{name}/ready", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/ready", responses=_ERRORS)
async def model_ready(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """It is loaded and gave its golden outputs."""
    return {"name": choose_model(state_of(request).served, name, version).name, "ready": True}


@router.get("/models/{name}/config", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/config", responses=_ERRORS)
async def config(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """The configuration, in Triton's words."""
    state = state_of(request)
    return choose_model(state.served, name, version).config(state.loader.repository.keep)


@router.get("/models/{name}/stats", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/stats", responses=_ERRORS)
async def statistics(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Counts and times since the service started, in nanoseconds, of every version that is served or of one.

    `queue` is until a request's first row is begun, `compute_infer` from there to the end of its last.
    """
    state = state_of(request)
    models = [choose_model(state.served, name, version)]
    if version is None and ":" not in name:
        models = [choose_model(state.served, name, each) for each in models[0].versions]
    return {"model_stats": [state.statistics.of(each) for each in models]}


@router.post("/repository/index", responses=problems(400, 413, 415, schema=InferenceProblem))
async def index(request: Request) -> list[dict[str, Any]]:
    """Every version in the folder at the last look: READY, with its graphs, or UNAVAILABLE, and why.

    The latter are not told with `{"ready": true}`.
    """
    wanted = await _fields(request)
    only_ready = wanted.get("ready", False)
    if not isinstance(only_ready, bool):
        raise FaultyRequest([Fault("/ready", f"expected true or false, came {shown(only_ready)}")])
    state = state_of(request)
    served = state.served
    reasons = {(each.name, each.version): each.reason for each in served.failures}
    told = [
        {"name": model.name, "version": model.version, "state": "READY", "reason": ""}
        for loaded in served.all
        for model in models_of(served, loaded)
    ]
    if only_ready:
        return told
    for name, versions in state.loader.repository.found.versions.items():
        ready = [loaded.manifest.version for loaded in served.loaded.get(name, ())]
        otherwise = f"served: {', '.join(map(str, ready))}" if ready else "unloaded"
        told += [
            {
                "name": name,
                "version": str(each),
                "state": "UNAVAILABLE",
                "reason": reasons.get((name, each), otherwise),
            }
            for each in versions
            if each not in ready
        ]
    return told


@router.post("/repository/models/{name}/load", response_class=Response, responses=_CHANGED)
async def load(request: Request, name: str) -> Response:
    """Load the newest sound versions in the bundle's folder anew; requests that run end with what they began with.

    If none is sound, what is served stays.
    """
    given = (await _fields(request)).get("parameters") or {}
    if given:
        message = "not supported: a bundle is loaded as it is in its folder"
        raise FaultyRequest([Fault(f"/parameters/{each}", message) for each in given])
    await change_models(request.app, lambda repository: repository.load_one(name))
    return Response()


@router.post("/repository/models/{name}/unload", response_class=Response, responses=_CHANGED)
async def unload(request: Request, name: str) -> Response:
    """Serve no version of the bundle, until it is loaded or a newer one comes; requests that run end with it."""
    await _fields(request)
    await change_models(request.app, lambda repository: repository.unload(name))
    return Response()


def _refuse(what: str) -> Callable[[], Awaitable[None]]:
    async def refuse() -> None:
        raise FaultyRequest([Fault("", f"not supported: {what}")])

    return refuse


for _path, _what in _UNSUPPORTED.items():
    router.add_api_route(_path, _refuse(_what), methods=["GET", "POST"], include_in_schema=False)


async def _fields(request: Request) -> dict[str, Any]:
    """A body that may be empty, with `parameters` an object if it has them. Raises FaultyRequest, BodyTooLarge."""
    body = await read_body(request, min(state_of(request).settings.max_body_bytes, 2**20))
    try:
        fields = orjson.loads(body) if body.strip() else {}
    except ValueError as error:
        raise FaultyRequest([Fault("", f"expected JSON, or an empty body: {error}")]) from None
    if not isinstance(fields, dict) or not isinstance(fields.get("parameters") or {}, dict):
        raise FaultyRequest([Fault("", f"expected an object, came {shown(fields)}")])
    return fields
