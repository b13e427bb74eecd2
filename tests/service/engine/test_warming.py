"""Which batches are bound or captured as a bundle is loaded: ONNX Runtime's CPU stands in for CUDA."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.errors import UnusableFile
from service.engine import binding, gathering
from service.engine.batching import Caller
from service.engine.binding import Bound
from service.engine.gathering import GatheringPool, warm
from service.engine.repository import load_bundle
from service.engine.session import Device, Session, differ
from tests.service.engine.stand_in import GRAPHS, REFUSAL, SHAPES, inputs_of, off, same, some

SYLLABLES = Path(__file__).parents[2] / "generators" / "syllables" / "1"


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
        ("INFO", "bundle hourly version 1: forecast.onnx: batches in buffers, by rows: 1, 3, 24"),
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
