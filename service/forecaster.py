"""A request's series -> a forecast graph's rows -> forecasts. Three steps: prepare, run, finish."""

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput, FaultyRequest, NotReady, UnknownModel
from contract.forecast_window import ForecastWindow, forecast_window
from contract.manifest import ForecastSpec
from contract.quoting import shown
from contract.timestamps import Timestamps
from service.attention import WantedMaps, choose_maps, tell_maps
from service.backtest.schemas import BacktestRequest
from service.engine.admission import Passage
from service.engine.repository import LoadedBundle, Served
from service.engine.session import Arrays
from service.faults import MOST_FAULTS, faults_of
from service.schemas import ForecastRequest, Series, read
from service.series import CheckedSeries, check_series, has_columns, longest
from service.settings import Settings
from service.tally import tally
from service.turns import Turns

T = TypeVar("T")

LONG = 2000
"""Rows of a series that is checked in a thread: longer than a turn on the loop lasts."""
OUTLYING = 4
"""Standard deviations of the training rows from their mean, beyond which a value is counted as outlying."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A series made ready: one row of the graph's batch, and what its answer needs."""

    id: str | None
    stamps: Timestamps
    window: ForecastWindow
    warnings: tuple[str, ...]
    filled: NDArray[np.bool] | None


class Forecasters:
    """The forecasters of the bundles served."""

    def __init__(self, served: Served, settings: Settings) -> None:
        self._served = served
        attentive = [loaded.manifest.name for loaded in served.newest if loaded.manifest.attention]
        self._made = {
            loaded: Forecaster(loaded, settings, attentive)
            for loaded in served.all
            if loaded.manifest.forecast is not None
        }
        self._newest = [self._made[loaded] for loaded in served.newest if loaded in self._made]

    def choose(self, request: ForecastRequest | BacktestRequest) -> "Forecaster":
        """The one named, or the only one, or the only one that has the request's columns.

        Raises UnknownModel, FaultyRequest if the request leaves the choice open, NotReady if there is none.
        """
        if request.model is not None:
            loaded = self._served.get(request.model)
            _ = loaded.manifest.forecast_spec  # of another task, it is no model of ours
            return self._made[loaded]
        if not self._newest:
            raise NotReady("no forecast bundle is served; /readyz tells why")
        candidates = self._newest
        if len(candidates) > 1:
            candidates = [each for each in candidates if each.fits(request)]
        if len(candidates) != 1:
            names = ", ".join(each.manifest.name for each in self._newest)
            message = f"required, since the columns do not tell it; one of {names}"
            raise FaultyRequest([Fault("/model", message), *_schema_faults(request)])
        chosen = candidates[0].manifest
        tally().chose(chosen.name, chosen.version)
        return candidates[0]

    def columns(self, model: str | None, names: Collection[str]) -> tuple[str, ...] | None:
        """Those of the model named, or of the only one whose columns are all among the `names` of a table's."""
        if model is None:
            fitting = [each.spec.columns for each in self._newest if set(each.spec.columns) <= set(names)]
            return fitting[0] if len(fitting) == 1 else None
        try:
            made = self._made.get(self._served.get(model))
        except UnknownModel:  # which is told with the request's other faults
            return None
        return made.spec.columns if made is not None else None

    async def faults(self, request: ForecastRequest) -> list[Fault]:
        """What is wrong with the content of a request, as far as its model can be told."""
        return await faults_of(lambda: self.choose(request).prepare(request))


class Forecaster:
    """Serves one forecast bundle; `attentive` are the names of those served that give attention maps."""

    def __init__(self, loaded: LoadedBundle, settings: Settings, attentive: Sequence[str]) -> None:
        self._settings = settings
        self._attentive = attentive
        self.loaded = loaded
        self.manifest = loaded.manifest
        self.spec = loaded.manifest.forecast_spec
        self._sessions = loaded.sessions
        far = OUTLYING * np.array(self.spec.scaler.std)
        self._least, self._most = self.spec.scaler.mean - far, self.spec.scaler.mean + far
        # five digits below a column's standard deviation: more would be noise, and longer answers
        self._digits = 10.0 ** (5 - np.floor(np.log10(self.spec.scaler.std)))

    def fits(self, request: ForecastRequest | BacktestRequest) -> bool:
        """Whether a series has just this bundle's columns."""
        some = (data for data in request.series[:MOST_FAULTS] if isinstance(data, dict))
        return any(has_columns(data.get("values"), self.spec) for data in some)

    async def forecast(self, request: ForecastRequest, passage: Passage) -> dict[str, Any]:
        """The answer, as ForecastResponse describes it. Raises QueueFull, and FaultyRequest with every fault."""
        passage.enter(self.manifest.name, len(request.series) * self._runs(request)[0])
        rows = await self.prepare(request)
        horizon = request.horizon or self.spec.pred_len
        inputs = await _apart(len(rows), _inputs, rows)
        noted = tally()
        noted.values = inputs["history"].size
        noted.missing = sum(int(row.filled.sum()) for row in rows if row.filled is not None)
        noted.outlying = await _apart(len(rows), self._outlying, inputs["history"])
        wanted = choose_maps(request.attention, self.manifest.attention)
        forecast, maps = await self._roll(inputs["history"], inputs["calendar"], wanted, passage)
        if not np.isfinite(forecast).all():
            unbounded = np.flatnonzero(~np.isfinite(forecast).all(axis=(1, 2)))
            message = "expected values that a finite forecast follows from, came some far beyond any trained on"
            raise FaultyRequest([Fault(f"/series/{index}/values", message) for index in unbounded])
        forecast = forecast[:, :horizon]
        pred_len = self.spec.pred_len
        rolled = [f"steps {pred_len + 1} to {horizon} rest on forecast values"] if horizon > pred_len else []
        if rolled and wanted:
            rolled.append(f"attention is that of the first pass, which forecasts steps 1 to {pred_len}")
        half_widths = await _apart(len(rows), self._half_widths, request.levels, inputs["history"], horizon)
        forecasts, turns = [], Turns()
        for index, row in enumerate(rows):
            told: dict[str, Any] = {
                "id": row.id,
                "timestamps": row.stamps.write(row.window.future_times[:horizon]),
                "values": self._columns(forecast[index]),
                "intervals": {
                    level: self._bounds(forecast[index], half_width[index]) for level, half_width in half_widths.items()
                },
                "warnings": [*row.warnings, *rolled],
            }
            if request.history:
                told["history"] = self._seen(row)
            if wanted:
                told["attention"] = await tell_maps(wanted, maps, index, self._all_stamps(row))
            forecasts.append(told)
            await turns.pause()
        return {"model": self.manifest.name, "version": self.manifest.version, "forecasts": forecasts}

    async def prepare(self, request: ForecastRequest) -> list[_Row]:
        """A row for each series. Raises FaultyRequest with every fault."""
        rows: list[_Row] = []
        runs, faults = self._runs(request)
        known = self.manifest.intervals.half_widths if self.manifest.intervals else {}
        faults += [
            Fault(
                f"/levels/{index}", f"expected one of {', '.join(known) or 'none, for this model'}, came {shown(level)}"
            )
            for index, level in enumerate(request.levels)
            if str(level) not in known
        ]
        faults += self._attention_faults(request)
        turns = Turns()
        for index, data in enumerate(request.series):
            await turns.pause()
            try:
                length = longest(data)
                if length > self._settings.max_rows:
                    message = f"expected at most {self._settings.max_rows} rows, came {length}: the last"
                    message = f"{message} {self.spec.seq_len} are enough, and with fill some more"
                    raise FaultyInput([Fault(f"/series/{index}", message)])
                given = data, self.spec, f"/series/{index}", request.fill, self._settings.max_fill_share
                checked = await asyncio.to_thread(check_series, *given) if length > LONG else check_series(*given)
                window = self._window(checked, runs, rows[-1:])
                rows.append(_Row(checked.id, checked.stamps, window, checked.notes, checked.filled))
                if not checked.stamps.fits(window.future_times):
                    message = (
                        "expected a forecast that ends before the year 10000, which ISO 8601 has no four digits for"
                    )
                    if checked.stamps.epoch is not None:
                        unit = checked.stamps.epoch
                        message = f"expected epoch numbers of 64 bits, but in {unit} the forecast's are larger"
                    faults.append(Fault(f"/series/{index}", message))
            except FaultyInput as error:
                faults += error.faults
            if len(faults) > MOST_FAULTS:
                break
        if faults:
            raise FaultyRequest(faults)
        return rows

    def _window(self, checked: CheckedSeries, runs: int, before: Sequence[_Row]) -> ForecastWindow:
        """Series of one request usually share their timeline, and then their calendar: a tenth of its work to see."""
        for row in before:
            if np.array_equal(row.stamps.times, checked.stamps.times):
                return replace(row.window, history=checked.values[-self.spec.seq_len :])
        return forecast_window(checked.stamps.times, checked.values, self.spec, runs)

    def _runs(self, request: ForecastRequest) -> tuple[int, list[Fault]]:
        """How many times the model has to run for the horizon, and what is wrong with that."""
        pred_len, factor = self.spec.pred_len, self._settings.max_horizon_factor
        horizon = request.horizon or pred_len
        if horizon > factor * pred_len:
            reach = "this model's reach" if factor == 1 else f"{factor} times this model's reach"
            return 1, [Fault("/horizon", f"expected 1 to {factor * pred_len}, {reach}, came {shown(horizon)}")]
        if horizon > pred_len and request.levels:
            # how errors grow where forecasts are forecast from was never measured: no width would be honest
            message = f"expected none with a horizon beyond {pred_len}, for which intervals are calibrated"
            return 1, [Fault("/levels", f"{message}, came {shown(request.levels)} with {horizon}")]
        return -(-horizon // pred_len), []

    def _attention_faults(self, request: ForecastRequest) -> list[Fault]:
        if request.attention is False:
            return []
        if not self.manifest.attention:
            others = f"those served that have are {', '.join(self._attentive) or 'none'}"
            message = f"expected false, for {self.manifest.name} has no attention maps; {others}"
            return [Fault("/attention", f"{message}; came {shown(request.attention)}")]
        try:
            wanted = choose_maps(request.attention, self.manifest.attention)
        except FaultyInput as error:
            return list(error.faults)
        size, most = sum(each.size for each in wanted), self._settings.max_attention_values
        if len(request.series) * size > most:
            came = f"{len(request.series) * size}: {size} for each of {len(request.series)} series"
            message = f"expected at most {most} weights in all, came {came}; ask for fewer series, heads, layers, kinds"
            return [Fault("/attention", message)]
        return []

    async def _roll(
        self,
        history: NDArray[np.float64],
        calendar: NDArray[np.float32],
        wanted: Sequence[WantedMaps],
        passage: Passage,
    ) -> tuple[NDArray[np.float64], Arrays]:
        """(B, seq_len, C) and (B, seq_len + n * pred_len, F) -> (B, n * pred_len, C), and the maps of the first run.

        The forecast of each run is history to the next.
        """
        seq_len, pred_len = self.spec.seq_len, self.spec.pred_len
        session = self._sessions["attention" if wanted else "forecast"]
        names = ["forecast", *(name for each in wanted for name in each.outputs)]
        first: Arrays = {}
        forecasts: list[NDArray[np.float64]] = []
        for start in range(0, calendar.shape[1] - seq_len, pred_len):
            if forecasts:
                history = np.concatenate([history, forecasts[-1]], axis=1)[:, -seq_len:]
                session, names = self._sessions["forecast"], ["forecast"]
            seen = calendar[:, start : start + seq_len + pred_len]
            outputs = await passage.run(session, {"history": history, "calendar": seen}, names)
            first = first or outputs
            forecasts.append(outputs["forecast"])
        return np.concatenate(forecasts, axis=1), first

    def _all_stamps(self, row: _Row) -> list[str] | list[int] | list[float]:
        """Of the history that the model sees, and of its first forecast: (seq_len + pred_len,)."""
        future = row.window.future_times[: self.spec.pred_len]
        return row.stamps.write(np.concatenate([row.stamps.times[-self.spec.seq_len :], future]))

    def _seen(self, row: _Row) -> dict[str, Any]:
        """The history as the model saw it, as SeenHistory describes it."""
        columns = self.spec.columns
        filled = {} if row.filled is None else zip(columns, map(np.flatnonzero, row.filled.T), strict=True)
        return {
            "timestamps": row.stamps.write(row.stamps.times[-self.spec.seq_len :]),
            "values": dict(zip(columns, row.window.history.T.tolist(), strict=True)),
            "filled": {name: places.tolist() for name, places in filled if len(places)},
        }

    def _half_widths(
        self, levels: Sequence[int], histories: NDArray[np.float64], horizon: int
    ) -> dict[str, NDArray[np.float64]]:
        """Half the width of each interval by level: (B, seq_len, C) -> (B, horizon, C)."""
        intervals, std = self.manifest.intervals, np.array(self.spec.scaler.std)
        if intervals is None:
            return {}
        return {str(level): intervals.half_width(str(level), histories, std)[:, :horizon] for level in levels}

    def _outlying(self, histories: NDArray[np.float64]) -> int:
        """How many values of (B, seq_len, C) are far from the training rows'."""
        return int(np.count_nonzero((histories < self._least) | (histories > self._most)))

    def _bounds(self, forecast: NDArray[np.float64], half_width: NDArray[np.float64]) -> dict[str, Any]:
        """(horizon, C) each, in units -> lower and upper by column."""
        lower, upper = self._columns(forecast - half_width), self._columns(forecast + half_width)
        return {name: {"lower": lower[name], "upper": upper[name]} for name in lower}

    def _columns(self, rows: NDArray[np.float64]) -> dict[str, list[float]]:
        """(horizon, C) in units -> rounded, by column."""
        rounded = np.rint(rows * self._digits) / self._digits
        return dict(zip(self.spec.columns, rounded.T.tolist(), strict=True))


async def _apart(rows: int, work: Callable[..., T], *given: Any) -> T:
    """numpy on large arrays, which needs no lock, in a thread; the way there would take longer than a few rows do."""
    return await asyncio.to_thread(work, *given) if rows > 64 else work(*given)


def _inputs(rows: Sequence[_Row]) -> dict[str, NDArray[Any]]:
    """The graph's inputs, B rows each."""
    return {
        # as np.stack would, in a third of its time for one row
        "history": np.array([row.window.history for row in rows]),
        "calendar": np.array([row.window.calendar for row in rows]),
    }


def _schema_faults(request: ForecastRequest | BacktestRequest) -> list[Fault]:
    """What is wrong with the series whichever model they are for."""
    some = enumerate(request.series[:MOST_FAULTS])
    return [fault for index, data in some for fault in read(Series, data, f"/series/{index}")[1]]


def sample_request(loaded: LoadedBundle, rows: int | None = None) -> dict[str, Any]:
    """A body for POST /forecast: the bundle's first golden history, which is made up.

    With `rows` it goes on to so many, at most pred_len more: who holds those back has a truth to compare with.
    Raises FaultyRequest for another number.
    """
    golden, spec = loaded.golden, loaded.manifest.forecast_spec
    least, most = spec.seq_len, spec.seq_len + spec.pred_len
    if rows is not None and not least <= rows <= most:
        raise FaultyRequest([Fault("/rows", f"expected {least} to {most} of this model, came {shown(rows)}")])
    times, more = golden["times"].astype("M8[ms]"), (rows or least) - least
    times = np.concatenate([times, spec.step.following(times, more)])
    history = np.concatenate([golden["history"][0], _going_on(golden["history"][0], more, spec)])
    return {
        "model": loaded.manifest.name,
        "series": [
            {
                "timestamps": Timestamps(times, None).write(times),
                "values": dict(zip(spec.columns, history.T.tolist(), strict=True)),
            }
        ],
    }


def _going_on(history: NDArray[Any], more: int, spec: ForecastSpec) -> NDArray[np.float64]:
    """Made-up rows behind a made-up history (L, C) -> (more, C): its season's wave goes on, the rest comes mirrored."""
    scaled = spec.scaler.scale(history)
    angle = 2 * np.pi * np.arange(len(history) + more)[:, None] / (spec.step.season or len(history))
    waves = np.hstack([np.sin(angle), np.cos(angle)])
    wave = waves @ np.linalg.lstsq(waves[: len(history)], scaled)[0]
    rest = np.pad(scaled - wave[: len(history)], ((0, more), (0, 0)), mode="reflect")
    values = spec.scaler.unscale(wave + rest)[len(history) :]
    digits = (4 - math.ceil(math.log10(std)) for std in spec.scaler.std)  # as the golden history has them
    return np.column_stack([np.round(column, each) for column, each in zip(values.T, digits, strict=True)])
