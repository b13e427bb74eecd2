"""What FastAPI cannot see by itself: bodies that are parsed by hand, and problems."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.backtest.schemas import BacktestRequest
from service.inference.schemas import InferenceProblem, InferInput, InferRequest, RequestedOutput
from service.schemas import (
    AttentionSelection,
    ForecastRequest,
    GenerateRequest,
    LibreTranslateProblem,
    Problem,
    Series,
    TranslateRequest,
)

_REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    InferRequest,
    InferInput,
    RequestedOutput,
    ForecastRequest,
    BacktestRequest,
    Series,
    AttentionSelection,
    TranslateRequest,
    GenerateRequest,
)


def documented_body(schema: type[BaseModel], others: Mapping[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself, JSON or one of the `others`, by media type."""
    reference = {"$ref": _REF.format(model=schema.__name__)}
    content = {"application/json": {"schema": reference}, **others}
    return {"requestBody": {"required": True, "content": content}}


def problems(*statuses: int, schema: type[BaseModel] = Problem) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers these statuses with a problem, or with JSON of another `schema`."""
    media = "application/problem+json" if schema is Problem else "application/json"
    content = {media: {"schema": {"$ref": _REF.format(model=schema.__name__)}}}
    return {status: {"content": content, "description": "Problem"} for status in statuses}


def add_components(app: FastAPI) -> None:
    """Put the schemas that the routes refer to into the document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas: tuple[type[BaseModel], ...] = (*_BODIES, Problem, LibreTranslateProblem, InferenceProblem)
        _, definitions = models_json_schema([(schema, "validation") for schema in schemas], ref_template=_REF)
        document["components"]["schemas"] |= definitions["$defs"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
