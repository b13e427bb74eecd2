"""Every origin of a plan forecast from, by a bundle and by the baselines.

B origins at a time, L rows looked back on, P steps, C columns.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from contract.baselines import Baseline, Ridge, naive_baselines
from contract.calendar_features import calendar_features
from contract.errors import Fault, FaultyRequest
from contract.filling import Method, fill_window
from contract.intervals import Intervals
from contract.scaler import Scaler
from contract.scores import Coverage, Errors
from service.backtest.plan import LARGEST, NEXT_TO_NOTHING, Plan, thinning
from service.engine.admission import Passage
from service.engine.repository import LoadedBundle

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CHUNK, _CHUNK_VALUES = 256, 2**22
"""Origins at a time, and values that they look back on and forecast: what is in memory at once."""
_FEWEST_CALIBRATED, _MOST_CALIBRATED = 100, 3000
"""Windows that intervals around the baselines are made from: of fewer, 5 % would be a handful."""


@dataclass(slots=True)
class Results:
    """What the forecasters made of the origins that were not left out."""

    origins: list[int] = field(default_factory=list)
    errors: dict[str, Errors] = field(default_factory=dict)
    coverage: dict[str, dict[str, Coverage]] = field(default_factory=dict)  # by forecaster, then level
    squares: dict[str, list[float]] = field(default_factory=dict)  # by origin, summed, of scaled values


class Runner:
    """Runs plans for one forecast bundle; `fill` and `max_fill_share` are of contract.filling."""

    def __init__(self, loaded: LoadedBundle, fill: Method | Literal["error"], max_fill_share: float) -> None:
        self._spec = loaded.manifest.forecast_spec
        self._intervals = loaded.manifest.intervals
        self._session = loaded.sessions["forecast"]
        self._fill = fill
        self._max_fill_share = max_fill_share
        self._std = np.array(self._spec.scaler.std)

    async def run(self, plan: Plan, passage: Passage) -> tuple[Results, list[str]]:
        """What came of every origin, and what is to be told.

        Raises FaultyRequest if the model gives no finite forecast, or nothing can be compared.
        """
        baselines, notes = await asyncio.to_thread(self._baselines, plan)
        intervals = await asyncio.to_thread(self._calibrated, plan, baselines)
        calendar = await asyncio.to_thread(calendar_features, plan.stamps.times, self._spec.calendar)
        results = Results()
        values = len(self._spec.columns) * (self._spec.seq_len + self._spec.pred_len)
        size = min(_CHUNK, max(1, _CHUNK_VALUES // values))
        for start in range(0, len(plan.origins), size):
            chunk = plan.origins[start : start + size]
            origins, histories, truths = await asyncio.to_thread(self._windows, plan, chunk)
            if not len(origins):
                continue
            rows = origins[:, None] + np.arange(-self._spec.seq_len, self._spec.pred_len)
            inputs = {"history": histories, "calendar": calendar[rows]}
            forecast = (await passage.run(self._session, inputs))["forecast"]
            if not np.abs(forecast).max() <= LARGEST:  # NaN too
                message = "expected values that a finite forecast follows from, came some far beyond any trained on"
                raise FaultyRequest([Fault("/series/0/values", message)])
            results.origins += origins.tolist()
            forecasts = {"model": forecast}
            for name, baseline in baselines.items():
                forecasts[name] = await asyncio.to_thread(baseline, histories)
            for name, each in forecasts.items():
                await asyncio.to_thread(self._add, results, name, each - truths, histories, intervals)
        if not results.origins:
            message = "expected an origin with enough values to look back on and a truth to compare with, came none"
            raise FaultyRequest([Fault("/series/0/values", message)])
        return results, notes

    def _baselines(self, plan: Plan) -> tuple[dict[str, Baseline], list[str]]:
        baselines = naive_baselines(self._spec)
        train, val = self._split(plan)
        try:
            ridge = Ridge.fit(train, val, self._scaler(train), self._spec.seq_len, self._spec.pred_len)
        except ValueError:
            least = self._spec.seq_len + self._spec.pred_len
            message = f"without ridge: the {len(plan.before)} rows before the first origin have too few runs of {least}"
            return baselines, [f"{message} without a missing value"]
        return {**baselines, "ridge": ridge}, []

    def _split(self, plan: Plan) -> tuple[Floats, Floats]:
        """The part before: three quarters to fit on, and the last one with what it looks back on."""
        cut = len(plan.before) * 3 // 4
        return plan.before[:cut], plan.before[max(0, cut - self._spec.seq_len) :]

    def _calibrated(self, plan: Plan, baselines: dict[str, Baseline]) -> dict[str, Intervals]:
        """The bundle's intervals, and with them some around each baseline, made as those are: from windows before.

        Of the windows that ridge's penalty is chosen on those without a missing value. None around baselines where
        they are too few.
        """
        if self._intervals is None:
            return {}
        seq_len, length = self._spec.seq_len, self._spec.seq_len + self._spec.pred_len
        rows = self._split(plan)[1]
        if len(rows) < length + _FEWEST_CALIBRATED - 1:
            return {"model": self._intervals}
        windows = sliding_window_view(rows, length, axis=0)
        stride = thinning(len(windows), _MOST_CALIBRATED, self._spec.step.season)
        windows = windows[::stride].transpose(0, 2, 1)  # (n, C, L + P) -> (n, L + P, C)
        windows = windows[np.isfinite(windows).all(axis=(1, 2))]
        if len(windows) < _FEWEST_CALIBRATED:
            return {"model": self._intervals}
        histories, truths = windows[:, :seq_len], windows[:, seq_len:]
        season = self._intervals.season
        return {"model": self._intervals} | {
            name: Intervals.calibrate(baseline(histories) - truths, histories, self._std, season)
            for name, baseline in baselines.items()
        }

    def _scaler(self, train: Floats) -> Scaler:
        """By the rows without a missing value; columns that hardly vary in them keep the bundle's own spread."""
        whole = train[np.isfinite(train).all(axis=1)]
        if not len(whole):
            raise ValueError("expected rows to fit on, came none")
        std = whole.std(axis=0)
        std = np.where(std > NEXT_TO_NOTHING * self._std, std, self._std)
        return Scaler(self._spec.columns, tuple(whole.mean(axis=0).tolist()), tuple(std.tolist()))

    def _windows(self, plan: Plan, origins: Integers) -> tuple[Integers, Floats, Floats]:
        """The origins that are not left out (B,), what is seen from each (B, L, C), filled, and truths (B, P, C)."""
        seq_len, pred_len = self._spec.seq_len, self._spec.pred_len
        windows = sliding_window_view(plan.values, seq_len + pred_len, axis=0)[origins - seq_len]
        windows = windows.transpose(0, 2, 1)  # (B, C, L + P) -> (B, L + P, C)
        histories, truths = np.ascontiguousarray(windows[:, :seq_len]), windows[:, seq_len:]
        kept = np.array(np.isfinite(truths).any(axis=(1, 2)))
        reach = seq_len + max(seq_len, self._spec.step.season or 0)
        for index in np.flatnonzero(np.isnan(histories).any(axis=(1, 2)) & kept):
            seen = plan.values[max(0, origins[index] - reach) : origins[index]]
            filled = fill_window(seen, self._spec, self._fill, self._max_fill_share) if self._fill != "error" else None
            if filled is None:
                kept[index] = False
            else:
                histories[index] = filled
        return origins[kept], histories[kept], truths[kept]

    def _add(
        self, results: Results, name: str, errors: Floats, histories: Floats, intervals: dict[str, Intervals]
    ) -> None:
        """`errors` (B, P, C) of the forecaster `name`, in units, NaN where there is no truth."""
        sums = Errors.of(errors)
        results.errors[name] = results.errors[name] + sums if name in results.errors else sums
        squares = np.nansum(np.square(errors / self._std), axis=(1, 2))
        results.squares.setdefault(name, []).extend(squares.tolist())
        known = results.coverage.setdefault(name, {})
        for level in intervals[name].half_widths if name in intervals else ():
            measured = Coverage.of(errors, intervals[name].half_width(level, histories, self._std))
            known[level] = known[level] + measured if level in known else measured
