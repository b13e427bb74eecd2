"""GET /models and what there is to know of each."""

from typing import Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from contract.errors import Fault, FaultyRequest
from contract.quoting import shown
from contract.records import encode
from service import forecaster, generator, translator
from service.csv_tables import write_table
from service.openapi import problems
from service.routes.body import json_response
from service.routes.media import CSV, JSON, answer_type
from service.state import state_of

SAMPLES = {
    "translate": translator.sample_request,
    "generate": generator.sample_request,
}

router = APIRouter(tags=["models"])


class ModelSummary(BaseModel):
    """A served bundle."""

    name: str
    version: int = Field(description="The newest sound one, which answers where no other is asked for")
    versions: list[int] = Field(description="Those that `name:version` may ask for, newest first")
    task: str


class ModelList(BaseModel):
    """Every served bundle."""

    models: list[ModelSummary]


@router.get("/models", response_model=ModelList)
async def models(request: Request) -> Response:
    """Every bundle that is served."""
    summaries = [
        {
            "name": name,
            "version": versions[0].manifest.version,
            "versions": [each.manifest.version for each in versions],
            "task": versions[0].manifest.task,
        }
        for name, versions in state_of(request).served.loaded.items()
    ]
    return json_response({"models": summaries})


@router.get("/models/{name}", responses=problems(404))
async def model(request: Request, name: str) -> dict[str, Any]:
    """The manifest, with metrics beside the baselines' and training provenance, and the card."""
    loaded = state_of(request).served.get(name)
    return {**encode(loaded.manifest), "card": loaded.card}


@router.get("/models/{name}/sample", responses=problems(404, 422))
async def sample(
    request: Request,
    name: str,
    rows: int | None = Query(
        None,
        description="How many, of a model that forecasts: what it looks back on, and at most what it forecasts more",
    ),
) -> Response:
    """A made-up request body for this model, to try `POST /forecast`, `/translate` or `/generate` with.

    Of a model that forecasts it is a table where CSV is accepted.
    """
    loaded = state_of(request).served.get(name)
    task = loaded.manifest.task
    if task != "forecast":
        if rows is not None:
            raise FaultyRequest([Fault("/rows", f"expected none, for {name} does not forecast; came {shown(rows)}")])
        return json_response(SAMPLES[task](loaded) | {"model": name})
    body = forecaster.sample_request(loaded, rows) | {"model": name}
    if answer_type(request, JSON, (JSON, CSV)) == JSON:
        return json_response(body)
    (series,) = body["series"]
    table = await write_table({"forecasts": [{"id": None, "intervals": {}, **series}]})
    return Response(table, media_type=CSV)
