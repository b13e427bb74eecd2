"""Batches in buffers that stay."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from contract.errors import GraphFailed, UnusableFile, WrongAnswer
from service.engine.binding import Bound, Turns
from service.engine.session import Device
from tests.service.engine.stand_in import GRAPHS, off, same, some


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


def test_golden_inputs_are_replayed_in_buffers_too(bundle, bound, monkeypatch):
    session = bound("forecast", 8)
    monkeypatch.setattr(Bound, "run", off(Bound.run))
    with pytest.raises(WrongAnswer, match="forecast: expected the golden values"):
        session.replay(bundle("hourly").manifest.graphs["forecast"], bundle("hourly").golden())


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
