"""POST /v2/models/{name}/infer."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from contract.errors import SeqcastError
from service.inference.head import HEADER, read_head
from service.inference.model import GraphModel, choose_model
from service.inference.request import read_request
from service.inference.response import write_answer
from service.inference.schemas import InferenceProblem, InferRequest
from service.openapi import documented_body, problems
from service.routes.body import read_body
from service.routes.coding import encode
from service.state import State, passage_of, state_of
from service.tally import tally

BINARY = "application/octet-stream"
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_DOCUMENTED: dict[str, Any] = {
    "openapi_extra": documented_body(InferRequest, {BINARY: _BYTES}),
    "responses": {
        200: {"content": {"application/json": {"schema": {"type": "object"}}, BINARY: _BYTES}},
        **problems(400, 404, 408, 413, 415, 429, 504, schema=InferenceProblem),
    },
}

router = APIRouter(prefix="/v2", tags=["open inference protocol"])


@router.post("/models/{name}/infer", **_DOCUMENTED)
@router.post("/models/{name}/versions/{version}/infer", **_DOCUMENTED)
async def infer(request: Request, name: str, version: str | None = None) -> Response:
    """Tensors through one graph of a bundle: its main one by the bundle's name, another one by name@graph.

    With `Inference-Header-Content-Length`, the body is JSON of so many bytes and the tensors behind it, little-endian
    and row-major. The answer is alike, where outputs are asked for so. gzip and deflate are read, and written.
    """
    state = state_of(request)
    started = time.perf_counter_ns()
    model = choose_model(state.served, name, version)
    try:
        response = await _answered(request, state, model, started)
    except SeqcastError:
        state.statistics.failed(model, time.perf_counter_ns() - started)
        raise
    return await encode(response, request)


async def _answered(request: Request, state: State, model: GraphModel, started: int) -> Response:
    limit = state.settings.max_body_bytes
    body = await read_body(request, limit)
    read = time.perf_counter_ns()
    head, rest = await read_head(body, request.headers.get(HEADER))
    wanted = await read_request(head, rest, model, limit)
    checked = time.perf_counter_ns()
    passage = passage_of(request)
    passage.within(wanted.timeout_ms)
    outputs = await model.run(wanted.inputs, list(wanted.binary), passage)
    computed = time.perf_counter_ns()
    answer = await write_answer(outputs, wanted, model)
    done = time.perf_counter_ns()
    noted = tally()
    rows = sum(noted.jobs)
    state.statistics.succeeded(
        model,
        rows=rows,
        executions=len(noted.jobs),
        success=done - started,
        queue=round(noted.queue_s * 1e9),
        compute_input=checked - read,
        compute_infer=round(noted.compute_s * 1e9),
        compute_output=done - computed,
    )
    state.metrics.rows.labels(model.manifest.name).inc(rows)
    media = "application/json" if answer.head is None else BINARY
    response = Response(answer.body, media_type=media)
    if answer.head is not None:
        response.headers[HEADER] = str(answer.head)
    return response
