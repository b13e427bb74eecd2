"""What a body is, and what the answer shall be."""

from collections.abc import Iterable, Sequence

from fastapi import Request

from contract.errors import UnknownMediaType

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
# what clients send JSON as without being told to: fetch, none at all; and curl -d, as a form
_JSON_TOO = ("", "text/json", "text/plain", "application/octet-stream")


def body_type(request: Request, *others: str) -> str:
    """JSON or one of the `others`. Raises UnknownMediaType if the body says to be something else."""
    came = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if came in others:
        return came
    if is_json(came) or came == "application/x-www-form-urlencoded":
        return JSON
    raise UnknownMediaType(f"expected {' or '.join((JSON, *others))}, came {came[:60]}")


def is_json(media: str) -> bool:
    """Whether a body of this type is read as JSON, where there is no form to take it for."""
    return media in (JSON, *_JSON_TOO) or media.endswith("+json")


def answer_type(request: Request, usual: str, kinds: Sequence[str]) -> str:
    """The one of `kinds` that the request accepts, and the `usual` one if it does not say."""
    weights = weights_of(request.headers.get("accept", ""), kinds)
    return max(weights, key=lambda name: (weights[name], name == usual))


def weights_of(accepted: str, names: Iterable[str]) -> dict[str, float]:
    """How much a header such as `Accept` wants each of the names, 0 for not at all (RFC 9110, section 12.4.2)."""
    weights = dict.fromkeys(names, 0.0)
    for each in accepted.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name in weights:
            weights[name] = next((_weight(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
    return weights


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
