"""Who may ask: everybody, or where there is a file of API keys those who bring one."""

from fastapi import Request, Response

from contract.errors import MissingKey, UnknownKey
from service.gate import Endpoint
from service.state import state_of
from service.tally import tally

OPEN = ("/", "/healthz", "/readyz", "/metrics", "/docs", "/languages", "/v2/health/live", "/v2/health/ready")
"""What orchestrators, Prometheus and browsers ask, which have no key, and LibreTranslate's clients without theirs."""
_IN_BODY = "/translate"


async def guard(request: Request) -> None:
    """Before every route, as long as there are keys. Raises MissingKey, UnknownKey."""
    path = request.scope["route"].path
    if path in OPEN or (path == _IN_BODY and not _of_headers(request)):
        return
    require_key(request)


def guarded(endpoint: Endpoint) -> Endpoint:
    """The endpoint behind `guard`."""

    async def behind(request: Request) -> Response:
        await guard(request)
        return await endpoint(request)

    return behind


def require_key(request: Request, given: object = None) -> None:
    """In the headers, or as `given`. Raises MissingKey, UnknownKey."""
    keys = state_of(request).keys
    if keys is None:
        return
    key = _of_headers(request) or given
    if not isinstance(key, str) or not key:
        raise MissingKey("expected an API key, as Authorization: Bearer KEY or X-API-Key: KEY; came none")
    owner = keys.owner(key)
    if owner is None:
        raise UnknownKey("this API key is not known")
    tally().key = owner


def _of_headers(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key")
