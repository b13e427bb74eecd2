"""A recipe for a table that comes with none."""

import json
import re
from pathlib import Path

from model.config import DataConfig, Recipe, parse_recipe
from model.preprocessing import read_table

_TEXT = """\
# Chosen by seqcast train; for another, edit a copy and give it as RECIPE.
name = {name}
seed = 1
architecture = "linear"

[data]
source = {source}
fill = "interpolate"

[model]
seq_len = {seq_len}
pred_len = {pred_len}
harmonics = 2
"""
_HISTORY = 192


def default_recipe(path: Path) -> Recipe:
    """Ridge, fitted in seconds, from a few seasons to the next one; of all number columns. Raises FaultyTable."""
    table = read_table(path, DataConfig(fill="interpolate"))
    seq_len, pred_len = default_lengths(len(table.times), table.frequency.season)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:64] or "table"
    return parse_recipe(
        _TEXT.format(name=json.dumps(name), source=json.dumps(path.name), seq_len=seq_len, pred_len=pred_len)
    )


def default_lengths(rows: int, season: int | None) -> tuple[int, int]:
    """seq_len of two to eight seasons and pred_len of one, or less where the table's `rows` are too few for that."""
    season = season if season is not None and season > 1 else 24
    seq_len = season * min(8, max(2, _HISTORY // season))
    most = rows // 4
    if seq_len > most:
        seq_len = most // season * season or most
    return max(2, seq_len), max(1, min(season, rows // 20))
