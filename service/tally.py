"""What a request did, noted where it happens and read once it is over.

It travels in a context variable, so that what computes need not be handed what measures.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

MOST_PASSAGES = 32
"""Told apart: a backtest may have thousands."""


@dataclass(slots=True)
class Tally:
    """One request's. Times are those of time.perf_counter(), in seconds; 0 where it did not come so far.

    From its body's end to its answer's head a request passes four stages without a rest between: preprocess until its
    rows are handed to the pool, queue and compute there, and postprocess, which is all else.
    """

    id: str = ""
    """Of the request, as its sender called it or as we do."""
    method: str = ""
    route: str = "none"
    """The template of its path, which the service knows; a path that nobody serves has none."""
    status: int = 500
    """That of an error on its way out, which answers further up, until another is known."""
    model: str = ""
    version: int = 0
    """Of the model: 0 where none was chosen."""
    key: str = ""
    """Whose API key came with it."""
    rejection: str = ""
    """The kind of error that it was refused with."""
    started: float = 0.0
    read: float = 0.0
    """When its body had come."""
    handed: float = 0.0
    """When its first rows were handed to the pool."""
    computed: float = 0.0
    """When its last ones came back."""
    answered: float = 0.0
    """When its answer's head went."""
    ended: float = 0.0
    queue_s: float = 0.0
    compute_s: float = 0.0
    jobs: list[int] = field(default_factory=list)
    """Rows of each job that the pool ran."""
    passages: list[tuple[float, float, float, int]] = field(default_factory=list)
    """The first times through the pool: when handed over, begun and ended, and of how many rows."""
    received: int = 0
    """Bytes of its body, and of its answer's."""
    sent: int = 0
    values: int = 0
    """Numbers to forecast from, and how many of them were outlying, or missing until they were filled."""
    outlying: int = 0
    missing: int = 0

    def ran(self, handed: float, began: float, ended: float, jobs: Sequence[int]) -> None:
        """Jobs went through the pool: when they were handed over, when the first began, and when all had ended."""
        self.handed = self.handed or handed
        self.queue_s += began - handed
        self.compute_s += ended - began
        self.jobs += jobs
        self.computed = ended
        if len(self.passages) < MOST_PASSAGES:
            self.passages.append((handed, began, ended, sum(jobs)))

    def chose(self, model: str, version: int) -> None:
        """Which version of which model answers."""
        self.model, self.version = model, version

    def stages(self) -> dict[str, float]:
        """Seconds by stage; none of a request that computed nothing."""
        if not self.handed:
            return {}
        rest = self.answered - self.handed - self.queue_s - self.compute_s
        return {
            "preprocess": self.handed - (self.read or self.started),
            "queue": self.queue_s,
            "compute": self.compute_s,
            "postprocess": max(0.0, rest),  # what ran side by side is counted twice in the pool
        }


_current: ContextVar[Tally] = ContextVar("tally")


def open_tally() -> Tally:
    """A new one, of the request that this task answers from now on."""
    opened = Tally()
    _current.set(opened)
    return opened


def tally() -> Tally:
    """That of the request in hand; outside of one, one that nobody reads."""
    return _current.get(None) or Tally()
