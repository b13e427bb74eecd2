"""A backtest of a table on disk, without a service: what `seqcast backtest` runs."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.errors import Fault, FaultyRequest
from service.backtest.backtester import Backtester
from service.backtest.schemas import BacktestRequest
from service.csv_tables import read_table
from service.engine.admission import Passage
from service.engine.gathering import choose_pool
from service.engine.repository import Repository
from service.engine.session import choose_device
from service.schemas import read
from service.settings import Settings
from service.tables import TableOptions


async def backtest_of_table(
    path: Path, time_name: str | None, fields: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """The answer, as BacktestResponse describes it; `fields` are those of a BacktestRequest but for its series.

    Raises FaultyRequest, UnknownModel or NotReady.
    """
    device = choose_device(*settings.device_wanted)
    repository = Repository(settings.bundles, device, settings.versions)
    repository.load()
    loaded = repository.served.get(fields["model"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FaultyRequest([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    columns = loaded.manifest.forecast_spec.columns
    # what is on disk has no limit
    table = read_table(content, TableOptions(sys.maxsize, time_name=time_name, columns=lambda _: columns))
    request, faults = read(BacktestRequest, {**fields, "series": table.series})
    if request is None or faults:
        raise FaultyRequest(faults)
    pool = choose_pool(device, settings.threads, 0.0)
    try:
        with table.pointing():
            answer = await Backtester(loaded, settings).backtest(request, Passage(pool))
    finally:
        pool.close()
    return {**answer, "warnings": [*table.notes, *answer["warnings"]]}
