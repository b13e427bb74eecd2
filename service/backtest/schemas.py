"""The JSON of a backtest: what comes in and what goes out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from service.schemas import Strict, TimeoutMs

_SERIES = {"type": "array", "items": {"$ref": "#/components/schemas/Series"}, "minItems": 1, "maxItems": 1}


class BacktestRequest(Strict):
    """A table to forecast from many of its rows, and to compare with what came."""

    model: str | None = Field(None, description="Name, or name:version; may be left out if one model has these columns")
    series: Annotated[list[Any], WithJsonSchema(_SERIES)] = Field(
        min_length=1, max_length=1, description="One, as in POST /forecast, with all its rows"
    )
    share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Of the rows, the latest, that are forecast. Ridge and MASE's scale are fitted on those before",
    )
    stride: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Rows from one origin to the next; by default 1, or what the service's limit makes it",
    )
    fill: Literal["error", "interpolate", "previous", "seasonal"] = Field(
        "error",
        description="As in POST /forecast, for the rows that are looked back on; a missing value is never a truth",
    )
    timeout_ms: TimeoutMs = None


class ColumnScores(BaseModel):
    """Of one column: `mse` and `mae` in its units, the others of values scaled by the model's scaler.

    null where there was no truth, and `warnings` says so.
    """

    mse: float | None
    mae: float | None
    mase: float | None
    scaled_mse: float | None
    scaled_mae: float | None
    mse_by_step: list[float | None]
    mae_by_step: list[float | None]


class ColumnCoverage(BaseModel):
    """Of one column; `width` is in its units."""

    share: float | None
    width: float | None
    share_by_step: list[float | None]
    width_by_step: list[float | None]


class BacktestCoverage(BaseModel):
    """How often the truth lay within the intervals of one level; `width` is the mean one, on scaled values."""

    share: float
    width: float
    share_by_step: list[float | None]
    width_by_step: list[float | None]
    columns: dict[str, ColumnCoverage]


class BacktestScores(BaseModel):
    """Of one forecaster, over all columns; `mse` and `mae` are of values scaled by the model's scaler.

    `mase` is the mean absolute error over that which repeating the last season makes from row to row in the part
    before (Hyndman and Koehler 2006): the mean over the columns where that is not 0.
    """

    mse: float
    mae: float
    mase: float | None
    mse_by_step: list[float | None]
    mae_by_step: list[float | None]
    columns: dict[str, ColumnScores]
    coverage: dict[str, BacktestCoverage] = Field(
        description="By level, in percent: of the bundle's intervals, and of those made in the same way around the "
        "baselines, from the last quarter of the part before. Empty where the bundle has none, or that is too short"
    )


class BacktestOrigins(BaseModel):
    """Where forecasts began: the timestamps of their first steps."""

    count: int
    first: str | int | float
    last: str | int | float
    stride: int
    left_out: int = Field(description="For they had too much missing to look back on, or no truth at all")


class PartBefore(BaseModel):
    """The rows before the first step that is forecast. Three quarters fit ridge, and the others choose its penalty."""

    rows: int
    first: str | int | float
    last: str | int | float
    season: int = Field(description="Rows that MASE's scale looks back")


class Comparison(BaseModel):
    """The model's MSE over that of the best baseline, less 1: -0.1 is a tenth less.

    `low` to `high` is the 95 % interval of a circular block bootstrap over the origins (Politis and Romano 1992;
    block length by Politis and White 2004). null where the origins are too few, or the baseline makes no error.
    """

    baseline: str
    change: float | None
    low: float | None
    high: float | None
    columns_won: int = Field(description="In how many columns the model's MSE is lower than the baseline's")


class BacktestResponse(BaseModel):
    """`summary` first: does the model help on this table, and by how much."""

    summary: str
    model: str
    version: int
    origins: BacktestOrigins
    before: PartBefore
    comparison: Comparison
    scores: dict[str, BacktestScores] = Field(description='By forecaster: "model", then the baselines')
    warnings: list[str]
