"""POST /forecast."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from contract.errors import Fault, FaultyRequest
from contract.quoting import shown
from service.arrow import write_stream
from service.csv_tables import write_table
from service.engine.admission import Passage
from service.openapi import documented_body, problems
from service.routes.body import parse, read_body
from service.routes.bounds import SERIES
from service.routes.long_json import write_json
from service.routes.media import CSV, JSON, answer_type, body_type
from service.routes.query import FORECAST, beside_json
from service.routes.tables import TABLES, parse_table
from service.schemas import ForecastRequest, ForecastResponse
from service.state import State, passage_of, state_of
from service.tables import TableOptions, warnings_header
from service.turns import release

router = APIRouter(tags=["forecast"])


@router.post(
    "/forecast",
    response_model=ForecastResponse,
    openapi_extra=documented_body(ForecastRequest, TABLES, FORECAST.documented()),
    responses={200: {"content": TABLES}, **problems(404, 408, 413, 415, 422, 429, 503, 504)},
)
async def forecast(request: Request) -> Response:
    """The next steps of each series, in its own units, continuing its own timestamps.

    The series come as JSON, or as a table (a column of timestamps, columns of numbers), in CSV with a header or as
    an Arrow IPC stream, with query parameters in place of the other fields. The answer is of the same kind, or as
    `Accept` says.
    """
    state, kind = state_of(request), body_type(request, *TABLES)
    wish = _Wish(state, passage_of(request), answer_type(request, kind, (JSON, *TABLES)))
    limit = state.settings.max_body_bytes
    table = None
    if kind in TABLES:
        options = TableOptions(limit, most_rows=state.settings.max_rows)
        table, wanted = await parse_table(ForecastRequest, request, kind, options, FORECAST, wish.faults)
        with table.pointing():
            answer = await wish.grant(wanted)
        if table.notes:
            for each in answer["forecasts"]:
                each["warnings"] = [*table.notes, *each["warnings"]]
    else:
        misplaced = beside_json(request.query_params, ForecastRequest.model_fields)
        most = state.settings.max_rows
        bounds = SERIES if most <= SERIES.values else replace(SERIES, values=most)
        wanted = await parse(ForecastRequest, await read_body(request, limit), bounds, wish.faults, misplaced)
        answer = await wish.grant(wanted)
    if wish.kind == JSON:
        response = Response(await write_json(answer, "forecasts"), media_type=JSON)
    else:
        names = (table.id_name, table.time_name) if table is not None else ()
        if wish.kind == CSV:
            content = await write_table(answer, *names, *([table.form] if table else []))
        else:
            content = await write_stream(answer, *names, *((table.id_type, table.time_type) if table else ()))
        response = Response(content, media_type=wish.kind, headers=warnings_header(answer))
    await release(wanted.series, table.series if table is not None else [], answer["forecasts"])
    return response


class _Wish:
    """Requests to be answered in one kind of content."""

    def __init__(self, state: State, passage: Passage, kind: str) -> None:
        self._state, self._passage = state, passage
        self.kind = kind

    async def faults(self, wanted: ForecastRequest) -> list[Fault]:
        """What is wrong with the content of a request, or with answering it in this kind."""
        return [*self._untold(wanted), *await self._state.forecasters.faults(wanted)]

    async def grant(self, wanted: ForecastRequest) -> dict[str, Any]:
        """The answer, as ForecastResponse describes it. Raises FaultyRequest."""
        if self._untold(wanted):
            raise FaultyRequest(await self.faults(wanted))
        self._passage.within(wanted.timeout_ms)
        forecaster = self._state.forecasters.choose(wanted)
        answer = await forecaster.forecast(wanted, self._passage)
        self._state.metrics.rows.labels(forecaster.manifest.name).inc(len(wanted.series))
        return answer

    def _untold(self, wanted: ForecastRequest) -> list[Fault]:
        asked = {"history": wanted.history, "attention": wanted.attention} if self.kind != JSON else {}
        message = f"expected false with an answer in {self.kind}, which has no place for it: accept {JSON}; came"
        return [Fault(f"/{name}", f"{message} {shown(value)}") for name, value in asked.items() if value is not False]
