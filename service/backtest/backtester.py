"""A backtest from request to answer: plan, run, answer."""

import asyncio
from typing import Any

from service.backtest.answer import backtest_answer
from service.backtest.plan import Plan, plan_backtest
from service.backtest.run import Runner
from service.backtest.schemas import BacktestRequest
from service.engine.admission import Passage
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

    async def backtest(self, request: BacktestRequest, passage: Passage) -> dict[str, Any]:
        """The answer, as BacktestResponse describes it. Raises FaultyRequest with every fault, and QueueFull."""
        plan = await self.prepare(request)
        passage.enter(self._loaded.manifest.name, len(plan.origins))
        runner = Runner(self._loaded, request.fill, self._settings.max_fill_share)
        results, notes = await runner.run(plan, passage)
        return await asyncio.to_thread(backtest_answer, self._loaded.manifest, plan, results, notes)
