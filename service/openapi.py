"""What FastAPI cannot see by itself: bodies that are parsed by hand, and problems."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.backtest.schemas import BacktestRequest
from service.errors import INFERENCE, LIBRETRANSLATE
from service.gate import TIMEOUT
from service.inference.schemas import InferenceProblem, InferInput, InferRequest, RequestedOutput
from service.schemas import (
    LONGEST_MS,
    AttentionSelection,
    ForecastRequest,
    GenerateRequest,
    LibreTranslateProblem,
    Problem,
    Series,
    TranslateRequest,
)

_REF = "#/components/schemas/{model}"
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_TIMEOUT = {
    "name": TIMEOUT,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_MS},
    "description": "Milliseconds, from the request's arrival on, in which an answer is wanted; then it is 504",
}
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


def documented_body(
    schema: type[BaseModel], others: Mapping[str, Any], parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """`openapi_extra` of a route behind the gate, which reads its body itself: JSON or one of the `others`, by type."""
    reference = {"$ref": _REF.format(model=schema.__name__)}
    content = {"application/json": {"schema": reference}, **others}
    return {"requestBody": {"required": True, "content": content}, "parameters": [*parameters, _TIMEOUT]}


def problems(*statuses: int, schema: type[BaseModel] = Problem) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers these statuses with a problem, or with JSON of another `schema`."""
    media = "application/problem+json" if schema is Problem else "application/json"
    content = {media: {"schema": {"$ref": _REF.format(model=schema.__name__)}}}
    return {status: {"content": content, "description": "Problem"} for status in statuses}


def add_components(app: FastAPI, unguarded: Collection[str] | None) -> None:
    """Put the schemas that the routes refer to into the document.

    Where API keys are asked for, but at the paths that are `unguarded`, so are the ways to bring one.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas: tuple[type[BaseModel], ...] = (*_BODIES, Problem, LibreTranslateProblem, InferenceProblem)
        _, definitions = models_json_schema([(schema, "validation") for schema in schemas], ref_template=_REF)
        document["components"]["schemas"] |= definitions["$defs"]
        if unguarded is not None:
            document["components"]["securitySchemes"] = _KEYS
            for path in document["paths"].keys() - set(unguarded):
                _guard(document["paths"][path], path)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _guard(operations: dict[str, Any], path: str) -> None:
    schema: type[BaseModel] = InferenceProblem if path.startswith(INFERENCE) else Problem
    schema = LibreTranslateProblem if path in LIBRETRANSLATE else schema
    ways: list[dict[str, list[str]]] = [{name: []} for name in _KEYS]
    if path in LIBRETRANSLATE:
        ways.append({})  # or in its body
    for operation in operations.values():
        operation["security"] = ways
        operation["responses"] |= {str(status): each for status, each in problems(401, 403, schema=schema).items()}
