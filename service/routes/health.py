"""Alive, ready, and measured."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.errors import problem
from service.openapi import problems
from service.routes.body import json_response
from service.state import state_of

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses=problems(503))
async def readyz(request: Request) -> Response:
    """Every bundle that was there at the start has a version that is served.

    Each version served has replayed its golden vectors, again after a run that failed. `not_served` tells what else is
    in the folder and is not served, and why.
    """
    state = state_of(request)
    served, stall = state.served, state.loader.stall()
    complaints = [*served.complaints(), *await asyncio.to_thread(served.examine)]
    besides = [*state.loader.repository.found.passed_over, *filter(None, [stall])]
    if complaints:
        return problem(503, "; ".join(dict.fromkeys([*complaints, *besides])))
    return json_response({"status": "ready", "not_served": [*map(str, served.failures), *besides]})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus metrics, as OpenMetrics to those who accept it."""
    encoder, content_type = choose_encoder(request.headers.get("accept", ""))
    metrics = state_of(request).metrics
    metrics.settle()
    return Response(encoder(metrics.registry), media_type=content_type)
