"""Sessions whose batches are bound, on the CPU or where it stands in for CUDA."""

import onnxruntime
import pytest

from service.engine import binding, gathering
from service.engine.binding import Bound
from service.engine.session import CPU, Session
from tests.service.engine.stand_in import SHAPES, Native, some


@pytest.fixture
def native(monkeypatch):
    """The class that stands in for CUDA's sessions."""

    class Values:
        @staticmethod
        def ortvalue_from_shape_and_type(shape, dtype, kind, number):
            assert (kind, number) == ("cuda", 0)
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, "cpu", 0)

    class Fresh(Native):
        made, ids, threads = [], [], []

    monkeypatch.setattr(onnxruntime, "InferenceSession", Fresh)
    monkeypatch.setattr(binding, "OrtValue", Values)
    return Fresh


@pytest.fixture
def clock(native, monkeypatch):
    """Time passes by runs alone: clock["bound"] and clock["plain"] seconds each."""
    seconds = {"now": 0.0, "bound": 1.0, "plain": 2.0}

    def passing(way, run):
        def timed(self, *arguments):
            seconds["now"] += seconds[way]
            return run(self, *arguments)

        return timed

    monkeypatch.setattr(native, "run", passing("plain", native.run))
    monkeypatch.setattr(native, "run_with_iobinding", passing("bound", native.run_with_iobinding))

    class Time:
        perf_counter = staticmethod(lambda: seconds["now"])

    monkeypatch.setattr(gathering, "time", Time)
    monkeypatch.setattr(gathering, "TRIALS", 1)
    monkeypatch.setattr(gathering, "SHAPES", SHAPES)
    return seconds


@pytest.fixture
def in_buffers(monkeypatch):
    """Rows of each run that was in buffers."""
    counts, run = [], Bound.run

    def noting(self, inputs, names):
        counts.append(len(inputs["history"]))
        return run(self, inputs, names)

    monkeypatch.setattr(Bound, "run", noting)
    return counts


@pytest.fixture
def bound(bundle):
    """bound("forecast", 8, 64) -> a Session of the hourly bundle, those batches of which are bound."""

    def bound(graph, *shapes, device=CPU):
        session = Session(bundle("hourly").graph(graph), device)
        for rows in shapes:
            inputs = some(bundle, rows, 0)
            session.bind(inputs, session.run(inputs, bound=False))
        return session

    return bound
