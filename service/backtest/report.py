"""A backtest's answer for people and spreadsheets: lines of text, and a table."""

import csv
import io
import textwrap
from collections.abc import Iterator
from typing import Any

_WIDTH = 120  # of a line of prose


def backtest_table(answer: dict[str, Any]) -> bytes:
    """CSV: a row for each forecaster, column and step; an empty column or step stands for all of them.

    `mse`, `mae` and widths are in the column's units, and on scaled values over all columns.
    """
    levels = list(answer["scores"]["model"]["coverage"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = [f"{what}_{level}" for level in levels for what in ("covered", "width")]
    writer.writerow(["forecaster", "column", "step", "mse", "mae", "mase", "scaled_mse", "scaled_mae", *measured])
    for forecaster, scores in answer["scores"].items():
        covered = [scores["coverage"].get(level) for level in levels]
        writer.writerows(_table_rows(forecaster, "", scores, covered))
        for column, each in scores["columns"].items():
            of_column = [level and level["columns"][column] for level in covered]
            writer.writerows(_table_rows(forecaster, column, each, of_column))
    return text.getvalue().encode()


def _table_rows(
    forecaster: str, column: str, scores: dict[str, Any], coverage: list[dict[str, Any] | None]
) -> Iterator[list[Any]]:
    scaled = [scores.get("scaled_mse", scores["mse"]), scores.get("scaled_mae", scores["mae"])]
    total = [each and each[name] for each in coverage for name in ("share", "width")]
    yield _blank([forecaster, column, None, scores["mse"], scores["mae"], scores["mase"], *scaled, *total])
    for step, (mse, mae) in enumerate(zip(scores["mse_by_step"], scores["mae_by_step"], strict=True)):
        scaled = [None, None] if column else [mse, mae]
        by_step = [each and each[name][step] for each in coverage for name in ("share_by_step", "width_by_step")]
        yield _blank([forecaster, column, step + 1, mse, mae, None, *scaled, *by_step])


def _blank(cells: list[Any]) -> list[Any]:
    return [None if cell != cell else cell for cell in cells]


def backtest_report(answer: dict[str, Any]) -> str:
    """The sentence, then MSE/MAE/MASE of every forecaster in aligned columns, coverage and warnings."""
    scores = answer["scores"]
    rows = [("all, scaled", [_cell(each["mse"], each["mae"], each["mase"]) for each in scores.values()])]
    for name in scores["model"]["columns"]:
        by_forecaster = (each["columns"][name] for each in scores.values())
        rows.append((name, [_cell(each["mse"], each["mae"], each["mase"]) for each in by_forecaster]))
    for step in range(len(scores["model"]["mse_by_step"])):
        cells = [_cell(each["mse_by_step"][step], each["mae_by_step"][step]) for each in scores.values()]
        rows.append((f"step {step + 1}", cells))
    rows += [
        (f"{level} % intervals", [_covered(each["coverage"].get(level)) for each in scores.values()])
        for level in scores["model"]["coverage"]
    ]
    origins, before = answer["origins"], answer["before"]
    label = max(len(name) for name, _ in rows)
    width = max(len(cell) for _, cells in rows for cell in [*cells, *scores]) + 2
    lines = [
        textwrap.fill(answer["summary"], _WIDTH),
        "",
        f"An origin every {'row' if origins['stride'] == 1 else str(origins['stride']) + ' rows'}. "
        f"The baselines are fitted on the {before['rows']:,} rows before, {before['first']} to {before['last']}.",
        f"MSE/MAE/MASE by column in its units, by step scaled; MASE by the change over {before['season']} rows.",
        "Of intervals, how many truths they cover and how wide they are, scaled.",
        "",
        f"{'':{label}}" + "".join(f"{name:>{width}}" for name in scores),
        *(f"{name:{label}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in rows),
        "",
    ]
    for level, each in scores["model"]["coverage"].items():
        by_column = [column["share"] for column in each["columns"].values()]
        by = f"{_range(each['share_by_step'])} by step, {_range(by_column)} by column"
        lines.append(f"The model's {level} % intervals cover {by}.")
    notes = (textwrap.fill(f"note: {warning}", _WIDTH) for warning in answer["warnings"])
    return "\n".join([*lines, *notes])


def _cell(*values: float | None) -> str:
    return "/".join("-" if value is None or value != value else f"{value:.4g}" for value in values)


def _covered(coverage: dict[str, Any] | None) -> str:
    return f"{coverage['share']:.1%}/{coverage['width']:.4g}" if coverage is not None else "-"


def _range(shares: list[float]) -> str:
    known = [share for share in shares if share == share]
    return f"{min(known):.1%} to {max(known):.1%}"
