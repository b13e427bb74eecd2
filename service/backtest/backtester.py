"""A backtest from request to answer: plan, run, answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from service.backtest.answer import backtest_answer
from service.backtest.plan import Plan, plan_backtest
from service.backtest.run import Runner
from service.backtest.schemas import BacktestRequest
from service.engine.batching import RowPool
from service.engine.repository import LoadedBundle
from service.settings import Settings


class Backtester:
    """Backtests one forecast bundle."""

    def __init__(self, loaded: LoadedBundle, settings: Settings) -> None:
        self._loaded = loaded
        self._settings = settings

    async def prepare(self, request: BacktestRequest) -> Plan:
        """Raises FaultyRequest with every fault."""
        most = self._settings.max_backtest_origins
        # in a thread, as is all that takes long: other requests go on meanwhile
        return await asyncio.to_thread(plan_backtest, request, self._loaded.manifest.forecast_spec, most)

    async def backtest(
        self, request: BacktestRequest, pool: RowPool, pause: Callable[[], Awaitable[None]]
    ) -> dict[str, Any]:
        """The answer, as BacktestResponse describes it; what `pause`, awaited now and then, raises ends the work.

        Raises FaultyRequest with every fault.
        """
        plan = await self.prepare(request)
        runner = Runner(self._loaded, request.fill, self._settings.max_fill_share)
        results, notes = await runner.run(plan, pool, pause)
        return await asyncio.to_thread(backtest_answer, self._loaded.manifest, plan, results, notes)
