"""Checkpoints that other implementations saved: read without running them, renamed, and measured against a model."""

import json
import pickle
import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contract.errors import UnknownCheckpoint

Renames = Sequence[tuple[str, str]]
"""A pattern of their names' beginnings, and ours for it, in the order tried."""

_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
)


def read_checkpoint(path: Path) -> Any:
    """What torch saved at `path`. Raises UnknownCheckpoint if that is more than tensors, numbers and strings."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it is about to refuse
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnknownCheckpoint(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:  # torch's own words advise to trust the file
        raise UnknownCheckpoint(f"{path} is no whole state dict, or holds more than tensors") from error


def state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """`content`, if it is a tensor to each name. Raises UnknownCheckpoint."""
    if not isinstance(content, Mapping) or not all(isinstance(weight, Tensor) for weight in content.values()):
        raise UnknownCheckpoint(f"{path} holds no state dict: expected a tensor to each name")
    # torch.nn.DataParallel puts itself before each name
    return {str(name).removeprefix("module."): weight for name, weight in content.items()}


def rename(state: Mapping[str, Tensor], renames: Renames, kind: str) -> dict[str, Tensor]:
    """`state` by our names. Raises UnknownCheckpoint, naming every weight that is none of `kind`."""
    ours = {theirs: _renamed(theirs, renames) for theirs in state}
    unknown = [theirs for theirs, name in ours.items() if name is None]
    if unknown:
        raise UnknownCheckpoint(f"expected the weights of {kind}, came also {', '.join(unknown)}")
    return {str(ours[theirs]): weight for theirs, weight in state.items()}


def count_layers(stack: str, weights: Mapping[str, Tensor]) -> int:
    """How many layers `weights` have in `stack`, a list of modules."""
    return len({name.split(".")[1] for name in weights if re.match(rf"{stack}\.\d+\.", name)})


def mismatches(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Every weight that is missing, over or of another shape than the model's."""
    expected = model.state_dict()
    wrong = [f"{name} is missing" for name in expected if name not in weights]
    wrong += [f"{name} is not one of this model's" for name in weights if name not in expected]
    wrong += [
        f"{name}: expected shape {tuple(weight.shape)}, came {tuple(weights[name].shape)}"
        for name, weight in expected.items()
        if name in weights and weights[name].shape != weight.shape
    ]
    return wrong


def recipe_text(remark: str, head: Mapping[str, Any], **tables: Mapping[str, Any]) -> str:
    """A recipe in TOML, for what was not trained by one."""
    lines = [f"# {remark}", *_toml(head)]
    for name, fields in tables.items():
        lines += [f"\n[{name}]", *_toml(fields)]
    return "\n".join([*lines, ""])


def _toml(fields: Mapping[str, Any]) -> list[str]:
    # JSON's strings, numbers, booleans and arrays are TOML's
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]


def _renamed(theirs: str, renames: Renames) -> str | None:
    for pattern, ours in renames:
        match = re.match(pattern, theirs)
        if match:
            return match.expand(ours) + theirs[match.end() :]
    return None
