"""A request's series -> a forecast graph's rows -> forecasts. Three steps: prepare, run, finish."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput, FaultyRequest, NotReady, UnknownModel
from contract.forecast_window import ForecastWindow, forecast_window
from contract.frequency import Frequency
from contract.timestamps import Timestamps, parse_timestamps
from service.engine.batching import RowPool
from service.engine.repository import LoadedBundle, Repository
from service.pointers import escape
from service.schemas import ForecastRequest, Series

SHOWN_FAULTS = 100
MOST_FAULTS = 1000
"""Faults listed for one column, and after which no more are looked for: a hostile body could hold millions."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A series made ready: one row of the graph's batch, and what its answer needs."""

    id: str | None
    stamps: Timestamps
    window: ForecastWindow


class Forecasters:
    """The forecasters of a repository's bundles."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._by_name = {name: Forecaster(loaded) for name, loaded in repository.loaded.items()}

    def choose(self, request: ForecastRequest) -> "Forecaster":
        """The one named, or the only one, or the only one that has the request's columns.

        Raises UnknownModel, FaultyRequest if the request leaves the choice open, NotReady if there is none.
        """
        if request.model is not None:
            return self._by_name[self._repository.get(request.model).manifest.name]
        if not self._by_name:
            raise NotReady("no forecast bundle is served; /readyz tells why")
        candidates = list(self._by_name.values())
        if len(candidates) > 1:
            candidates = [each for each in candidates if each.fits(request)]
        if len(candidates) != 1:
            served = ", ".join(self._by_name)
            raise FaultyRequest([Fault("/model", f"required, since the columns do not tell it; one of {served}")])
        return candidates[0]

    def faults(self, request: ForecastRequest) -> list[Fault]:
        """What is wrong with the content of a request, as far as its model can be told."""
        try:
            self.choose(request).prepare(request)
        except FaultyInput as error:
            return list(error.faults)
        except (UnknownModel, NotReady):
            return []
        return []


class Forecaster:
    """Serves one forecast bundle."""

    def __init__(self, loaded: LoadedBundle) -> None:
        self.manifest = loaded.manifest
        self.spec = loaded.manifest.forecast
        self._step = self.spec.step
        self._session = loaded.sessions["forecast"]
        # five digits below a column's standard deviation: more would be noise, and longer answers
        self._digits = 10.0 ** (5 - np.floor(np.log10(self.spec.scaler.std)))

    def fits(self, request: ForecastRequest) -> bool:
        """Whether the first series has just this bundle's columns."""
        return request.series[0].values.keys() == set(self.spec.columns)

    async def forecast(self, request: ForecastRequest, pool: RowPool) -> dict[str, Any]:
        """The answer, as ForecastResponse describes it. Raises FaultyRequest with every fault."""
        rows = self.prepare(request)
        inputs: dict[str, NDArray[Any]] = {
            "history": np.stack([row.window.history for row in rows]),
            "calendar": np.stack([row.window.calendar for row in rows]),
        }
        outputs = await pool.run(self._session, inputs)
        horizon = request.horizon or self.spec.pred_len
        return {
            "model": self.manifest.name,
            "version": self.manifest.version,
            "forecasts": self._finish(rows, outputs["forecast"][:, :horizon]),
        }

    def prepare(self, request: ForecastRequest) -> list[_Row]:
        """A row for each series. Raises FaultyRequest with every fault."""
        faults: list[Fault] = []
        rows: list[_Row] = []
        if request.horizon is not None and request.horizon > self.spec.pred_len:
            faults.append(
                Fault("/horizon", f"expected 1 to {self.spec.pred_len}, this model's reach, came {request.horizon}")
            )
        for index, series in enumerate(request.series):
            try:
                rows.append(self._row(series, f"/series/{index}"))
            except FaultyInput as error:
                faults += error.faults
            if len(faults) > MOST_FAULTS:
                break
        if faults:
            raise FaultyRequest(faults)
        return rows

    def _row(self, series: Series, pointer: str) -> _Row:
        """Raises FaultyInput with every fault of this series."""
        values, faults = self._values(series, pointer)
        length = len(next(iter(series.values.values()), ()))
        try:
            stamps = self._stamps(series, length, pointer)
        except FaultyInput as error:
            raise FaultyInput([*faults, *error.faults]) from None
        if faults:
            raise FaultyInput(faults)
        return _Row(series.id, stamps, forecast_window(stamps.times, values, self.spec))

    def _values(self, series: Series, pointer: str) -> tuple[NDArray[np.float64], list[Fault]]:
        """The columns (L, C) in the bundle's order, and what is wrong with them."""
        spec, given = self.spec, series.values
        unknown = [name for name in given if name not in spec.columns]
        faults = [
            Fault(f"{pointer}/values/{escape(name)}", f"unknown column; expected {', '.join(spec.columns)}")
            for name in unknown[:SHOWN_FAULTS]
        ]
        faults += [
            Fault(f"{pointer}/values/{escape(name)}", "required column, but missing")
            for name in spec.columns
            if name not in given
        ]
        lengths = {name: len(column) for name, column in given.items()}
        length = next(iter(lengths.values()), 0)
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {count}" for name, count in lengths.items() if name in spec.columns)
            faults.append(Fault(f"{pointer}/values", f"expected columns of one length, came {shown}"))
        elif length < spec.seq_len:
            faults.append(Fault(f"{pointer}/values", f"expected at least {spec.seq_len} rows, came {length}"))
        columns = []
        for name in spec.columns:
            try:
                columns.append(_numbers(given.get(name, ()), f"{pointer}/values/{escape(name)}"))
            except FaultyInput as error:
                faults += error.faults
        return np.stack(columns, axis=1) if not faults else np.empty((0, len(spec.columns))), faults

    def _stamps(self, series: Series, length: int, pointer: str) -> Timestamps:
        """The timestamp of every row. Raises FaultyInput unless they are one frequency apart."""
        step, faults = self._step, []
        if series.frequency is not None:
            try:
                if Frequency.parse(series.frequency) != step:
                    raise ValueError(f"expected {step}, this model's frequency, came {series.frequency}")
            except ValueError as error:
                faults.append(Fault(f"{pointer}/frequency", str(error)))
        if series.timestamps is not None and series.start is None:
            if len(series.timestamps) != length:
                message = f"expected a timestamp for each of {length} rows, came {len(series.timestamps)}"
                faults.append(Fault(f"{pointer}/timestamps", message))
            stamps = parse_timestamps(series.timestamps, f"{pointer}/timestamps")
            faults += uneven(stamps, step, f"{pointer}/timestamps")
        elif series.start is not None and series.timestamps is None and series.frequency is not None:
            first = parse_timestamps([series.start], f"{pointer}/start")
            rest = step.following(first.times, max(length - 1, 0))
            stamps = Timestamps(np.concatenate([first.times, rest]), first.zone, first.epoch)
        else:
            faults.append(Fault(pointer, "expected timestamps, or start and frequency, and not both"))
        if faults:
            raise FaultyInput(faults)
        return stamps

    def _finish(self, rows: Sequence[_Row], outputs: NDArray[np.float64]) -> list[dict[str, Any]]:
        """`outputs` (B, horizon, C), in units."""
        rounded = np.rint(outputs * self._digits) / self._digits
        horizon = outputs.shape[1]
        return [
            {
                "id": row.id,
                "timestamps": row.stamps.write(row.window.future_times[:horizon]),
                "values": dict(zip(self.spec.columns, columns.tolist(), strict=True)),
                "warnings": [],
            }
            for row, columns in zip(rows, rounded.transpose(0, 2, 1), strict=True)
        ]


def uneven(stamps: Timestamps, step: Frequency, pointer: str) -> list[Fault]:
    """Rows out of order, twice, or not one `step` after the row before."""
    times = stamps.times
    breaks = step.breaks(times)
    if not len(breaks):
        return []
    distances = np.diff(times)
    if len(breaks) == len(distances) > 1 and (distances == distances[0]).all() and distances[0].astype(int) > 0:
        return [Fault(pointer, f"expected rows {step} apart, this model's frequency, came {distances[0]} apart")]
    faults = []
    for row in breaks[:SHOWN_FAULTS]:
        before, this = stamps.write(times[row - 1 : row + 1])
        distance = distances[row - 1].astype(int)
        kind = "a gap" if distance > 0 else "a duplicate" if distance == 0 else "a step back"
        faults.append(Fault(f"{pointer}/{row}", f"expected {step} after {before}, came {this}: {kind}"))
    return faults


def _numbers(column: Sequence[Any], pointer: str) -> NDArray[np.float64]:
    """Raises FaultyInput where a value is not a finite number."""
    if set(map(type, column)) <= {float, int}:
        try:
            numbers = np.array(column, np.float64)
        except OverflowError:  # an integer beyond the largest double
            numbers = np.array([np.inf])
        if np.isfinite(numbers).all():
            return numbers
    raise FaultyInput(list(_not_numbers(column, pointer)))


def _not_numbers(column: Sequence[Any], pointer: str) -> Iterable[Fault]:
    shown = 0
    for row, value in enumerate(column):
        if type(value) in (int, float) and abs(value) <= 1.7976931348623157e308:
            continue
        came = "null: missing values are not filled" if value is None else repr(value)[:60]
        yield Fault(f"{pointer}/{row}", f"expected a finite number, came {came}")
        shown += 1
        if shown == SHOWN_FAULTS:
            return


def sample_request(loaded: LoadedBundle) -> dict[str, Any]:
    """A body for POST /forecast: the bundle's first golden history, which is made up."""
    golden = loaded.bundle.golden()
    spec = loaded.manifest.forecast
    times = golden["times"].astype("M8[ms]")
    values = dict(zip(spec.columns, golden["history"][0].T.tolist(), strict=True))
    return {
        "model": loaded.manifest.name,
        "series": [{"timestamps": Timestamps(times, None).write(times), "values": values}],
    }
