"""What came of a backtest -> the answer: a sentence, scores, coverage."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Manifest
from contract.scores import Coverage, Errors
from service.backtest.comparison import LEVEL, Change, compare
from service.backtest.plan import NEXT_TO_NOTHING, Plan
from service.backtest.run import Results

Floats = NDArray[np.float64]


def backtest_answer(manifest: Manifest, plan: Plan, results: Results, notes: list[str]) -> dict[str, Any]:
    """As BacktestResponse describes it, but NaN for null."""
    spec, std = manifest.forecast_spec, np.array(manifest.forecast_spec.scaler.std)
    season, scale = _mase_scale(plan.before, spec.step.season, std)
    scores = {
        name: _scores(errors, results.coverage.get(name, {}), spec.columns, std, scale)
        for name, errors in results.errors.items()
    }
    best = min((name for name in scores if name != "model"), key=lambda name: scores[name]["mse"])
    change = None
    if scores[best]["mse"] > 0:
        model, baseline = (np.array(results.squares[name]) for name in ("model", best))
        change = compare(model, baseline, ceil(spec.pred_len / plan.stride))
    first, last = (plan.stamps.times[[row]] for row in (results.origins[0], results.origins[-1]))
    origins = {
        "count": len(results.origins),
        "first": plan.stamps.write(first)[0],
        "last": plan.stamps.write(last)[0],
        "stride": plan.stride,
        "left_out": len(plan.origins) - len(results.origins),
    }
    before = plan.stamps.write(plan.stamps.times[[0, plan.origins[0] - 1]])
    won = sum(each["mse"] < scores[best]["columns"][name]["mse"] for name, each in scores["model"]["columns"].items())
    comparison = {
        "baseline": best,
        "change": change and change.change,
        "low": change and change.low,
        "high": change and change.high,
        "columns_won": won,
    }
    seen = _seen(manifest, plan, results.origins)
    return {
        "summary": f"{_sentence(manifest, scores['model']['mse'], best, change, won, origins)}{_doubt(*seen)}",
        "model": manifest.name,
        "version": manifest.version,
        "origins": origins,
        "before": {"rows": len(plan.before), "first": before[0], "last": before[1], "season": season},
        "comparison": comparison,
        "scores": scores,
        "warnings": [*plan.notes, *notes, *_warnings(plan, origins, season, scale, scores["model"]), *_told(*seen)],
    }


def _mase_scale(before: Floats, season: int | None, std: Floats) -> tuple[int, Floats]:
    """The season, in rows, and what repeating it errs by in the part before: (C,), NaN where that is nothing."""
    if season is None or season >= len(before):
        season = 1
    changes = np.abs(before[season:] - before[:-season])
    scale = np.nansum(changes, axis=0) / np.maximum(np.isfinite(changes).sum(axis=0), 1)
    return season, np.where(scale > NEXT_TO_NOTHING * std, scale, np.nan)


def _scores(
    errors: Errors, coverage: dict[str, Coverage], columns: tuple[str, ...], std: Floats, scale: Floats
) -> dict[str, Any]:
    scaled = errors / std
    mae, mase = errors.absolute.by_column(), errors.absolute.by_column() / scale
    known = mase[np.isfinite(mase)]
    by_column = zip(
        errors.squared.by_column().tolist(),
        mae.tolist(),
        mase.tolist(),
        scaled.squared.by_column().tolist(),
        scaled.absolute.by_column().tolist(),
        errors.squared.by_both().T.tolist(),
        errors.absolute.by_both().T.tolist(),
        strict=True,
    )
    names = ("mse", "mae", "mase", "scaled_mse", "scaled_mae", "mse_by_step", "mae_by_step")
    return {
        "mse": scaled.squared.overall(),
        "mae": scaled.absolute.overall(),
        "mase": float(known.mean()) if len(known) else None,
        "mse_by_step": scaled.squared.by_step().tolist(),
        "mae_by_step": scaled.absolute.by_step().tolist(),
        "columns": {
            column: dict(zip(names, values, strict=True)) for column, values in zip(columns, by_column, strict=True)
        },
        "coverage": {level: _coverage(each, columns, std) for level, each in coverage.items()},
    }


def _coverage(coverage: Coverage, columns: tuple[str, ...], std: Floats) -> dict[str, Any]:
    scaled = coverage.width / std
    by_column = zip(
        coverage.share.by_column().tolist(),
        coverage.width.by_column().tolist(),
        coverage.share.by_both().T.tolist(),
        coverage.width.by_both().T.tolist(),
        strict=True,
    )
    names = ("share", "width", "share_by_step", "width_by_step")
    return {
        "share": coverage.share.overall(),
        "width": scaled.overall(),
        "share_by_step": coverage.share.by_step().tolist(),
        "width_by_step": scaled.by_step().tolist(),
        "columns": {
            column: dict(zip(names, values, strict=True)) for column, values in zip(columns, by_column, strict=True)
        },
    }


def _sentence(
    manifest: Manifest, mse: float, best: str, change: Change | None, won: int, origins: dict[str, Any]
) -> str:
    name, columns = manifest.name, len(manifest.forecast_spec.columns)
    over = f"over {origins['count']:,} origins from {origins['first']} to {origins['last']}"
    if change is None:
        helps = "does not help" if mse else "does as well as can be, and no better than a baseline"
        return f"On this table {name} {helps}: {best} makes no error at all, and its own MSE is {mse:.3g}, {over}."
    against = f"its MSE is {_percent(change.change)} than that of the best baseline, {best}"
    if columns > 1:
        against += f", and lower in {won} of {columns} columns"
    if change.low is None or change.high is None:
        return f"Whether {name} helps on this table cannot be told: {against}, but {over}, too few to exclude chance."
    interval = f"{LEVEL} % interval: {_percent(change.low)} to {_percent(change.high)}"
    if not change.sure:
        return (
            f"Whether {name} helps on this table cannot be told: {against}, which may be chance ({interval}), {over}."
        )
    return f"On this table {name} {'helps' if change.change < 0 else 'does not help'}: {against} ({interval}), {over}."


def _percent(change: float) -> str:
    size = abs(change)
    digits = 0 if size >= 0.095 else 1
    return f"{100 * size:.{digits}f} % {'lower' if change < 0 else 'higher'}"


def _seen(manifest: Manifest, plan: Plan, origins: list[int]) -> tuple[int, int, str | None]:
    """How many of how many origins forecast times that the model was trained or validated on, and which those are."""
    try:
        # on whatever clock: what was trained on has no zone left
        first, last = (np.datetime64(manifest.training[name], "ms") for name in ("seen_from", "seen_to"))
    except (KeyError, TypeError, ValueError):
        return 0, len(origins), None
    starts = np.array(origins)
    ends = starts + manifest.forecast_spec.pred_len - 1
    inside = (plan.stamps.times[starts] <= last) & (plan.stamps.times[ends] >= first)
    return int(inside.sum()), len(origins), f"{first.item().isoformat()} to {last.item().isoformat()}"


def _doubt(inside: int, of: int, times: str | None) -> str:
    if not inside:
        return ""
    which = "All" if inside == of else f"{inside:,} of {of:,}"
    return (
        f" {which} of these origins lie in the time that the model was trained on: if on these rows, that flatters it."
    )


def _told(inside: int, of: int, times: str | None) -> Iterator[str]:
    if times is None:
        yield "the bundle does not say which rows it was trained on: if these are among them, its errors are flattered"
    elif inside:
        yield f"{inside} of {of} origins forecast rows of the time that the model was trained and validated on, {times}"


def _warnings(plan: Plan, origins: dict[str, Any], season: int, scale: Floats, scores: dict[str, Any]) -> Iterator[str]:
    if origins["left_out"]:
        left_out = f"{origins['left_out']} of {len(plan.origins)} origins left out"
        yield f"{left_out}: too much is missing before them, or all after"
    missing = int(np.isnan(plan.values[plan.origins[0] :]).sum())
    if missing:
        yield f"{missing} values of the rows that are forecast are missing, and nowhere counted as truth"
    for column, (name, each) in enumerate(scores["columns"].items()):
        if np.isnan(each["mse"]):
            yield f"{name}: no scores, since there is no truth to compare with"
        elif np.isnan(scale[column]):
            yield f"{name}: no MASE, for repeating the value {season} rows earlier is never off in the part before"
