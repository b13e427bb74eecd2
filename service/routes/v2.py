"""The Open Inference Protocol v2, but for inference itself: health, metadata, statistics, loading and unloading."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from contract.bundle import bundle_versions
from contract.errors import Fault, FaultyRequest
from service.inference.model import choose_model, models_of
from service.inference.schemas import InferenceProblem
from service.openapi import problems
from service.routes.body import json_response, read_body
from service.schemas import shown
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
_CHANGED = problems(400, 404, 413, schema=InferenceProblem)

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
    repository = state_of(request).repository
    complaints = [*repository.complaints(), *await asyncio.to_thread(repository.examine)]
    if complaints:
        content = {"ready": False, "error": "; ".join(complaints)}
        return Response(orjson.dumps(content), 400, media_type="application/json")
    return json_response({"ready": True})


@router.get("/models/stats")
async def all_statistics(request: Request) -> dict[str, Any]:
    """Counts and times of every graph that is served."""
    state = state_of(request)
    models = [model for loaded in state.repository.loaded.values() for model in models_of(loaded)]
    return {"model_stats": [state.statistics.of(model) for model in models]}


@router.get("/models/{name}", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}", responses=_ERRORS)
async def metadata(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Tensors of a bundle's main graph, or of another one by name@graph."""
    return choose_model(state_of(request).repository, name, version).metadata()


@router.get("/models/{name}/ready", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/ready", responses=_ERRORS)
async def model_ready(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """It is loaded and gave its golden outputs."""
    return {"name": choose_model(state_of(request).repository, name, version).name, "ready": True}


@router.get("/models/{name}/config", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/config", responses=_ERRORS)
async def config(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """The configuration, in Triton's words."""
    return choose_model(state_of(request).repository, name, version).config()


@router.get("/models/{name}/stats", responses=_ERRORS)
@router.get("/models/{name}/versions/{version}/stats", responses=_ERRORS)
async def statistics(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Counts and times since the service started, in nanoseconds.

    `queue` is until a request's first row is begun, `compute_infer` from there to the end of its last.
    """
    state = state_of(request)
    return {"model_stats": [state.statistics.of(choose_model(state.repository, name, version))]}


@router.post("/repository/index", responses=problems(400, 413, schema=InferenceProblem))
async def index(request: Request) -> list[dict[str, Any]]:
    """Every version in the folder: READY, with its graphs, or UNAVAILABLE, and why: not told with `{"ready": true}`."""
    wanted = await _fields(request)
    only_ready = wanted.get("ready", False)
    if not isinstance(only_ready, bool):
        raise FaultyRequest([Fault("/ready", f"expected true or false, came {shown(only_ready)}")])
    repository = state_of(request).repository
    told = [
        {"name": model.name, "version": model.version, "state": "READY", "reason": ""}
        for loaded in repository.loaded.values()
        for model in models_of(loaded)
    ]
    if only_ready:
        return told
    reasons = {(each.name, each.version): each.reason for each in repository.failures}
    for name, versions in (await asyncio.to_thread(bundle_versions, repository.root)).items():
        loaded = repository.loaded.get(name)
        otherwise = "unloaded" if loaded is None else f"version {loaded.manifest.version} is served"
        told += [
            {
                "name": name,
                "version": str(each),
                "state": "UNAVAILABLE",
                "reason": reasons.get((name, each), otherwise),
            }
            for each in versions
            if loaded is None or each != loaded.manifest.version
        ]
    return told


@router.post("/repository/models/{name}/load", response_class=Response, responses=_CHANGED)
async def load(request: Request, name: str) -> Response:
    """Look into the bundle's folder again and serve its newest sound version; requests that run end with the old one.

    If no version is sound, the one that is served stays.
    """
    given = (await _fields(request)).get("parameters") or {}
    if given:
        message = "not supported: a bundle is loaded as it is in its folder"
        raise FaultyRequest([Fault(f"/parameters/{each}", message) for each in given])
    await change_models(request.app, lambda repository: repository.load_one(name))
    return Response()


@router.post("/repository/models/{name}/unload", response_class=Response, responses=_CHANGED)
async def unload(request: Request, name: str) -> Response:
    """Serve the bundle no more; requests that run end with it. No bundle depends on another."""
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
