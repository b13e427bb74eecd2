"""The JSON that comes in and goes out. A request's series are checked by the forecaster, one by one.

pydantic would check numbers singly, where a column of them is checked whole; and it would collect every fault
of a hostile body, which could hold millions: minutes and gigabytes.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from contract.errors import Fault
from contract.pointers import escape
from contract.quoting import shown

T = TypeVar("T", bound=BaseModel)

SHOWN_FAULTS = 100
"""Faults listed for one object, one column or one timeline."""

_STAMP = {"type": ["string", "number"]}


class Strict(BaseModel):
    """JSON's types are taken as they are: "24" is no 24, and true no 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


LONGEST_MS = 10**9
TimeoutMs = Annotated[
    int | None,
    Field(
        ge=1,
        le=LONGEST_MS,
        description="Milliseconds, from the request's arrival on, in which an answer is wanted. Then it is 504, and "
        "what is not computed yet never is",
    ),
]


class Series(Strict):
    """One table: a row for each timestamp. `timestamps`, or `start` with the `frequency`."""

    model_config = ConfigDict(json_schema_extra={"required": ["values"]})

    id: str | None = Field(None, description="Echoed in the answer")
    timestamps: Annotated[Any, WithJsonSchema({"type": "array", "items": _STAMP})] = Field(
        None, description="ISO 8601, with or without an offset, or epoch numbers; one kind throughout"
    )
    start: Annotated[Any, WithJsonSchema(_STAMP)] = Field(None, description="Timestamp of the first row")
    frequency: Annotated[Any, WithJsonSchema({"type": "string"})] = Field(
        None, description="Distance of the rows, such as h, 15min, D", examples=["h"]
    )
    values: Annotated[
        Any,
        WithJsonSchema(
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": ["number", "null"]}}}
        ),
    ] = Field(None, description="Rows by column name, in the column's units, oldest first")


class AttentionSelection(Strict):
    """Which attention maps are wanted; what is left out means all."""

    kinds: list[Literal["encoder", "decoder", "cross"]] | None = Field(
        None,
        max_length=SHOWN_FAULTS,
        description="encoder: the history looks at itself; decoder: the forecast's steps, and those of the history "
        "that it starts from, at themselves; cross: the same at the history",
    )
    layers: list[int] | None = Field(None, max_length=SHOWN_FAULTS, description="From 0")
    heads: list[int] | None = Field(None, max_length=SHOWN_FAULTS, description="From 0")


_ATTENTION = {"anyOf": [{"type": "boolean"}, {"$ref": "#/components/schemas/AttentionSelection"}]}
_SERIES = {"type": "array", "items": {"$ref": "#/components/schemas/Series"}, "minItems": 1}


class ForecastRequest(Strict):
    """One series or thousands."""

    model: str | None = Field(None, description="Name, or name:version; may be left out if one model has these columns")
    series: Annotated[list[Any], WithJsonSchema(_SERIES)] = Field(min_length=1)
    horizon: int | None = Field(
        None,
        ge=1,
        description="Steps to forecast; by default, the model's pred_len. Steps beyond it, where the service allows "
        "them, rest on forecast values, and `warnings` says so",
    )
    fill: Literal["error", "interpolate", "previous", "seasonal"] = Field(
        "error",
        description="What to do with nulls, gaps, duplicate and unsorted rows: refuse them, or mend them "
        "and say so in `warnings`",
    )
    levels: list[int] = Field([], max_length=99, description="Intervals wanted, in percent", examples=[[80, 95]])
    history: bool = Field(False, description="Whether the rows that the model saw, mended by `fill`, are wanted too")
    attention: Annotated[Any, WithJsonSchema(_ATTENTION)] = Field(
        False,
        description="Attention maps wanted, of models that have them: all, or a selection. Of a horizon beyond the "
        "model's pred_len, those of its first pass",
        examples=[{"layers": [0], "heads": [0, 3], "kinds": ["encoder", "decoder", "cross"]}],
    )
    timeout_ms: TimeoutMs = None


class Interval(BaseModel):
    """Where the truth lies in as many cases of a hundred as the level says; see the model's card."""

    lower: list[float]
    upper: list[float]


Stamps = list[str] | list[int] | list[float]


class AttentionAxis(BaseModel):
    """The steps that each position of an axis stands for, by the timestamps of the first and the last.

    They are the same but for positions after distilling, which halves them from one encoder layer to the next. Such
    a position is pooled around its first step, from a few steps on either side of it, and through the layers before
    it knows something of the whole history; it stands for the steps up to the next position's first.
    """

    from_: Stamps = Field(alias="from")
    to: Stamps


class AttentionHead(BaseModel):
    """A map: row by row, the weight that a query gave each key, to six decimals. They sum to 1.

    ProbSparse computes attention only for the queries whose scores are far from uniform. The others have `selected`
    false and a row of nulls, for they looked at nothing: in the encoder they got the mean of all values, in the
    decoder the sum of those up to their own step.
    """

    head: int
    selected: list[bool] = Field(description="By row")
    weights: list[list[float | None]]


class AttentionMaps(BaseModel):
    """The maps of one layer: where each row's step looked, not why a forecast is what it is.

    Rows later than the history are the forecast's steps, of which the decoder knows the calendar alone; its rows
    before them are the end of the history that it starts from. With `mixed`, what row i of head h gathered went on
    at row (h * rows + i) // heads in place of i, the rounding down: steps and heads are mixed from there on.
    """

    kind: Literal["encoder", "decoder", "cross"]
    layer: int
    mixed: bool
    rows: AttentionAxis
    columns: AttentionAxis
    heads: list[AttentionHead]


class SeenHistory(BaseModel):
    """The latest rows of a series, as many as the model looks back on, in order and without gaps."""

    timestamps: Stamps
    values: dict[str, list[float]]
    filled: dict[str, list[int]] = Field(description="Rows, from 0, of values that `fill` made up, by column")


class Forecast(BaseModel):
    """The rows that follow one series, in its units and its form of timestamp."""

    id: str | None
    timestamps: Stamps
    values: dict[str, list[float]]
    intervals: dict[str, dict[str, Interval]] = Field(description="By level, then by column")
    warnings: list[str]
    history: SeenHistory | None = Field(None, description="Where asked for")
    attention: list[AttentionMaps] = Field([], description="Where asked for; by kind and layer")


class ForecastResponse(BaseModel):
    """Forecasts in the order of the series."""

    model: str
    version: int
    forecasts: list[Forecast]


class TranslateRequest(Strict):
    """LibreTranslate's fields, and ours: `model`, `scores`, `attention`, `timeout_ms`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"q": "The night train is late again.\n- Where is it?", "source": "en", "target": "it"},
                {"q": ["Please wait.", "WET PAINT"], "source": "auto", "target": "it", "alternatives": 2},
            ]
        }
    )

    q: Annotated[
        Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    ] = Field(description="A text, or several")
    source: str = Field(description="Language of the texts, or auto where only one is served", examples=["en"])
    target: str = Field(description="Language wanted", examples=["it"])
    format: Literal["text"] = Field("text", description="Markup is not understood")
    alternatives: int = Field(0, ge=0, le=10, description="Other translations wanted, at most")
    api_key: str | None = Field(None, description="Read past: no key is asked for")
    model: str | None = Field(
        None, description="Name, or name:version; by default, of those for these languages the one of the best BLEU"
    )
    scores: bool = Field(False, description="Log-probabilities of each sentence's tokens")
    attention: bool = Field(False, description="Attention maps of each sentence, by layer and head")
    timeout_ms: TimeoutMs = None

    @property
    def texts(self) -> list[Any]:
        return self.q if isinstance(self.q, list) else [self.q]

    def pointer(self, index: int) -> str:
        """To a text."""
        return f"/q/{index}" if isinstance(self.q, list) else "/q"


class DetectedLanguage(BaseModel):
    """What `auto` was taken for. `confidence` is 0, since nothing is detected: only one language is served."""

    confidence: float
    language: str


class SentenceScores(BaseModel):
    """Natural logarithms of the probabilities that the model gives each token of its translation, its end included."""

    tokens: list[str]
    log_probs: list[float]
    total: float


Maps = list[list[list[list[float]]]]


class SentenceAttention(BaseModel):
    """Maps by layer and head, as far as the model has them. A row is what its token looks at; it sums to 1.

    In a row of the decoder the token behind is looked for: in that of `<s>`, the first of the translation.
    """

    source: list[str] = Field(description="Tokens, with those of beginning and end")
    target: list[str] = Field(description="Tokens, with that of the beginning")
    encoder: Maps = Field([], description="(layer, head, source, source)")
    decoder: Maps = Field([], description="(layer, head, target, target)")
    cross: Maps = Field([], description="(layer, head, target, source)")


class TranslateResponse(BaseModel):
    """An array in each field if `q` is one. The last four are there if asked for, the last two sentence by sentence."""

    translatedText: str | list[str]  # noqa: N815 LibreTranslate's
    detectedLanguage: DetectedLanguage | list[DetectedLanguage] | None = None  # noqa: N815
    alternatives: list[str] | list[list[str]] | None = None
    scores: list[SentenceScores] | list[list[SentenceScores]] | None = None
    attention: list[SentenceAttention] | list[list[SentenceAttention]] | None = None


class Language(BaseModel):
    """A language, and those that it is translated to."""

    code: str
    name: str
    targets: list[str]


_TEXTS = {"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "null"}]}


class GenerateRequest(Strict):
    """Words to be drawn, or with `score` words to be weighed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"prompt": "an", "count": 10, "temperature": 1.0, "top_k": None, "seed": 7},
                {"score": ["wilhelmina", "xqzv"]},
            ]
        }
    )

    model: str | None = Field(None, description="Name, or name:version; may be left out if one model generates")
    prompt: str = Field("", description="What each word begins with, in characters of the model's alphabet")
    count: int = Field(10, ge=1, description="Words wanted. The same one may be drawn more than once")
    temperature: float = Field(
        1.0, ge=0.01, le=10, allow_inf_nan=False, description="Probabilities are raised to its inverse: low plays safe"
    )
    top_k: int | None = Field(
        None, ge=1, description="Draw from the likeliest so many characters alone; 1 takes the likeliest"
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Word i depends on the model, prompt, temperature, top_k, seed and i, and on nothing else: not on "
        "`count`, nor on what runs beside it. Without one, a seed is made up and told",
    )
    score: Annotated[list[Any] | None, WithJsonSchema(_TEXTS)] = Field(
        None, min_length=1, description="Words whose log-likelihood is wanted, in place of drawing any"
    )
    timeout_ms: TimeoutMs = None


class Generated(BaseModel):
    """A word, and the natural logarithm of its probability: of all its characters, prompt and end sign included.

    That is the model's own, at temperature 1 and without `top_k`. One that has not `ended` was cut at the model's
    `max_len`, and its end sign is not counted.
    """

    text: str
    log_likelihood: float
    ended: bool


class Scored(BaseModel):
    """A word, and the natural logarithm of its probability, end sign included."""

    text: str
    log_likelihood: float


class GenerateResponse(BaseModel):
    """In the order of drawing, or of the texts to score."""

    model: str
    version: int
    seed: int | None = None
    generated: list[Generated] | None = None
    scores: list[Scored] | None = None


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


class LibreTranslateProblem(Problem):
    """As LibreTranslate's clients expect: `error` says all that the others do."""

    error: str


def read(schema: type[T], data: Any, pointer: str = "") -> tuple[T | None, list[Fault]]:
    """What `data` has of `schema`, and what is wrong with it; None if what is right is not enough for the schema."""
    if not isinstance(data, dict):
        return None, [Fault(pointer, f"expected an object, came {shown(data)}")]
    known = {name: data[name] for name in schema.model_fields if name in data}
    unknown = [name for name in data if name not in known] if len(known) < len(data) else []
    faults = [
        Fault(f"{pointer}/{escape(name)}", f"unknown field; expected one of {', '.join(schema.model_fields)}")
        for name in unknown[:SHOWN_FAULTS]
    ]
    try:
        return schema.model_validate(known), faults
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults += faults_of(details, pointer)
    wrong = {detail["loc"][0] for detail in details}
    try:
        return schema.model_validate({name: known[name] for name in known if name not in wrong}), faults
    except ValidationError:
        return None, faults


def faults_of(details: Sequence[ErrorDetails], pointer: str = "") -> list[Fault]:
    """pydantic's errors, with JSON pointers and what came."""
    faults = []
    for detail in details:
        # the literals that it lists are all names
        expected = detail["msg"].replace("'", '"') if detail["type"] == "literal_error" else detail["msg"]
        missing = detail["type"] == "missing"
        message = "required, but missing" if missing else f"{expected}; came {shown(detail['input'])}"
        faults.append(Fault(pointer + "".join(f"/{escape(str(part))}" for part in detail["loc"]), message))
    return faults
