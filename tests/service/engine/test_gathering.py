"""Rows of several callers in one batch, on the CPU with the graphs that bundles have."""

import asyncio
import threading

import numpy as np
import pytest

from contract.errors import GraphFailed
from service.engine import gathering
from service.engine.batching import Caller, RowPool
from service.engine.gathering import BATCHES, SHAPES, GatheringPool, choose_pool, largest, warm
from service.engine.session import CPU, Device, Session, differ
from tests.service.engine.test_batching import Held, rows

FULL = SHAPES[-1]
NEVER = 1e9


class Doubles(Held):
    """One whose jobs are in batches; it fails on negative rows, as a graph does. `jobs` are without what filled up."""

    together, row_bytes = True, 16

    def __init__(self):
        super().__init__()
        self.free.set()
        self.shapes = []

    def run(self, inputs, names=None):
        self.shapes.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise GraphFailed("a negative row")
        return super().run(inputs, names)


@pytest.fixture
def pool():
    """pool(threads, delay_s) -> a GatheringPool."""
    pools = []

    def make(threads=4, delay_s=0.0):
        pools.append(GatheringPool(threads, delay_s))
        return pools[-1]

    yield make
    for each in pools:
        each.close()


@pytest.fixture(scope="module")
def graph(bundle):
    """graph("forecast") -> a Session of the hourly bundle, which notes the shapes that it ran, and inputs."""
    golden = bundle("hourly").golden()

    def loaded(name):
        session = Session(bundle("hourly").graph(name), CPU)
        session.together, session.shapes = True, []
        run = session.run

        def noting(inputs, names=None, **how):
            session.shapes.append(len(inputs["history"]))
            return run(inputs, names, **how)

        session.run = noting
        return session, {each: golden[each] for each in ("history", "calendar")}

    return loaded


def some(inputs, count, seed):
    """So many rows unlike each other."""
    factors = np.random.default_rng(seed).uniform(0.9, 1.1, (count, 1, 1))
    return {"history": inputs["history"][:1] * factors, "calendar": np.repeat(inputs["calendar"][:1], count, axis=0)}


@pytest.mark.parametrize("name", ["forecast", "attention"])
def test_each_caller_has_what_he_has_alone(pool, graph, name):
    session, inputs = graph(name)
    counts = [1, 3, 1, 700, 8, 9, 1, 40, 1, 64] if name == "forecast" else [1, 3, 1, 20, 8, 1]
    asked = [some(inputs, count, seed) for seed, count in enumerate(counts)]
    shared = pool(delay_s=0.02)

    async def together():
        return await asyncio.gather(*(shared.run(Caller(), session, each) for each in asked))

    answers = asyncio.run(together())
    assert set(session.shapes) <= set(SHAPES)
    assert len(session.shapes) < len(counts)
    for each, answer in zip(asked, answers, strict=True):
        for row in (0, len(each["history"]) - 1):
            alone = session.run({tensor: array[row : row + 1] for tensor, array in each.items()})
            assert differ({tensor: array[row : row + 1] for tensor, array in answer.items()}, alone, 1e-4) is None


def test_rows_wait_for_others_until_a_batch_is_full(pool):
    session, shared = Doubles(), pool(delay_s=NEVER)

    async def callers():
        tasks = [asyncio.create_task(shared.run(Caller(), session, rows(73, first=100.0 * n))) for n in range(7)]
        await asyncio.sleep(0.05)
        assert session.shapes == []
        last = await shared.run(Caller(), session, rows(1, first=-0.0))
        return last, await asyncio.gather(*tasks)

    last, answers = asyncio.run(callers())
    assert session.shapes == [FULL]
    assert last["row"].tolist() == [0]
    for number, answer in enumerate(answers):
        np.testing.assert_array_equal(answer["row"], 100.0 * number + np.arange(73))
        np.testing.assert_array_equal(answer["doubled"], 2 * answer["row"])


@pytest.mark.parametrize(("count", "shape"), [(1, 1), (2, 8), (8, 8), (9, 64), (64, 64), (65, 512), (512, 512)])
def test_a_batch_is_filled_up_to_a_shape(pool, count, shape):
    session = Doubles()
    answer = asyncio.run(pool().run(Caller(), session, rows(count)))
    assert answer["row"].tolist() == list(range(count))
    assert session.shapes == [shape]


def test_thousands_of_rows_leave_room_for_others(pool):
    """In the batch behind those that run, though the large request alone would fill it."""
    session, shared = Doubles(), pool()
    session.free.clear()

    async def both():
        large = asyncio.create_task(shared.run(Caller(), session, rows(5000)))
        await session.begun(BATCHES)
        singles = [asyncio.create_task(shared.run(Caller(), session, rows(1, first=9000.0 + n))) for n in range(5)]
        await asyncio.sleep(0.01)
        session.free.set()
        await asyncio.gather(*singles)
        return (await large)["row"]

    np.testing.assert_array_equal(asyncio.run(both()), np.arange(5000))
    following = session.jobs[BATCHES : 2 * BATCHES]  # in either order, as two threads begin them
    assert [9000.0, 9001.0, 9002.0, 9003.0, 9004.0] in [[row for row in job if row >= 9000] for job in following]
    assert len(session.jobs) == -(-5005 // FULL)


def test_who_leaves_freezes_nobody_of_his_batch(pool):
    """Ray 50046, async-batcher: one of a batch is cancelled, before and while it runs."""
    session, shared = Doubles(), pool()
    session.free.clear()
    callers = [Caller() for _ in range(6)]

    async def leaving():
        running = [asyncio.create_task(shared.run(each, session, rows(2))) for each in callers[:2]]
        await session.begun(2)
        waiting = [asyncio.create_task(shared.run(each, session, rows(2, first=50.0))) for each in callers[2:]]
        await asyncio.sleep(0.01)
        for task in (running[0], waiting[0]):
            task.cancel()
        await asyncio.sleep(0)
        session.free.set()
        return await asyncio.gather(*running, *waiting, return_exceptions=True)

    answers = asyncio.run(leaving())
    left = [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert left == [True, False, True, False, False, False]
    assert [answer["row"].tolist() for answer in answers[3:]] == [[50, 51]] * 3
    assert callers[2].begun == 0
    assert session.shapes[2:] == [8]


def test_an_error_in_some_rows_reaches_their_caller_alone(pool):
    session, shared = Doubles(), pool(delay_s=NEVER)

    async def callers():
        counts = [(200, 0.0), (1, -5.0), (311, 500.0)]
        answers = (shared.run(Caller(), session, rows(count, first=first)) for count, first in counts)
        return await asyncio.gather(*answers, return_exceptions=True)

    first, failed, last = asyncio.run(callers())
    assert isinstance(failed, GraphFailed)
    assert first["row"].tolist() == list(range(200))
    assert last["row"].tolist() == list(range(500, 811))
    assert session.shapes == [512, 512, 1, 512]  # together, then each alone
    answer = asyncio.run(pool().run(Caller(), session, rows(3)))
    assert answer["row"].tolist() == [0, 1, 2]


def test_outputs_that_differ_do_not_go_together(pool):
    session, other, shared = Doubles(), Doubles(), pool(delay_s=0.01)

    async def callers():
        return await asyncio.gather(
            shared.run(Caller("a"), session, rows(2), ["row"]),
            shared.run(Caller("a"), session, rows(2)),
            shared.run(Caller("a"), other, rows(2)),
            shared.run(Caller("b"), session, rows(2)),
        )

    asyncio.run(callers())
    assert session.shapes == [8, 8, 8]
    assert other.shapes == [8]


def test_what_does_not_go_together_does_not_wait(pool):
    session, shared = Doubles(), pool(delay_s=NEVER)
    alone = Doubles()
    alone.together = False

    async def both():
        waits = asyncio.create_task(shared.run(Caller(), session, rows(1)))
        await asyncio.sleep(0)
        answer = await shared.run(Caller(), alone, rows(20))
        job = await shared.spread(Caller(), [threading.get_native_id], [1])
        waits.cancel()
        return answer, job

    answer, job = asyncio.run(both())
    assert answer["row"].tolist() == list(range(20))
    assert job[0] != threading.get_native_id()
    assert session.shapes == []


def test_a_batch_has_no_more_rows_than_memory_allows(graph, pool):
    session, inputs = graph("forecast")
    assert largest(session) == FULL
    session.row_bytes = 2**20
    assert largest(session) == 64
    asyncio.run(pool().run(Caller(), session, some(inputs, 100, 0)))
    assert sorted(session.shapes) == [64, 64]
    session.row_bytes = 2**40
    assert largest(session) == 1


def test_warming_runs_every_shape_there_will_be(graph, monkeypatch):
    monkeypatch.setattr(gathering, "TRIALS", 1)
    session, inputs = graph("forecast")
    warm(session, inputs)
    assert list(dict.fromkeys(session.shapes)) == [*SHAPES]


def test_rows_have_the_bytes_of_their_tensors(bundle):
    spec = bundle("hourly").manifest.forecast
    session = Session(bundle("hourly").graph("forecast"), CPU)
    columns, steps = len(spec.columns), spec.seq_len + spec.pred_len
    calendar = bundle("hourly").golden()["calendar"]
    assert session.row_bytes == 8 * columns * steps + calendar[0].nbytes
    assert not session.together


def test_the_device_chooses_the_pool():
    pools = [choose_pool(device, 1, 0.002) for device in (CPU, Device("cuda"))]
    for each in pools:
        each.close()
    assert [type(each) for each in pools] == [RowPool, GatheringPool]
