"""Pictures of an evaluation: forecasts against the truth, errors and coverage by step, attention.

Each is a function that gives a Figure; `draw` writes them. Colours are those of Okabe and Ito (2008), which people who
see no red or no green tell apart. N windows, L rows of context, P steps, C columns, H heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from contract.attention import AttentionSpec
from contract.frequency import Frequency, Times
from contract.intervals import Intervals
from contract.manifest import ForecastSpec
from model.evaluate import Attentive, Evaluation, Forecaster, Scores, forecast_errors
from model.forecasting import ForecastData
from model.windows import Windows

Floats = NDArray[np.float64]

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
TRUTH = "#333333"
_BANDS = {"95": "#D3E5F1", "80": "#A3CAE4"}
_FORECASTERS = (BLUE, ORANGE, GREEN, VERMILION)
_MARKERS = "osD^"
_HATCHED = {"facecolor": "#F2F2F2", "edgecolor": "#BBBBBB", "hatch": "////"}
_DPI = 120
_UNITS = {"s": "second", "min": "minute", "h": "hour", "D": "day", "B": "business day", "W": "week", "M": "month"}
_PERCENTILES = (10, 50, 90)
"""Of the windows' errors: which windows are shown is not ours to choose."""


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a split from its row `start` on, and what a model made of it."""

    start: int
    title: str
    times: Times  # (L + P,)
    truth: Floats  # (L + P, C), in units
    forecast: Floats  # (P, C), in units
    half_widths: dict[str, Floats]  # by level, (P, C), in units


def draw(
    folder: Path,
    evaluation: Evaluation,
    forecaster: Forecaster,
    data: ForecastData,
    spec: ForecastSpec,
    intervals: Intervals,
) -> list[Path]:
    """Write every picture of `evaluation` into `folder` as PNG, over those of that name; return their paths."""
    figures = {"error_by_step": error_by_step(evaluation, spec), "coverage_by_step": coverage_by_step(evaluation, spec)}
    windows = windows_by_error(forecaster, data, spec, intervals, evaluation.split)
    for percentile, window in windows.items():
        figures[f"forecast_p{percentile}"] = forecast_against_truth(window, spec)
    if isinstance(forecaster, Attentive):
        figures |= _attention_of(forecaster, windows[50], data.units[evaluation.split], spec)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def windows_by_error(
    forecaster: Forecaster, data: ForecastData, spec: ForecastSpec, intervals: Intervals, split: str
) -> dict[int, Window]:
    """The windows of `split` at some percentiles of its mean squared errors on scaled values."""
    windows, std = data.units[split], np.array(spec.scaler.std)
    errors = forecast_errors(forecaster, windows).numpy()  # (N, P, C)
    mse = np.square(errors / std).mean(axis=(1, 2))
    order = mse.argsort(kind="stable")
    shown = {}
    for percentile in _PERCENTILES:
        start = int(order[round((len(order) - 1) * percentile / 100)])
        history, _, future = (part.numpy() for part in windows.batch(torch.tensor([start])))
        shown[percentile] = Window(
            start,
            f"At percentile {percentile} of the errors of {len(order):,} {split} windows: "
            f"MSE {mse[start]:.3g} on scaled values",
            data.times[split][windows.starts[start] :][: spec.seq_len + spec.pred_len],
            np.concatenate([history, future], axis=1)[0],
            future[0] + errors[start],
            {level: intervals.half_width(level, history, std)[0] for level in _BANDS if level in intervals.half_widths},
        )
    return shown


def forecast_against_truth(window: Window, spec: ForecastSpec) -> Figure:
    """A panel for each column: the latest rows of context, then truth and forecast with its intervals."""
    steps = len(window.forecast)
    shown = slice(max(0, len(window.times) - 4 * max(steps, 12)), None)
    future = slice(len(window.times) - steps, None)
    marker = "." if steps < 3 else None
    columns = len(spec.columns)
    figure, panels = _panels(columns, window.title, width=8 if columns == 1 else 4, height=3 if columns == 1 else 2)
    for column, axes in enumerate(panels):
        forecast = window.forecast[:, column]
        for level, half_width in window.half_widths.items():
            low, high = forecast - half_width[:, column], forecast + half_width[:, column]
            style = {"color": _BANDS[level], "label": f"{level} % interval"}
            if steps == 1:  # a band between neighbours, of which there are none
                axes.vlines(window.times[future], low, high, lw=6, **style)
            else:
                axes.fill_between(window.times[future], low, high, lw=0, **style)
        axes.plot(window.times[shown], window.truth[shown, column], color=TRUTH, lw=1.2, label="truth", marker=marker)
        axes.plot(window.times[future], forecast, color=BLUE, lw=1.8, label="forecast", marker=marker)
        axes.axvline(window.times[-steps - 1], color="#999999", lw=0.8, ls=":")
        axes.set_title(_with_unit(spec.columns[column], spec), fontsize=10, loc="left")
        axes.margins(x=0.01)
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _attention_of(forecaster: Attentive, window: Window, windows: Windows, spec: ForecastSpec) -> dict[str, Figure]:
    history, calendar, _ = windows.batch(torch.tensor([window.start]))
    outputs = {name: output[0].numpy() for name, output in forecaster.outputs(history, calendar).items()}
    return {
        f"attention_{each.weights}": attention_maps(
            each, outputs[each.weights], outputs[each.selected], window.times, spec
        )
        for each in forecaster.attention
    }


def attention_maps(
    attention: AttentionSpec,
    weights: NDArray[np.float32],
    selected: NDArray[np.bool],
    times: Times,
    spec: ForecastSpec,
) -> Figure:
    """A panel for each head: `weights` (H, rows, columns), hatched where a query was not `selected`, (H, rows).

    `times` (L + P,) are those of the window; a position is as wide as the steps that it stands for.
    """
    title = f"Attention, {attention.kind} {attention.layer}: each row's step looked at the columns' steps"
    if attention.mixed:
        title += "\nwhat it saw then went on at other rows (mix)"
    figure, panels = _panels(attention.n_heads, title, width=5, height=4.4)
    ends = date2num(np.append(times, spec.step.following(times, 1)))
    rows, columns = (ends[[*axis.first_steps(), axis.stop]] for axis in (attention.rows, attention.columns))
    chosen = np.where(selected[..., None], weights, np.nan)
    for head, axes in enumerate(panels):
        axes.patch.set(**_HATCHED)
        drawn = axes.pcolormesh(columns, rows, chosen[head], cmap="viridis", vmin=0, vmax=np.nanmax(chosen))
        for line, axis in ((axes.axhline, attention.rows), (axes.axvline, attention.columns)):
            if axis.start < spec.seq_len < axis.stop:
                line(ends[spec.seq_len], color=VERMILION, lw=1, ls=":")
        axes.invert_yaxis()
        for axis in (axes.xaxis, axes.yaxis):
            locator = AutoDateLocator(minticks=3, maxticks=6)
            axis.set_major_locator(locator)
            axis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set_title(f"head {head}: {selected[head].sum()} of {len(selected[head])} queries", fontsize=10, loc="left")
    figure.colorbar(drawn, ax=panels, label="weight", shrink=0.6)
    notes: list[Artist] = []
    if not selected.all():
        notes.append(Patch(**_HATCHED, label="query not selected: no weights"))
    if attention.rows.stop > spec.seq_len:
        notes.append(Line2D([], [], color=VERMILION, lw=1, ls=":", label="the forecast begins"))
    figure.legend(handles=notes, loc="outside lower center", ncols=2, frameon=False)
    return figure


def error_by_step(evaluation: Evaluation, spec: ForecastSpec) -> Figure:
    """MSE and MAE of the model and of the baselines, on scaled values, at each step ahead."""
    title = f"Error by step, {evaluation.windows:,} windows of the {evaluation.split} split"
    figure, panels = _panels(2, title, width=5.2, height=3.6)
    for axes, name in zip(panels, ("mse", "mae"), strict=True):
        by_step = {each: getattr(scores, f"{name}_by_step") for each, scores in evaluation.scores.items()}
        _lines(axes, by_step, spec)
        axes.set_ylabel(f"{name.upper()} (scaled values)")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#dddddd", lw=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    overall = [f"{label}: {_overall(evaluation.scores[label])}" for label in labels]
    figure.legend(handles, overall, loc="outside lower center", ncols=2, frameon=False)
    return figure


def coverage_by_step(evaluation: Evaluation, spec: ForecastSpec) -> Figure:
    """How often the truth lay in each level's intervals at each step ahead, and how often it should."""
    title = f"Coverage by step, {evaluation.windows:,} windows of the {evaluation.split} split; dashed: as promised"
    figure, (axes,) = _panels(1, title, width=7.5, height=4)
    by_step = {f"{level} %": coverage.share_by_step for level, coverage in evaluation.coverage.items()}
    _lines(axes, by_step, spec)
    for (level, shares), line in zip(by_step.items(), axes.get_lines(), strict=True):
        axes.axhline(int(level[:-2]) / 100, color=line.get_color(), lw=1, ls="--", zorder=1)
        axes.annotate(level, (len(shares), shares[-1]), (8, 0), textcoords="offset points", va="center")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("truths inside the interval")
    return figure


def _lines(axes: Axes, by_step: Mapping[str, tuple[float, ...]], spec: ForecastSpec) -> None:
    for (label, values), color, marker in zip(by_step.items(), _FORECASTERS, _MARKERS, strict=False):
        steps = range(1, len(values) + 1)
        every = max(1, len(values) // 8)  # markers tell the lines apart without colour
        axes.plot(steps, values, color=color, marker=marker, ms=4, markevery=every, lw=1.6, label=label)
    axes.set_xlabel(f"steps ahead, one every {_distance(spec.step)}")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


def _panels(count: int, title: str, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in as square a grid as may be, each of `width` and `height` inches."""
    across = min(count, 2 if count <= 4 else 3 if count <= 15 else 4)
    down = ceil(count / across)
    figure = Figure((width * across, height * down + 1), layout="constrained")
    figure.suptitle(title, fontsize=12)
    panels = [figure.add_subplot(down, across, index + 1) for index in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _overall(scores: Scores) -> str:
    return f"MSE {scores.mse:.3f}, MAE {scores.mae:.3f}"


def _distance(frequency: Frequency) -> str:
    unit = _UNITS[frequency.unit]
    return unit if frequency.count == 1 else f"{frequency.count} {unit}s"


def _with_unit(name: str, spec: ForecastSpec) -> str:
    return f"{name} ({spec.units[name]})" if name in spec.units else name
