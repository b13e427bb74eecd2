import asyncio
from itertools import pairwise

import pytest

from service.backtest.backtester import Backtester
from service.backtest.schemas import BacktestRequest
from service.engine.admission import Passage
from service.engine.batching import RowPool
from service.engine.repository import load_bundle
from service.engine.session import CPU
from service.settings import Settings


@pytest.fixture
def backtest(bundle, series):
    """backtest(rows, run) -> the backtest of so many daily rows, all but the first fortieth forecast.

    `run(passage, session, inputs)` stands in for Passage.run.
    """
    pool = RowPool(2)

    async def backtest(rows, run):
        backtester = Backtester(load_bundle(bundle("daily").path, CPU), Settings())
        request = BacktestRequest(series=[series("daily", rows)], share=0.975)

        class Watched(Passage):
            def run(self, session, inputs):
                return run(super(), session, inputs)

        return await backtester.backtest(request, Watched(pool))

    yield backtest
    pool.close()


def test_ends_where_it_is_cancelled(backtest):
    chunks = 0

    async def run(passage, session, inputs):
        nonlocal chunks
        chunks += 1
        if chunks == 2:
            task.cancel()
        return await passage.run(session, inputs)

    async def cancelled():
        nonlocal task
        task = asyncio.create_task(backtest(2000, run))
        with pytest.raises(asyncio.CancelledError):
            await task

    task = None
    asyncio.run(cancelled())
    assert chunks == 2


def test_other_work_goes_on_meanwhile(backtest):
    """Whatever else is on the loop has its turn within every chunk, not only between two."""
    turns, turns_at_chunk = 0, []

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run(passage, session, inputs):
        turns_at_chunk.append(turns)
        return await passage.run(session, inputs)

    async def both():
        beside = asyncio.create_task(other())
        answer = await backtest(2000, run)
        beside.cancel()
        return answer

    assert asyncio.run(both())["origins"]["count"] == 1944
    assert len(turns_at_chunk) == 8
    assert all(later - earlier > 3 for earlier, later in pairwise(turns_at_chunk))
