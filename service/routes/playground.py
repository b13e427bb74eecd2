"""GET /: the playground, a page whose scripts and styles lie beside it in this package."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.logs import PLAYGROUND_FILE
from service.tally import tally

_HEADERS = {
    # no inline script or style, and nothing from or to elsewhere: what a bundle or a table says can only be text
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # asked for again each time and answered with 304: after an upgrade no page runs old modules beside new ones
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        tally().route = PLAYGROUND_FILE
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


files = _Files(directory=Path(__file__).parents[1] / "playground")
router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    return await files.get_response("index.html", request.scope)
