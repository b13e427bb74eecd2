import asyncio
from itertools import pairwise

import pytest

from contract.errors import SeqcastError
from service.backtest.backtester import Backtester
from service.backtest.schemas import BacktestRequest
from service.engine.batching import RowPool
from service.engine.repository import load_bundle
from service.engine.session import CPU
from service.settings import Settings


class Left(SeqcastError):
    """The client went."""


@pytest.fixture
def run(bundle, series):
    """run(pause, rows): a backtest of so many daily rows, all but the first fortieth forecast."""

    def run(pause, rows):
        backtester = Backtester(load_bundle(bundle("daily").path, CPU), Settings())
        request = BacktestRequest(series=[series("daily", rows)], share=0.975)
        pool = RowPool(2)
        try:
            return asyncio.run(backtester.backtest(request, pool, pause))
        finally:
            pool.close()

    return run


def test_ends_soon_after_the_client_has_gone(run):
    pauses = 0

    async def pause():
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            raise Left

    with pytest.raises(Left):
        run(pause, 2000)
    assert pauses == 2


def test_other_work_goes_on_meanwhile(run):
    """Whatever else is on the loop has its turn within every chunk, not only between two."""
    turns, turns_at_pause = 0, []

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = None

    async def pause():
        nonlocal task
        task = task or asyncio.create_task(other())
        turns_at_pause.append(turns)

    answer = run(pause, 2000)
    assert answer["origins"]["count"] == 1944
    assert len(turns_at_pause) == 8
    assert all(later - earlier > 3 for earlier, later in pairwise(turns_at_pause))
