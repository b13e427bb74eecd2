"""POST /translate and GET /languages, as LibreTranslate has them."""

import orjson
from fastapi import APIRouter, Request, Response

from service.openapi import documented_body, problems
from service.routes.body import checked, json_response
from service.routes.fields import FORM, MULTIPART, read_fields
from service.routes.guard import require_key
from service.routes.query import Query, boolean, integer
from service.schemas import Language, LibreTranslateProblem, TranslateRequest, TranslateResponse
from service.state import passage_of, state_of

PARAMETERS = Query(
    {
        "q": str,
        "source": str,
        "target": str,
        "format": str,
        "alternatives": integer,
        "api_key": str,
        "model": str,
        "scores": boolean,
        "attention": boolean,
        "timeout_ms": integer,
    },
    (),
    {
        "q": "As the other parameters, in place of a field of the body; may come more than once",
        "source": "Language of the texts, or auto",
        "target": "Language wanted",
        "format": "text",
        "alternatives": "Other translations wanted, at most",
        "api_key": "Where API keys are asked for, if it is not in a header",
        "model": "Name, or name:version",
        "scores": "true or false",
        "attention": "true or false",
        "timeout_ms": "Milliseconds in which an answer is wanted",
    },
    lists=("q",),
)

_FORM = {"schema": {"$ref": "#/components/schemas/TranslateRequest"}}

router = APIRouter(tags=["translate"])


@router.post(
    "/translate",
    response_model=TranslateResponse,
    response_model_exclude_unset=True,
    openapi_extra=documented_body(TranslateRequest, {FORM: _FORM, MULTIPART: _FORM}, PARAMETERS.documented()),
    responses=problems(400, 408, 413, 415, 429, 503, 504, schema=LibreTranslateProblem),
)
async def translate(request: Request) -> Response:
    """Texts in another language, with their own lines and spaces. The fields come as JSON, as a form, or in the query.

    Each sentence is translated by itself, the same one only once. What a model cannot spell stays as it is in its
    place, as do addresses and long numbers; a text that is mostly such is refused. A sentence in CAPITALS or in Title
    Case comes back so. Alternatives of a text combine each sentence's next best translations.
    """
    state = state_of(request)
    data, faults = await read_fields(request, PARAMETERS, state.settings.max_body_bytes)
    require_key(request, data.get("api_key") if isinstance(data, dict) else None)
    wanted = await checked(TranslateRequest, data, state.translators.faults, faults)
    passage = passage_of(request)
    passage.within(wanted.timeout_ms)
    translation = await state.translators.translate(wanted, passage)
    state.metrics.texts.labels(translation.model).inc(translation.texts)
    state.metrics.tokens.labels(translation.model).inc(translation.tokens)
    return Response(orjson.dumps(translation.content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


@router.get("/languages", response_model=list[Language])
async def languages(request: Request) -> Response:
    """The languages that are served, and into which each is translated."""
    return json_response(state_of(request).translators.languages())
