"""Batches in buffers that stay, on the CPU: where CUDA is meant, ONNX Runtime's CPU stands in for it."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from contract.errors import GraphFailed, UnusableFile, WrongAnswer
from service.engine import binding, gathering
from service.engine.batching import Caller
from service.engine.binding import Bound, Turns
from service.engine.gathering import GatheringPool, warm
from service.engine.repository import load_bundle
from service.engine.session import CPU, Device, Session, differ

SYLLABLES = Path(__file__).parents[2] / "generators" / "syllables" / "1"
GRAPHS = Device("cuda", graphs=True)
SHAPES = (1, 3, 24)
"""Fewer rows than elsewhere: they are computed on a CPU."""
REFUSAL = "This session cannot use the CUDA Graph feature as requested by the user"


class Native(onnxruntime.InferenceSession):
    """ONNX Runtime's CPU in place of its CUDA. It notes what it is asked for, and may be told to fail."""

    refuses_graphs = fails_bound = False
    made, ids, threads = [], [], []

    def __init__(self, graph, options, providers):
        asked = {name: value for each in providers if isinstance(each, tuple) for name, value in each[1].items()}
        self.made.append(asked)
        if self.refuses_graphs and asked.get("enable_cuda_graph") == "1":
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL :\n{REFUSAL}")
        super().__init__(graph, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def run(self, names, inputs, options=None):
        self._note(options)
        return super().run(names, inputs, options)

    def run_with_iobinding(self, bound, options=None):
        self._note(options)
        if self.fails_bound:
            raise Fail("CUDA failure 900: operation not permitted when stream is capturing")
        super().run_with_iobinding(bound, options)

    def _note(self, options):
        self.ids.append(None if options is None else int(options.get_run_config_entry("gpu_graph_id")))
        self.threads.append(threading.get_ident())


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


def some(bundle, rows, seed):
    """So many rows unlike each other."""
    golden = bundle("hourly").golden()
    factors = np.random.default_rng(seed).uniform(0.9, 1.1, (rows, 1, 1))
    return {"history": golden["history"][:1] * factors, "calendar": np.repeat(golden["calendar"][:1], rows, axis=0)}


def same(came, expected):
    assert list(came) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(came[name], tensor, strict=True)


@pytest.mark.parametrize("graph", ["forecast", "attention"])
@pytest.mark.parametrize("rows", [1, 8, 64])
def test_answers_are_those_without_buffers(bundle, bound, in_buffers, graph, rows):
    session = bound(graph, 1, 8, 64)
    in_buffers.clear()
    first, second = some(bundle, rows, 1), some(bundle, rows, 2)
    answer = session.run(first)
    same(session.run(second), session.run(second, bound=False))
    same(answer, session.run(first, bound=False))  # which the second run wrote nothing into
    assert in_buffers == [rows, rows]
    some_names = list(answer)[::-2]
    same(session.run(second, some_names), session.run(second, some_names, bound=False))


def test_rows_that_lie_apart_are_put_together(bundle, bound, in_buffers):
    session = bound("forecast", 8)
    in_buffers.clear()
    inputs = some(bundle, 16, 1)
    apart = {name: np.asfortranarray(tensor)[::2] for name, tensor in inputs.items()}
    apart["history"].flags.writeable = False
    same(session.run(apart), session.run({name: tensor[::2].copy() for name, tensor in inputs.items()}, bound=False))
    assert in_buffers == [8]


def test_other_shapes_run_without_buffers(bundle, bound, in_buffers):
    session = bound("forecast", 8)
    in_buffers.clear()
    for rows in (1, 7, 9):
        inputs = some(bundle, rows, rows)
        same(session.run(inputs), session.run(inputs, bound=False))
    session.unbind(8)
    session.run(some(bundle, 8, 0))
    assert (in_buffers, session.bound) == ([], [])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda history: {"history": history.astype("float32")},
        lambda history: {"history": history.reshape(8, -1)},  # as many bytes
        lambda history: {"history": history, "more": history},
    ],
)
def test_what_does_not_fit_is_refused_as_without_buffers(bundle, bound, wrong):
    session, inputs = bound("forecast", 8), some(bundle, 8, 1)
    faulty = wrong(inputs["history"]) | {"calendar": inputs["calendar"]}
    with pytest.raises(GraphFailed):
        session.run(faulty)
    assert session.suspect
    with pytest.raises(GraphFailed, match="nothing"):
        session.run(inputs, ["nothing"])
    same(session.run(inputs), session.run(inputs, bound=False))


def test_each_thread_has_its_own_rows(bundle, bound, in_buffers):
    session = bound("forecast", 8)
    asked = [some(bundle, 8, seed) for seed in range(40)]
    expected = [session.run(each, bound=False) for each in asked]
    in_buffers.clear()
    with ThreadPoolExecutor(8) as threads:
        for came, alone in zip(threads.map(session.run, asked), expected, strict=True):
            same(came, alone)
    assert in_buffers


def test_who_comes_while_the_buffers_are_taken_runs_without(bundle, bound, monkeypatch):
    session, inputs = bound("forecast", 8), some(bundle, 8, 1)
    expected = session.run(inputs, bound=False)
    inside, go_on, run = threading.Event(), threading.Event(), Bound.run

    def held(*arguments):
        inside.set()
        assert go_on.wait(60)
        return run(*arguments)

    monkeypatch.setattr(Bound, "run", held)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(session.run, inputs)
        assert inside.wait(60)
        same(session.run(inputs), expected)
        go_on.set()
        same(first.result(), expected)


@pytest.mark.parametrize("device", [Device("cuda"), GRAPHS], ids=["bound", "captured"])
def test_a_run_that_fails_is_told_and_leaves_the_buffers_free(bundle, native, bound, device):
    session, inputs = bound("forecast", 8, device=device), some(bundle, 8, 1)
    native.fails_bound = True
    for _ in range(2):
        with pytest.raises(GraphFailed, match="900"):
            session.run(inputs)
    assert session.suspect
    with pytest.raises(UnusableFile, match="900"):
        session.replay(bundle("hourly").manifest.graphs["forecast"], bundle("hourly").golden())
    native.fails_bound = False
    session.replay(bundle("hourly").manifest.graphs["forecast"], bundle("hourly").golden())
    assert not session.suspect


def off(run):
    """As `run`, a hundredth beside."""
    return lambda *arguments: [tensor * 1.01 for tensor in run(*arguments)]


def test_golden_inputs_are_replayed_in_buffers_too(bundle, bound, monkeypatch):
    session = bound("forecast", 8)
    monkeypatch.setattr(Bound, "run", off(Bound.run))
    with pytest.raises(WrongAnswer, match="forecast: expected the golden values"):
        session.replay(bundle("hourly").manifest.graphs["forecast"], bundle("hourly").golden())


def inputs_of(bundle):
    return {name: bundle("hourly").golden()[name] for name in ("history", "calendar")}


@pytest.mark.parametrize("device", [Device("cuda"), GRAPHS], ids=["bound", "captured"])
@pytest.mark.parametrize("graph", ["forecast", "attention"])
def test_warming_binds_every_shape_that_is_quicker_so(bundle, clock, in_buffers, graph, device):
    session = Session(bundle("hourly").graph(graph), device)
    assert warm(session, inputs_of(bundle)) == []
    assert session.bound == [*SHAPES]
    in_buffers.clear()
    for rows in SHAPES:
        inputs = some(bundle, rows, 3)
        same(session.run(inputs), session.run(inputs, bound=False))
    assert in_buffers == [*SHAPES]


@pytest.mark.parametrize("seconds", [2.0, 3.0])
def test_what_is_not_quicker_in_buffers_stays_without(bundle, clock, seconds):
    clock["bound"] = seconds
    session = Session(bundle("hourly").graph("forecast"), Device("cuda"))
    assert (warm(session, inputs_of(bundle)), session.bound) == ([], [])


def test_what_answers_otherwise_in_buffers_stays_without(bundle, clock, monkeypatch):
    monkeypatch.setattr(Bound, "run", off(Bound.run))
    session = Session(bundle("hourly").graph("forecast"), Device("cuda"))
    wrong = warm(session, inputs_of(bundle))
    assert session.bound == []
    assert [each.partition(": forecast: expected the golden values, came")[0] for each in wrong] == [
        f"batches of {rows} are not bound" for rows in SHAPES
    ]
    assert warm(session, inputs_of(bundle), tolerance=0.1) == []


def test_what_repeats_its_first_answer_stays_without(bundle, clock, monkeypatch):
    """As a CUDA graph does that took an input from the CPU (ONNX Runtime 29782)."""
    first, run = {}, Bound.run
    monkeypatch.setattr(Bound, "run", lambda self, *arguments: first.setdefault(self, run(self, *arguments)))
    session = Session(bundle("hourly").graph("forecast"), GRAPHS)
    assert len(warm(session, inputs_of(bundle))) == len(SHAPES)
    assert session.bound == []


def test_buffers_take_an_eighth_of_the_memory_that_a_graph_may_have(bundle, native, clock):
    session = Session(bundle("hourly").graph("attention"), Device("cuda", memory_mib=8))
    assert native.made[0]["gpu_mem_limit"] == str(7 * 2**20)
    warm(session, inputs_of(bundle))
    assert session.bound == [1, 3]
    assert session.room == 2**20 - 4 * session.row_bytes >= 0
    assert 24 * session.row_bytes > session.room


def test_without_memory_for_buffers_rows_run_without(bundle, clock, monkeypatch):
    def refuse(*_):
        raise RuntimeError("Failed to allocate memory for requested buffer")

    monkeypatch.setattr(binding.OrtValue, "ortvalue_from_shape_and_type", refuse)
    session = Session(bundle("hourly").graph("forecast"), Device("cuda"))
    assert {each.partition("bound: ")[2] for each in warm(session, inputs_of(bundle))} == {
        "Failed to allocate memory for requested buffer"
    }
    session.run(some(bundle, 8, 1))


@pytest.mark.parametrize("device", [Device("cuda"), GRAPHS], ids=["bound", "captured"])
def test_callers_whose_rows_go_together_each_have_their_own(bundle, clock, in_buffers, device, monkeypatch):
    session, pool = Session(bundle("hourly").graph("forecast"), device), GatheringPool(4, 0.01)
    warm(session, inputs_of(bundle))
    monkeypatch.setattr(gathering, "time", time)
    in_buffers.clear()
    asked = [some(bundle, rows, rows) for rows in (1, 1, 2, 30, 3, 5)]

    async def together():
        return await asyncio.gather(*(pool.run(Caller(), session, each) for each in asked))

    answers = asyncio.run(together())
    pool.close()
    assert in_buffers
    for inputs, answer in zip(asked, answers, strict=True):
        assert differ(answer, session.run(inputs, bound=False), 1e-4) is None


def test_a_captured_graph_belongs_to_a_shape_and_all_runs_to_a_thread(bundle, native, bound):
    session = bound("forecast", 1, 8, device=GRAPHS)
    assert [each.get("enable_cuda_graph") for each in native.made] == [None, "1"]
    assert native.ids == [-1, 1, -1, 2]
    native.ids.clear()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(session.run, [some(bundle, rows, rows) for rows in (1, 3, 8)] * 5))
    assert sorted(native.ids) == [-1] * 5 + [1] * 5 + [2] * 5
    (thread,) = set(native.threads)
    assert thread != threading.get_ident()
    session.unbind(8)
    inputs = some(bundle, 8, 0)
    session.bind(inputs, session.run(inputs))
    assert native.ids[-1] == 3  # the graph of the buffers that are gone stays ONNX Runtime's


def test_a_graph_that_cannot_be_captured_is_bound_alone(bundle, native, clock, caplog):
    native.refuses_graphs = True
    with caplog.at_level(logging.INFO):
        loaded = load_bundle(bundle("hourly").path, GRAPHS)
    session = loaded.sessions["forecast"]
    assert (session.captures, session.bound) == (False, [*SHAPES])
    assert set(native.ids) == {None}
    told = [(each.levelname, each.message) for each in caplog.records if "forecast.onnx" in each.message]
    assert told == [
        (
            "WARNING",
            f"bundle hourly version 1: forecast.onnx: no CUDA graphs: [ONNXRuntimeError] : 1 : FAIL : {REFUSAL}",
        ),
        ("INFO", "bundle hourly version 1: forecast.onnx: buffers for batches of 1, 3, 24 rows"),
    ]


def test_a_bundle_whose_capture_fails_is_not_served(bundle, native):
    native.fails_bound = True
    with pytest.raises(UnusableFile, match=r"forecast.onnx cannot run in batches: CUDA failure 900.*CUDA_GRAPHS=false"):
        load_bundle(bundle("hourly").path, GRAPHS)
    assert load_bundle(bundle("hourly").path, Device("cuda")).sessions["forecast"].bound == []


def test_graphs_whose_lengths_differ_are_neither_bound_nor_captured(native, clock):
    loaded = load_bundle(SYLLABLES, GRAPHS)
    assert {name: (each.captures, each.bound) for name, each in loaded.sessions.items()} == {
        "score": (False, []),
        "step": (True, [*SHAPES]),
    }
    assert [each.get("enable_cuda_graph") for each in native.made] == [None, None, "1"]


def test_what_is_let_go_of_frees_buffers_and_thread_at_once(bundle, native, bound):
    before = threading.active_count()
    session = bound("forecast", 8, device=GRAPHS)
    session.run(some(bundle, 8, 0))
    buffers = [weakref.ref(each) for each in session._bound.values()]
    assert threading.active_count() == before + 1
    gc.disable()
    try:
        del session
        assert [each() for each in buffers] == [None]
    finally:
        gc.enable()
    until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_who_captures_is_alone():
    """He waits for those who run, and whoever comes later for him."""
    turns, order = Turns(), []
    capturing, captured = threading.Event(), threading.Event()

    def capture():
        with turns.alone():
            order.append("capture")
            capturing.set()
            assert captured.wait(60)
            order.append("captured")

    def run():
        with turns.beside():
            order.append("run")

    with ThreadPoolExecutor(2) as threads:
        with turns.beside(), turns.beside():  # two run at a time
            first = threads.submit(capture)
            while not turns._door.locked():
                time.sleep(0.001)
            second = threads.submit(run)
            assert not capturing.wait(0.05)
        assert capturing.wait(60)
        captured.set()
        first.result(60), second.result(60)
    assert order == ["capture", "captured", "run"]
