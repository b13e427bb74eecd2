"""POST /generate."""

from fastapi import APIRouter, Request, Response

from service.openapi import documented_body, problems
from service.routes.body import json_response, parse, read_body
from service.routes.bounds import TEXTS
from service.routes.media import body_type
from service.routes.query import beside_json
from service.schemas import GenerateRequest, GenerateResponse
from service.state import passage_of, state_of

router = APIRouter(tags=["generate"])


@router.post(
    "/generate",
    response_model=GenerateResponse,
    openapi_extra=documented_body(GenerateRequest, {}),
    responses=problems(404, 408, 413, 415, 422, 429, 503, 504),
)
async def generate(request: Request) -> Response:
    """Words such as a model was trained on, drawn character by character, each with its log-likelihood.

    With `score` in place of the other fields, the log-likelihood of words that are given.
    """
    state = state_of(request)
    body_type(request)
    body = await read_body(request, state.settings.max_body_bytes)
    misplaced = beside_json(request.query_params, GenerateRequest.model_fields)
    wanted = await parse(GenerateRequest, body, TEXTS, state.generators.faults, misplaced)
    passage = passage_of(request)
    passage.within(wanted.timeout_ms)
    generator = state.generators.choose(wanted)
    answer = await generator.answer(wanted, passage)
    state.metrics.rows.labels(generator.manifest.name).inc(len(answer.get("scores") or answer["generated"]))
    return json_response(answer)
