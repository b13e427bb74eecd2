"""Routes without FastAPI's part in a request, which is to no purpose where an endpoint takes the request alone."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match, Route

from service.routes.guard import guard

Endpoint = Callable[[Request], Awaitable[Response]]


def direct(router: APIRouter, *, guarded: bool) -> list["Direct"]:
    """In front of the router's own, which go on describing them: those of POST."""
    routes = [each for each in router.routes if isinstance(each, APIRoute) and each.methods == {"POST"}]
    return [Direct(each.path, _guarded(each.endpoint) if guarded else each.endpoint) for each in routes]


class Direct(Route):
    """A route of starlette's for POST, known to the request as FastAPI's are."""

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        super().__init__(path, endpoint, methods=["POST"])

    def matches(self, scope: Any) -> tuple[Match, Any]:
        match, found = super().matches(scope)
        if match is not Match.NONE:
            found["route"] = self
        return match, found


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        await guard(request)
        return await endpoint(request)

    return guarded
