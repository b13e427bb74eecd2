"""Rows of several requests through a graph together, in batches of a few shapes: the pool for CUDA.

There a batch costs hardly more than a row, and each new shape a second at its first run (ONNX Runtime 19838).
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import GraphFailed
from service.engine.batching import Observe, Piece, RowPool, Rows, Work, ignore
from service.engine.session import Arrays, Device, Session, repeated

SHAPES = (1, 8, 64, 512)
"""Rows of a batch; what is missing to the next one is filled up."""
LARGEST = 2**26
"""Bytes of a batch's inputs and outputs: of rows with attention maps fewer go together."""
BATCHES = 2
"""Batches at a time: while one computes, another is put together."""
TRIALS = 11
"""Runs of a batch in buffers, and without, that tell which takes longer."""


class GatheringPool(RowPool):
    """As RowPool, but for sessions whose rows go together: theirs wait up to `delay_s` for others."""

    def __init__(self, threads: int | None = None, delay_s: float = 0.0, observe: Observe = ignore) -> None:
        super().__init__(threads, observe)
        self._delay_s = delay_s
        self._batches = 0

    async def _through(self, work: Work) -> list[Any]:
        if isinstance(work, Rows) and work.session.together:
            work.loop.call_later(self._delay_s, self._fill)
        return await super()._through(work)

    def _next(self) -> Piece | None:
        for name, line in list(self._lines.items()):
            waiting: dict[tuple[Session, tuple[str, ...]], list[Rows]] = {}
            for work in line:
                if isinstance(work, Rows) and work.session.together:
                    waiting.setdefault((work.session, work.names), []).append(work)
                else:
                    line.remove(work)
                    line.appendleft(work)
                    self._lines.move_to_end(name, last=False)
                    return super()._next()
            ready = next((mates for mates in waiting.values() if self._ready(mates)), None)
            if ready is not None:
                self._batches += 1
                piece = self._gather(name, ready, largest(ready[0].session))
                piece.gathered = True
                return piece
        return None

    def _ready(self, mates: Sequence[Rows]) -> bool:
        """Whether those whose rows go through the same graph wait for nothing more."""
        if self._batches >= BATCHES:
            return False
        waited = time.perf_counter() - min(each.handed for each in mates)
        return waited >= self._delay_s or sum(each.left for each in mates) >= largest(mates[0].session)

    def _batch(self, session: Session, parts: Sequence[Arrays]) -> Arrays:
        return _filled_up(parts) if session.together else super()._batch(session, parts)

    def _end(self, piece: Piece, results: Sequence[Any]) -> None:
        self._batches -= piece.gathered
        super()._end(piece, results)


def choose_pool(device: Device, threads: int | None, delay_s: float, observe: Observe = ignore) -> RowPool:
    """The pool for a device."""
    return GatheringPool(threads, delay_s, observe) if device.kind == "cuda" else RowPool(threads, observe)


def largest(session: Session) -> int:
    """Rows of the largest batch for a session."""
    return max(shape for shape in SHAPES if shape == SHAPES[0] or shape * session.row_bytes <= LARGEST)


def warm(session: Session, inputs: Arrays, tolerance: float = 1e-3) -> list[str]:
    """Run every shape of a batch on rows of `inputs`, and bind those that are right and quicker so.

    What was wrong with bound ones is returned. Raises GraphFailed where not even plain ones run, and where a CUDA graph
    cannot be captured: after that nothing that ONNX Runtime does on the GPU can be relied on.
    """
    wrong = []
    for rows in SHAPES:
        if rows > largest(session):
            break
        batch = repeated(inputs, rows)
        outputs = session.run(batch, bound=False)
        if rows * session.row_bytes > session.room:
            continue
        # a graph that has captured something of the first batch itself would answer as to that one
        other = repeated({name: np.roll(tensor, 1, axis=0) for name, tensor in inputs.items()}, rows)
        try:
            session.bind(batch, outputs)
            fault = session.bound_differs(batch, tolerance) or session.bound_differs(other, tolerance)
        except GraphFailed as error:
            if session.captures:
                raise GraphFailed(f"{error}; SEQCAST_CUDA_GRAPHS=false serves it without CUDA graphs") from error
            fault = str(error)
        if fault:
            wrong.append(f"batches of {rows} are not bound: {fault}")
        if rows in session.bound and (fault or not _quicker(session, batch)):
            session.unbind(rows)
    return wrong


def _quicker(session: Session, batch: Arrays) -> bool:
    """Whether it takes less time in buffers than without, the two taking turns."""
    times = [[_seconds(session, batch, bound=bound) for bound in (True, False)] for _ in range(TRIALS)]
    in_buffers, without = np.median(times, axis=0)
    return bool(in_buffers < without)


def _seconds(session: Session, batch: Arrays, *, bound: bool) -> float:
    began = time.perf_counter()
    session.run(batch, bound=bound)
    return time.perf_counter() - began


def _filled_up(parts: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """All rows, and the first again up to a shape of batches."""
    rows = sum(len(next(iter(part.values()))) for part in parts)
    shape = next(each for each in SHAPES if each >= rows)
    batch = {}
    for name, first in parts[0].items():
        batch[name] = np.empty((shape, *first.shape[1:]), first.dtype)
        np.concatenate([part[name] for part in parts], out=batch[name][:rows])
        batch[name][rows:] = first[:1]
    return batch
