import asyncio
import os
import threading
import time
from functools import partial

import numpy as np
import pytest

from contract.errors import GraphFailed
from service.engine.batching import CHUNK, Caller, RowPool, usable_cpus
from service.tally import open_tally


class Doubling:
    """Stands in for a Session: doubles `x`, keeps each job's rows in the order that jobs began."""

    varying = False

    def __init__(self, seconds=0.0, seconds_a_row=0.0):
        self.jobs = []
        self._seconds, self._seconds_a_row = seconds, seconds_a_row
        self._lock = threading.Lock()

    def run(self, inputs, names=None):
        with self._lock:
            self.jobs.append(inputs["x"].tolist())
        time.sleep(self._seconds * (len(self.jobs) % 3))  # so that jobs do not end in the order that they began
        end = time.thread_time() + self._seconds_a_row * len(inputs["x"])
        while time.thread_time() < end:
            pass
        if (inputs["x"] < 0).any():
            raise GraphFailed("a negative row")
        return {"doubled": inputs["x"] * 2, "row": inputs["x"]}


class Held(Doubling):
    """Each of its jobs waits for `step`, until it is free."""

    def __init__(self):
        super().__init__()
        self.free, self._steps = threading.Event(), threading.Semaphore(0)

    def run(self, inputs, names=None):
        result = super().run(inputs, names)
        while not self.free.is_set() and not self._steps.acquire(timeout=0.01):
            pass
        return result

    async def begun(self, jobs=1):
        """Wait for so many."""
        while len(self.jobs) < jobs:
            await asyncio.sleep(0)

    async def step(self):
        """Let the job that runs end, and wait for the next to begin."""
        jobs = len(self.jobs)
        self._steps.release()
        await self.begun(jobs + 1)


@pytest.fixture
def pool():
    """pool(threads) -> a RowPool."""
    pools = []

    def make(threads):
        pools.append(RowPool(threads))
        return pools[-1]

    yield make
    for each in pools:
        each.close()


def rows(count, first=0.0):
    return {"x": np.arange(first, first + count)}


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 64, 205])
def test_answers_come_in_the_order_of_the_rows(pool, threads, count):
    session = Doubling(seconds=0.001)
    answer = asyncio.run(pool(threads).run(Caller(), session, rows(count)))
    np.testing.assert_array_equal(answer["doubled"], np.arange(count) * 2.0)
    np.testing.assert_array_equal(answer["row"], np.arange(count))
    assert sorted(row for job in session.jobs for row in job) == list(range(count))


@pytest.mark.parametrize(
    ("threads", "count", "sizes"),
    [(2, 1, [1]), (2, 2, [1, 1]), (2, 9, [4, 5]), (4, 6, [2, 2, 2]), (1, 20, [4, CHUNK, CHUNK]), (2, 17, [1, 8, 8])],
)
def test_rows_spread_over_the_threads_in_small_jobs(pool, threads, count, sizes):
    session = Doubling()
    asyncio.run(pool(threads).run(Caller(), session, rows(count)))
    assert sorted(map(len, session.jobs)) == sizes


def test_slow_rows_are_taken_one_by_one(pool):
    """As soon as it is known that they are slow."""
    session = Doubling(seconds_a_row=0.011)
    asyncio.run(pool(1).run(Caller(), session, rows(20)))
    assert list(map(len, session.jobs)) == [CHUNK] + 12 * [1]


def test_slow_rows_of_a_graph_that_goes_token_by_token_are_taken_a_few_at_a_time(pool):
    session = Doubling(seconds_a_row=0.011)
    session.varying = True
    asyncio.run(pool(1).run(Caller(), session, rows(20)))
    assert session.jobs[0] == [*range(CHUNK)]
    assert len(session.jobs) < 12
    session = Doubling(seconds_a_row=0.11)
    session.varying = True
    asyncio.run(pool(1).run(Caller(), session, rows(12)))
    assert list(map(len, session.jobs)) == [CHUNK] + 4 * [1]


def test_a_single_row_does_not_wait_for_a_large_request(pool):
    """Of its thousands of rows, the one thread runs those that it has begun; the single row goes with the next."""
    session, shared = Held(), pool(1)

    async def both():
        large = asyncio.create_task(shared.run(Caller(), session, rows(5000)))
        for number in range(20):
            await session.begun()
            single = asyncio.create_task(shared.run(Caller(), session, rows(1, first=5000.0 + number)))
            await asyncio.sleep(0)
            for _ in range(2):
                await session.step()
            assert (await single)["row"].tolist() == [5000.0 + number]
        assert not large.done()
        session.free.set()
        return await large

    answer = asyncio.run(both())
    np.testing.assert_array_equal(answer["row"], np.arange(5000))
    assert [any(row >= 5000 for row in job) for job in session.jobs[:40]] == [False, True] * 20


def test_one_does_not_wait_for_a_large_request_of_another_graph(pool):
    """Of the same line: the large one's turn is over after a few rows."""
    session, other, shared = Held(), Doubling(), pool(1)

    async def both():
        large = asyncio.create_task(shared.run(Caller(), session, rows(5000)))
        await session.begun()
        single = asyncio.create_task(shared.run(Caller(), other, rows(1)))
        await asyncio.sleep(0)
        for _ in range(2):
            await session.step()
        await single
        session.free.set()
        await large

    asyncio.run(both())
    assert len(session.jobs) > 600


def test_callers_of_one_line_take_turns(pool, monkeypatch):
    monkeypatch.setattr("service.engine.batching.CHUNK_S", 1e9)  # however long its jobs are held
    session, shared = Held(), pool(1)

    async def three():
        callers = [shared.run(Caller(), session, rows(24, first=first)) for first in (100.0, 200.0, 300.0)]
        together = asyncio.gather(*callers)
        await session.begun()
        session.free.set()
        await together

    asyncio.run(three())
    # the first job was begun before the others came; then each has his share, and what is left takes turns
    shares = [[sum(int(row) // 100 == caller for row in job) for caller in (1, 2, 3)] for job in session.jobs]
    assert [sum(job) for job in shares] == [8] * 9
    assert shares[:2] == [[8, 0, 0], [2, 3, 3]]
    assert all(max(job[1:]) - min(job[1:]) <= 1 for job in shares[1:])


def test_single_rows_that_wait_for_one_graph_go_together(pool):
    """Two shares for a thread; to each what it has alone."""
    session, shared = Held(), pool(3)

    async def crowd():
        first = [asyncio.create_task(shared.run(Caller(), session, rows(1, first=50.0 + n))) for n in range(3)]
        await session.begun(3)
        later = [asyncio.create_task(shared.run(Caller(), session, rows(1, first=100.0 + n))) for n in range(6)]
        await asyncio.sleep(0)
        session.free.set()
        return await asyncio.gather(*first, *later)

    answers = asyncio.run(crowd())
    assert [answer["row"].tolist() for answer in answers] == [[row] for row in (50, 51, 52, *range(100, 106))]
    assert len(session.jobs[3]) == 4
    assert len(session.jobs) <= 5


def test_what_differs_in_length_does_not_go_together(pool):
    session, shared = Held(), pool(1)
    session.varying = True

    async def crowd():
        tasks = [asyncio.create_task(shared.run(Caller(), session, rows(1, first=float(n)))) for n in range(4)]
        await session.begun()
        session.free.set()
        await asyncio.gather(*tasks)

    asyncio.run(crowd())
    assert session.jobs == [[0], [1], [2], [3]]


def test_lines_take_turns_however_long_they_are(pool, monkeypatch):
    """The one row of the second line waits for one job of the first, not for its thirty callers."""
    monkeypatch.setattr("service.engine.batching.CHUNK_S", 1e9)
    session, shared = Held(), pool(1)

    async def both():
        crowd = [asyncio.create_task(shared.run(Caller("a"), session, rows(8))) for _ in range(30)]
        await asyncio.sleep(0)
        alone = asyncio.create_task(shared.run(Caller("b"), session, rows(1, first=100.0)))
        await asyncio.sleep(0)
        session.free.set()
        await asyncio.gather(alone, *crowd)

    asyncio.run(both())
    assert session.jobs.index([100.0]) == 2
    assert len(session.jobs) == 31


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_error_in_some_rows_reaches_their_caller_alone(pool, count):
    session, shared = Doubling(), pool(2)

    async def three():
        callers = (shared.run(Caller(), session, each) for each in (rows(30), rows(count, first=-1.0), rows(1)))
        return await asyncio.gather(*callers, return_exceptions=True)

    first, failed, last = asyncio.run(three())
    assert isinstance(failed, GraphFailed)
    np.testing.assert_array_equal(first["row"], np.arange(30))
    np.testing.assert_array_equal(last["row"], [0])
    assert asyncio.run(shared.run(Caller(), session, rows(9)))["row"].tolist() == list(range(9))


def test_the_rest_of_a_failed_request_is_not_computed(pool):
    session = Doubling()
    with pytest.raises(GraphFailed):
        asyncio.run(pool(1).run(Caller(), session, rows(2000, first=-1.0)))
    assert len(session.jobs) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_who_leaves_holds_up_nobody_and_is_not_computed(pool, threads):
    """The others of its line, those that came before and after it, have all their rows."""
    session, shared = Doubling(seconds=0.001), pool(threads)
    callers = [Caller() for _ in range(3)]

    async def abandon():
        first, leaves, last = (
            asyncio.create_task(shared.run(caller, session, rows(400, first=1000.0 * number)))
            for number, caller in enumerate(callers)
        )
        while not callers[1].begun:
            await asyncio.sleep(0)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        begun = callers[1].begun
        answers = await asyncio.gather(first, last)
        return begun, [answer["row"].tolist() for answer in answers]

    begun, answers = asyncio.run(abandon())
    assert answers == [[*range(400)], [*range(2000, 2400)]]
    assert callers[1].begun == begun < 400
    assert sum(1000 <= row < 2000 for job in session.jobs for row in job) == begun


def test_jobs_that_cannot_be_cut_take_turns_too(pool):
    shared, ran, together = pool(1), [], threading.Event()

    def job(name, number):
        ran.append(name)
        assert together.wait(10)
        return name, number

    async def both():
        jobs = {name: [partial(job, name, number) for number in range(3)] for name in "ab"}
        tasks = [asyncio.create_task(shared.spread(Caller(), each, [1, 2, 3])) for each in jobs.values()]
        await asyncio.sleep(0)
        together.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(both()) == [[(name, number) for number in range(3)] for name in "ab"]
    assert "".join(ran) == "aababb"
    assert asyncio.run(shared.spread(Caller(), [], [])) == []


def test_a_requests_tally_has_its_jobs_and_their_time(pool):
    session, shared = Doubling(seconds=0.001), pool(1)

    async def two_runs():
        opened, before = open_tally(), time.perf_counter()
        await shared.run(Caller(), session, rows(20))
        await shared.run(Caller(), session, rows(1))
        return opened, before, time.perf_counter()

    opened, before, after = asyncio.run(two_runs())
    assert opened.jobs == [CHUNK, CHUNK, 4, 1]
    assert before < opened.handed < after
    assert 0.001 < opened.compute_s < after - before
    assert 0 < opened.queue_s < after - before - opened.compute_s


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("50000 100000\n", 1),
        ("150000 100000\n", 2),
        ("25000 50000\n", 1),
        ("1600000 100000\n", 8),
        (None, 8),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_threads_are_the_containers_cpus(tmp_path, monkeypatch, version, limit, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if limit is not None and version == 2:
        (tmp_path / "cpu.max").write_text(limit)
    if limit is not None and version == 1:
        quota, period = limit.replace("max", "-1").split()
        (tmp_path / "cpu").mkdir()
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert usable_cpus(tmp_path) == expected


def test_threads_are_the_machines_cpus_where_affinity_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus(tmp_path / "none") == 1


def test_a_pool_has_a_thread_for_each_cpu_unless_told(pool):
    assert pool(None).threads == usable_cpus()
    assert pool(3).threads == 3
