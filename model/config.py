"""Recipes: TOML files, decoded into frozen dataclasses and refused with every fault named."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from contract.errors import Fault, FaultyRecipe
from contract.frequency import Frequency
from contract.manifest import NAME
from contract.quoting import shown
from contract.records import decode
from model.architectures import ARCHITECTURES
from model.pairs import PairsConfig
from model.words import WordsConfig


@dataclass(frozen=True, slots=True)
class DataConfig:
    """How to read the table and where to split it.

    `borders` are the rows at which train, validation and test end; without them `fractions` of all rows
    are taken in that order. `columns` () takes every number column. `time_column` and `frequency` None
    are inferred; a frequency given is checked. `source` says where the table comes from, for the card.
    `fill` is what to do with missing values and rows, as in a request. Where more than `fill_limit` rows running lack
    a value (by default, a quarter of a season) they are left out, and no window goes across.
    """

    columns: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    time_column: str | None = None
    frequency: str | None = None
    borders: tuple[int, ...] = ()
    fractions: tuple[float, ...] = (0.7, 0.1, 0.2)
    fill: Literal["error", "interpolate", "previous", "seasonal"] = "error"
    fill_limit: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.frequency is not None:
            Frequency.parse(self.frequency)
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"expected each column once, came {', '.join(self.columns)}")
        if self.fill_limit is not None and self.fill_limit < 1:
            raise ValueError(f"expected a fill_limit above 0, came {self.fill_limit}")
        if self.borders and (len(self.borders) != 3 or not 0 < self.borders[0] < self.borders[1] < self.borders[2]):
            raise ValueError(f"expected borders of three growing row numbers, came {list(self.borders)}")
        if len(self.fractions) != 3 or min(self.fractions) <= 0 or sum(self.fractions) > 1 + 1e-9:
            raise ValueError(f"expected three positive fractions of at most 1 in all, came {list(self.fractions)}")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Adam on the task's loss; the learning rate is multiplied by lr_decay each epoch.

    `batch_size` is in windows, in tokens of text, or in words. `warmup` steps raise the learning rate from 0, and from
    there on it falls as the inverse root of the step (Vaswani et al. 2017, section 5.3); 0 does neither. `bfloat16`
    computes in that type where torch deems it safe, which CUDA always does. `label_smoothing` is for tokens.

    Training ends after `epochs`, or after `patience` epochs without a better validation loss.
    `level_shift` moves each training window, history and future alike, by a normal offset for each column of so
    many standard deviations: other levels are then not strange. `weight_average` is the decay, a step, of an
    exponential average of the weights, which is validated and kept in place of the weights themselves; 0 is none.
    """

    batch_size: int = 32
    epochs: int = 6
    patience: int = 3
    learning_rate: float = 1e-4
    lr_decay: float = 0.5
    weight_decay: float = 0.0
    level_shift: float = 0.0
    weight_average: float = 0.0
    warmup: int = 0
    label_smoothing: float = 0.0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "patience", "learning_rate", "lr_decay"):
            if getattr(self, name) <= 0:
                raise ValueError(f"expected {name} above 0, came {getattr(self, name)}")
        for name in ("weight_decay", "level_shift", "warmup"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} from 0 on, came {getattr(self, name)}")
        for name in ("weight_average", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"expected 0 <= {name} < 1, came {getattr(self, name)}")


DATA = {"forecast": DataConfig, "translate": PairsConfig, "generate": WordsConfig}
"""What a recipe's [data] is, by the task of its architecture."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a trained bundle, beside the data itself.

    `model` is the architecture's own config, `data` its task's.
    """

    name: str
    seed: int
    architecture: str
    model: Any
    data: Any
    training: TrainingConfig = field(default_factory=TrainingConfig)
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"expected a name of {NAME.pattern}, came {shown(self.name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"expected a seed from 0 to 2^63 - 1, came {self.seed}")


def read_recipe(path: Path) -> Recipe:
    """Raises FaultyRecipe."""
    try:
        return parse_recipe(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FaultyRecipe([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise FaultyRecipe([Fault("", f"expected TOML, which is UTF-8: {error}")]) from error


def parse_recipe(text: str) -> Recipe:
    """Raises FaultyRecipe, which lists every fault."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaultyRecipe([Fault("", f"expected TOML: {error}")]) from error
    known = data.get("architecture")
    if not isinstance(known, str) or known not in ARCHITECTURES:
        raise FaultyRecipe([Fault("/architecture", f"expected one of {', '.join(ARCHITECTURES)}, came {shown(known)}")])
    architecture = ARCHITECTURES[known]
    model, faults = decode(architecture.config, data.pop("model", {}), "/model")
    source, found = decode(DATA[architecture.task], data.pop("data", {}), "/data")
    faults += found
    if "text" in data:  # ours to fill
        faults.append(Fault("/text", "unknown field"))
    recipe, more = decode(Recipe, {**data, "model": model, "data": source, "text": text})
    if recipe is None or faults:
        raise FaultyRecipe([*faults, *more])
    return recipe
