"""POST /forecast."""

from fastapi import APIRouter, Request, Response

from service.openapi import documented_body, problems
from service.routes.body import parse, read_body
from service.routes.long_json import write_json
from service.schemas import ForecastRequest, ForecastResponse
from service.state import state_of
from service.turns import release

router = APIRouter(tags=["forecast"])


@router.post(
    "/forecast",
    response_model=ForecastResponse,
    openapi_extra=documented_body(ForecastRequest),
    responses=problems(404, 413, 422, 503),
)
async def forecast(request: Request) -> Response:
    """The next steps of each series, in its own units, continuing its own timestamps."""
    state = state_of(request)
    body = await read_body(request, state.settings.max_body_bytes)
    wanted = await parse(ForecastRequest, body, state.forecasters.faults)
    forecaster = state.forecasters.choose(wanted)
    answer = await forecaster.forecast(wanted, state.pool)
    state.metrics.rows.labels(forecaster.manifest.name).inc(len(wanted.series))
    content = await write_json(answer, "forecasts")
    await release(wanted.series, answer["forecasts"])
    return Response(content, media_type="application/json")
