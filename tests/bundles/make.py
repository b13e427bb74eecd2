"""The tiny real bundles here, in tests/translators and tests/generators: tests of the service have no torch for them.

    .venv-train/bin/python tests/bundles/make.py [NAME ...]

Trained by `seqcast train` for a few epochs on data made up here: tables of waves and noise, sentences of
a dozen words, words of a dozen syllables.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import seqcast
from contract.frequency import Frequency

HERE = Path(__file__).parent
START = np.datetime64("2018-01-31T00:00", "ms")  # a month's end, so that monthly rows are month ends
ROWS = 600


class Tiny(NamedTuple):
    """`columns` by name, with their units."""

    frequency: str
    seq_len: int
    label_len: int
    pred_len: int
    columns: dict[str, str]


# daily and monthly have the same columns, so that a request's columns alone do not tell them apart
BUNDLES = {
    "hourly": Tiny("h", 96, 48, 24, {"load": "kW", "temp": "°C", "wind/gust~max": "m/s"}),
    "quarter-hourly": Tiny("15min", 48, 24, 12, {"flow": "m³/h", "level": "m"}),
    "daily": Tiny("D", 28, 14, 7, {"sold": "", "price": "€"}),
    "weekly": Tiny("W", 26, 13, 8, {"visits": "", "returns": ""}),
    "monthly": Tiny("M", 24, 12, 6, {"sold": "", "price": "€"}),
}

RECIPE = """\
name = "{name}"
seed = 1
architecture = "informer"

[data]
source = "made up"
frequency = "{tiny.frequency}"
units = {{ {units} }}

[model]
seq_len = {tiny.seq_len}
label_len = {tiny.label_len}
pred_len = {tiny.pred_len}
d_model = 16
n_heads = 2
d_ff = 32

[training]
epochs = 2
learning_rate = 0.001
"""


TRANSLATORS = HERE.parent / "translators"
"""Apart, so that tests of forecasts serve forecasters alone."""

TRANSLATOR = """\
name = "words"
seed = 1
architecture = "transformer"

[data]
source = "en"
target = "it"
held_back = [50, 50]
tokenizer = "word"
vocabulary = 100
shared = false
origin = "made up"

[model]
d_model = 16
n_heads = 2
e_layers = 1
d_layers = 1
d_ff = 32
dropout = 0.0
max_len = 32

[training]
batch_size = 500
epochs = 20
patience = 20
learning_rate = 0.01
lr_decay = 0.9
"""
WORDS = {
    "one": "uno",
    "two": "due",
    "three": "tre",
    "four": "quattro",
    "five": "cinque",
    "six": "sei",
    "cat": "gatto",
    "dog": "cane",
    "house": "casa",
    "tree": "albero",
    "and": "e",
    ".": ".",
    "?": "?",
}


GENERATORS = HERE.parent / "generators"
"""Apart, as the translators are."""

GENERATOR = """\
name = "syllables"
seed = 1
architecture = "wavenet"

[data]
origin = "made up"

[model]
embedding = 8
hidden = 16
kernels = [2, 2]
skip = 16

[training]
batch_size = 20
epochs = 10
patience = 10
learning_rate = 0.01
lr_decay = 0.9
"""


def main(names: list[str]) -> None:
    others = {"words": (TRANSLATORS, TRANSLATOR, _pairs), "syllables": (GENERATORS, GENERATOR, _words)}
    for name in names or [*BUNDLES, *others]:
        if name in BUNDLES:
            root, (recipe, data) = HERE, _informer(name, BUNDLES[name])
        else:
            root, recipe, make = others[name]
            data = make()
        shutil.rmtree(root / name, ignore_errors=True)  # else it would become version 2
        with tempfile.TemporaryDirectory() as folder:
            _make(recipe, data, root, Path(folder))


def _make(recipe: str, data: str, root: Path, folder: Path) -> None:
    (folder / "recipe.toml").write_text(recipe)
    (folder / "data").write_text(data)
    run = folder / "run"
    for verb in (["train", folder / "recipe.toml", "--run", run], ["export", run, "--bundles", root]):
        if status := seqcast.main([*map(str, verb), "--data", str(folder / "data")]):
            sys.exit(status)


def _informer(name: str, tiny: Tiny) -> tuple[str, str]:
    units = ", ".join(f'"{column}" = "{unit}"' for column, unit in tiny.columns.items() if unit)
    return RECIPE.format(name=name, tiny=tiny, units=units), _table(tiny)


def _pairs() -> str:
    """Sentences of one to eight words, translated word by word."""
    random = np.random.default_rng(1)
    texts = dict.fromkeys(" ".join(random.choice(list(WORDS), random.integers(1, 9))) for _ in range(2000))
    return "\n".join(f"{text}\t{' '.join(WORDS[word] for word in text.split())}" for text in texts)


def _words() -> str:
    """Of one to four syllables, some with an accent."""
    random = np.random.default_rng(1)
    syllables = [consonant + vowel for consonant in "kltv" for vowel in "aeié"]
    return "\n".join("".join(random.choice(syllables, random.integers(1, 5))) for _ in range(1000))


def _table(tiny: Tiny) -> str:
    """A CSV: a wave of the frequency's season and noise, on another level in each column."""
    step = Frequency.parse(tiny.frequency)
    times = step.following(np.array([START]), ROWS)
    random = np.random.default_rng(1)
    rows = np.arange(ROWS)[:, None]
    phases = random.uniform(0, 1, len(tiny.columns))
    waves = np.sin(2 * np.pi * (rows / (step.season or tiny.seq_len) + phases))
    values = (waves + random.normal(0, 0.2, waves.shape)) * 10.0 ** np.arange(len(tiny.columns)) + 20
    lines = [",".join(["time", *tiny.columns])]
    lines += [
        ",".join([str(time), *(f"{value:.3f}" for value in row)]) for time, row in zip(times, values, strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
