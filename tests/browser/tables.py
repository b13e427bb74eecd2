"""Tables for the page, made up: a day's course in each column, slow drift and noise."""

import numpy as np


def made_up(columns, rows, seed=0, start="2026-03-02T00:00", level=None, spread=None):
    """CSV text: hourly, a timestamp and the columns."""
    random = np.random.default_rng(seed)
    hours = np.arange(rows)
    level = level or [10.0] * len(columns)
    spread = spread or [4.0] * len(columns)
    values = []
    for index, (mean, deviation) in enumerate(zip(level, spread, strict=True)):
        day = np.sin(2 * np.pi * (hours - 5 - 2 * index) / 24) + 0.35 * np.sin(4 * np.pi * (hours + index) / 24)
        drift = np.convolve(random.normal(size=rows + 47), np.ones(48) / 48, mode="valid") * 3
        values.append(mean + deviation * (day + drift + random.normal(scale=0.18, size=rows)))
    stamps = np.datetime_as_string(np.datetime64(start, "s") + hours * np.timedelta64(1, "h"))
    lines = [",".join(["timestamp", *columns])]
    lines += [
        ",".join([stamp, *(f"{value:.2f}" for value in row)]) for stamp, *row in zip(stamps, *values, strict=True)
    ]
    return "\n".join(lines) + "\n"


def without(text, *places):
    """The text with the cells at (row, column), both from 0, emptied; the timestamp is column 0."""
    lines = text.split("\n")
    for row, column in places:
        cells = lines[row + 1].split(",")
        cells[column] = ""
        lines[row + 1] = ",".join(cells)
    return "\n".join(lines)
