"""Requests of the Open Inference Protocol, as JSON has them; what is in their tensors is checked against the graph."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from service.schemas import Strict

MOST_TENSORS = 100

Parameters = dict[str, Any]
_SHAPE = Annotated[list[int], Field(max_length=16)]


def _listed(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}, "maxItems": MOST_TENSORS}


class RequestedOutput(Strict):
    """An output wanted."""

    name: str
    parameters: Parameters = Field(default_factory=dict, description="binary_data: as bytes behind the JSON")


class InferInput(Strict):
    """A tensor: `data`, or as many bytes behind the JSON as `binary_data_size` says."""

    name: str
    shape: _SHAPE
    datatype: str = Field(examples=["FP64"])
    parameters: Parameters = Field(default_factory=dict, description="binary_data_size: bytes behind the JSON")
    data: Annotated[Any, WithJsonSchema({"type": "array"})] = Field(
        None, description="Row-major, flat or nested as the shape"
    )


class InferRequest(Strict):
    """Tensors, each with as many rows."""

    id: str | None = Field(None, description="Echoed in the answer")
    model_name: str | None = Field(None, description="Read past: the path says it")
    model_version: str | None = Field(None, description="Read past: the path says it")
    parameters: Parameters = Field(
        default_factory=dict,
        description="binary_data_output: outputs as bytes unless they say otherwise; timeout: microseconds in which an "
        "answer is wanted",
    )
    inputs: Annotated[list[Any], WithJsonSchema({**_listed("InferInput"), "minItems": 1})] = Field(
        min_length=1, max_length=MOST_TENSORS
    )
    outputs: Annotated[list[Any] | None, WithJsonSchema(_listed("RequestedOutput"))] = Field(
        None, max_length=MOST_TENSORS, description="By default all"
    )


class InferenceProblem(BaseModel):
    """What is wrong, in a sentence."""

    error: str
