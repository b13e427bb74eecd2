import asyncio
import os
import threading
import time

import numpy as np
import pytest

from service.engine.batching import CHUNK, RowPool, usable_cpus
from service.tally import open_tally


class Doubling:
    """Stands in for a Session: doubles `x`, keeps each job's rows in the order that jobs began."""

    def __init__(self, seconds=0.0):
        self.jobs = []
        self._seconds = seconds
        self._lock = threading.Lock()

    def run(self, inputs, names=None):
        with self._lock:
            self.jobs.append(inputs["x"].tolist())
        time.sleep(self._seconds * (len(self.jobs) % 3))  # so that jobs do not end in the order that they began
        if (inputs["x"] < 0).any():
            raise ZeroDivisionError("a negative row")
        return {"doubled": inputs["x"] * 2, "row": inputs["x"]}


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
    answer = asyncio.run(pool(threads).run(session, rows(count)))
    np.testing.assert_array_equal(answer["doubled"], np.arange(count) * 2.0)
    np.testing.assert_array_equal(answer["row"], np.arange(count))
    assert sorted(row for job in session.jobs for row in job) == list(range(count))


@pytest.mark.parametrize(
    ("threads", "count", "sizes"),
    [(2, 1, [1]), (2, 2, [1, 1]), (2, 9, [4, 5]), (4, 6, [2, 2, 2]), (1, 20, [4, CHUNK, CHUNK]), (2, 17, [1, 8, 8])],
)
def test_rows_spread_over_the_threads_in_small_jobs(pool, threads, count, sizes):
    session = Doubling()
    asyncio.run(pool(threads).run(session, rows(count)))
    assert sorted(map(len, session.jobs)) == sizes


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 100)])
def test_a_single_row_does_not_wait_for_a_large_request(pool, threads, most):
    """Of the 250 jobs, one thread runs at most the one that it had been given; two may overtake each other."""
    session, shared = Doubling(seconds=0.0005), pool(threads)

    async def both():
        large = asyncio.create_task(shared.run(session, rows(2000)))
        while not session.jobs:
            await asyncio.sleep(0)
        begun = len(session.jobs)
        await shared.run(session, rows(1, first=5000.0))
        before = session.jobs.index([5000.0]) - begun
        await large
        return before

    assert asyncio.run(both()) <= most
    assert len(session.jobs) == 2000 / CHUNK + 1


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_error_in_some_rows_reaches_their_caller_alone(pool, count):
    session, shared = Doubling(), pool(2)

    async def three():
        callers = (shared.run(session, each) for each in (rows(30), rows(count, first=-1.0), rows(1)))
        return await asyncio.gather(*callers, return_exceptions=True)

    first, failed, last = asyncio.run(three())
    assert isinstance(failed, ZeroDivisionError)
    np.testing.assert_array_equal(first["row"], np.arange(30))
    np.testing.assert_array_equal(last["row"], [0])
    assert asyncio.run(shared.run(session, rows(9)))["row"].tolist() == list(range(9))


def test_the_rest_of_a_failed_request_is_not_computed(pool):
    session = Doubling()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool(1).run(session, rows(2000, first=-1.0)))
    assert len(session.jobs) == 1


def test_the_rest_of_an_abandoned_request_is_not_computed(pool):
    session, shared = Doubling(seconds=0.001), pool(1)

    async def abandon():
        task = asyncio.create_task(shared.run(session, rows(2000)))
        while not session.jobs:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(abandon())
    assert shared.waiting() == 0
    shared.close()
    assert len(session.jobs) <= 3


@pytest.mark.parametrize("fails", [False, True])
def test_rows_wait_until_their_job_begins(pool, fails):
    session, shared = Doubling(seconds=0.001), pool(1)

    async def watched():
        large = asyncio.create_task(shared.run(session, rows(200, first=-9.0 if fails else 0.0)))
        seen = []
        while not large.done():
            await asyncio.sleep(0)
            seen.append(shared.waiting())
        return seen, await asyncio.gather(large, return_exceptions=True)

    seen, _ = asyncio.run(watched())
    assert max(seen) >= 200 - CHUNK
    assert seen[-1] == shared.waiting() == 0


def test_a_requests_tally_has_its_jobs_and_their_time(pool):
    session, shared = Doubling(seconds=0.001), pool(1)

    async def two_runs():
        opened, before = open_tally(), time.perf_counter()
        await shared.run(session, rows(20))
        await shared.run(session, rows(1))
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
def test_threads_are_the_containers_cpus(tmp_path, monkeypatch, limit, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert usable_cpus(tmp_path / "cpu.max") == expected


def test_threads_are_the_machines_cpus_where_affinity_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus(tmp_path / "none") == 1


def test_a_pool_has_a_thread_for_each_cpu_unless_told(pool):
    assert pool(None).threads == usable_cpus()
    assert pool(3).threads == 3
