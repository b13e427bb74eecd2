"""How much a JSON body may hold, by a glance at its bytes: what it is read into takes many times as many."""

from dataclasses import dataclass

from contract.errors import Fault, FaultyRequest
from service.turns import Turns

_SLICE = 2**19
_BLANK = b" \t\n\r"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many there may be, with those that only look so inside of texts."""

    names: int
    lists: int
    """And objects."""
    values: int
    """In one list, or object."""


SERIES = Bounds(10**6, 10**6, 2**20)
"""A quarter of a million series are a table of 24 rows each, in 64 MiB."""
TABLE = Bounds(10**6, 10**6, 2**22)
TEXTS = Bounds(2 * 10**5, 2 * 10**5, 2**22)
"""All the characters that SEQCAST_MAX_CHARS lets a request have might be brackets, and its texts many and short."""


async def check_bounds(body: bytes, bounds: Bounds) -> None:
    """Raises FaultyRequest."""
    if len(body) <= min(bounds.names, bounds.lists):
        return
    names = lists = values = longest = 0
    turns = Turns()
    for start in range(0, len(body), _SLICE):
        plain = body[start : start + _SLICE].translate(None, _BLANK)
        names += plain.count(b'":')
        lists += plain.count(b"{") + plain.count(b"[")
        if (end := plain.find(b"]")) < 0:
            values += plain.count(b",")
        else:  # lists within one slice are short
            longest = max(longest, values + plain.count(b",", 0, end))
            values = plain.count(b",", plain.rindex(b"]"))
        await turns.pause()
    counted = [
        (bounds.names, names, "names in its objects"),
        (bounds.lists, lists, "objects and lists"),
        (bounds.values, max(longest, values), "values in a list"),
    ]
    faults = [
        Fault("", f"expected at most {most} {what}, came {came}: send it in several requests")
        for most, came, what in counted
        if came > most
    ]
    if faults:
        raise FaultyRequest(faults)
