"""POST /backtest."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from contract.errors import Fault
from service.backtest.backtester import Backtester
from service.backtest.report import backtest_table
from service.backtest.schemas import BacktestRequest, BacktestResponse
from service.engine.admission import Passage
from service.faults import faults_of
from service.openapi import documented_body, problems
from service.routes.body import json_response, parse, read_body
from service.routes.bounds import TABLE
from service.routes.media import CSV, JSON, answer_type, body_type
from service.routes.query import FORECAST, Query, beside_json, integer, number
from service.routes.tables import TABLES, parse_table
from service.state import State, passage_of, state_of
from service.tables import TableOptions

QUERY = Query(
    {"model": str, "share": number, "stride": integer, "fill": str, "timeout_ms": integer},
    ("time_column",),
    {
        "model": FORECAST.descriptions["model"],
        "share": "Of the rows, the latest, that are forecast; 0.2 by default",
        "stride": "Rows from one origin to the next",
        "fill": FORECAST.descriptions["fill"],
        "timeout_ms": FORECAST.descriptions["timeout_ms"],
        "time_column": FORECAST.descriptions["time_column"],
    },
)

SCORES = {"schema": {"type": "string"}, "example": "forecaster,column,step,mse,mae,mase,...\nmodel,,,0.292,0.344,...\n"}

router = APIRouter(tags=["forecast"])


@router.post(
    "/backtest",
    response_model=BacktestResponse,
    openapi_extra=documented_body(BacktestRequest, TABLES, QUERY.documented()),
    responses={200: {"content": {CSV: SCORES}}, **problems(404, 408, 413, 415, 422, 429, 503, 504)},
)
async def backtest(request: Request) -> Response:
    """Does a model help on this table, and by how much?

    The latest rows are forecast, from one origin after the other, by the model and by baselines, and compared with what
    came. The table comes as one series of `POST /forecast` does, as JSON, CSV or Arrow; the answer is JSON, or where
    `Accept` asks for CSV a table of the scores, with the sentence in `X-Seqcast-Summary`.
    """
    state, kind = state_of(request), body_type(request, *TABLES)
    limit = state.settings.max_body_bytes

    async def examine(wanted: BacktestRequest) -> list[Fault]:
        return await faults_of(lambda: _backtester(wanted, state).prepare(wanted))

    if kind in TABLES:
        table, wanted = await parse_table(BacktestRequest, request, kind, TableOptions(limit), QUERY, examine)
        with table.pointing():
            answer = await _answer(wanted, state, passage_of(request))
        answer["warnings"] = [*table.notes, *answer["warnings"]]
    else:
        misplaced = beside_json(request.query_params, BacktestRequest.model_fields)
        wanted = await parse(BacktestRequest, await read_body(request, limit), TABLE, examine, misplaced)
        answer = await _answer(wanted, state, passage_of(request))
    if answer_type(request, JSON, (JSON, CSV)) == CSV:
        headers = {"X-Seqcast-Summary": json.dumps(answer["summary"])}
        return Response(backtest_table(answer), media_type=CSV, headers=headers)
    return json_response(answer)


def _backtester(wanted: BacktestRequest, state: State) -> Backtester:
    """Raises UnknownModel, FaultyRequest or NotReady, as the choice of a forecaster does."""
    return Backtester(state.forecasters.choose(wanted).loaded, state.settings)


async def _answer(wanted: BacktestRequest, state: State, passage: Passage) -> dict[str, Any]:
    passage.within(wanted.timeout_ms)
    answer = await _backtester(wanted, state).backtest(wanted, passage)
    state.metrics.rows.labels(answer["model"]).inc(answer["origins"]["count"])
    return answer
