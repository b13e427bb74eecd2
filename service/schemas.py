"""The JSON that comes in and goes out. Numbers and timestamps of a series are checked by the forecaster.

pydantic would check them one by one; a column of numbers is checked whole, and faults are counted there.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Stamps = Annotated[
    list[Any],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": ["string", "number"]},
            "description": "ISO 8601, with or without an offset, or epoch numbers; one kind throughout",
        }
    ),
]
Numbers = Annotated[
    list[Any],
    WithJsonSchema({"type": "array", "items": {"type": ["number", "null"]}, "description": "In the column's units"}),
]


class Strict(BaseModel):
    """An unknown field is a typing mistake, and said to be one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Series(Strict):
    """One table: a row for each timestamp. `timestamps`, or `start` with the `frequency`."""

    id: str | None = Field(None, description="Echoed in the answer")
    timestamps: Stamps | None = None
    start: str | int | float | None = Field(None, description="Timestamp of the first row")
    frequency: str | None = Field(None, description="Distance of the rows, such as h, 15min, D", examples=["h"])
    values: dict[str, Numbers] = Field(description="Rows by column name, in units, oldest first")


class ForecastRequest(Strict):
    """One series or thousands."""

    model: str | None = Field(None, description="Name, or name:version; may be left out if one model has these columns")
    series: list[Series] = Field(min_length=1)
    horizon: int | None = Field(None, ge=1, description="Steps to forecast; by default, the model's pred_len")


class Forecast(BaseModel):
    """The rows that follow one series, in its units and its form of timestamp."""

    id: str | None
    timestamps: list[str] | list[int]
    values: dict[str, list[float]]
    warnings: list[str]


class ForecastResponse(BaseModel):
    """Forecasts in the order of the series."""

    model: str
    version: int
    forecasts: list[Forecast]


class ModelSummary(BaseModel):
    """A served bundle."""

    name: str
    version: int
    task: str


class ModelList(BaseModel):
    """Every served bundle."""

    models: list[ModelSummary]


class ProblemFault(BaseModel):
    """One thing wrong with the request."""

    pointer: str = Field(description="RFC 6901 JSON pointer into the request body")
    message: str = Field(description="What was expected, and what came")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemFault] = []
