"""Attention maps: which of them a request asks for, and how they are told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from contract.attention import AttentionSpec, Axis
from contract.errors import Fault, FaultyInput
from contract.quoting import shown
from service.engine.session import Arrays
from service.schemas import AttentionSelection, read
from service.turns import Turns

_PRECISION = np.float32(1e6)


@dataclass(frozen=True, slots=True)
class WantedMaps:
    """Maps of one layer, by head."""

    spec: AttentionSpec
    heads: tuple[int, ...]

    @property
    def outputs(self) -> tuple[str, str]:
        """The graph's outputs that they are in."""
        return self.spec.weights, self.spec.selected

    @property
    def size(self) -> int:
        """Weights in all."""
        return len(self.heads) * len(self.spec.rows) * len(self.spec.columns)


def choose_maps(asked: Any, specs: Sequence[AttentionSpec]) -> list[WantedMaps]:
    """`asked` is a request's `attention`, and `specs` what the model has, at least one.

    Raises FaultyInput with every fault.
    """
    if asked is False:
        return []
    if asked is True:
        asked = {}
    if not isinstance(asked, dict):
        message = f"expected true, false, or an object with kinds, layers and heads, came {shown(asked)}"
        raise FaultyInput([Fault("/attention", message)])
    selection, faults = read(AttentionSelection, asked, "/attention")
    selection = selection or AttentionSelection()
    left = specs
    faults += _not_among("kinds", selection.kinds, dict.fromkeys(spec.kind for spec in left))
    left = [spec for spec in left if selection.kinds is None or spec.kind in selection.kinds] or left
    faults += _not_among("layers", selection.layers, sorted({spec.layer for spec in left}))
    known = {spec.kind: [each.layer for each in left if each.kind == spec.kind] for spec in left}
    left = [spec for spec in left if selection.layers is None or spec.layer in selection.layers] or left
    for index, kind in enumerate(selection.kinds or ()):
        if kind in known and all(spec.kind != kind for spec in left):
            message = f"expected a kind that has a layer asked for, but {kind} has only {_listed(known[kind])}"
            faults.append(Fault(f"/attention/kinds/{index}", message))
    faults += _not_among("heads", selection.heads, range(max(spec.n_heads for spec in left)))
    if faults:
        raise FaultyInput(faults)
    return [
        WantedMaps(spec, tuple(head for head in range(spec.n_heads) if not selection.heads or head in selection.heads))
        for spec in left
    ]


def _not_among(name: str, given: Sequence[Any] | None, known: Collection[Any]) -> list[Fault]:
    if given is not None and not given:
        return [Fault(f"/attention/{name}", f"expected at least one of {_listed(known)}, came none")]
    return [
        Fault(f"/attention/{name}/{index}", f"expected one of {_listed(known)}, came {shown(each)}")
        for index, each in enumerate(given or ())
        if each not in known
    ]


def _listed(known: Collection[Any]) -> str:
    return ", ".join(map(str, known))


async def tell_maps(
    wanted: Sequence[WantedMaps], outputs: Arrays, row: int, stamps: Sequence[str] | Sequence[float]
) -> list[dict[str, Any]]:
    """The maps of one `row` of the graph's `outputs`, as the schema AttentionMaps has them.

    `stamps` are the timestamps of all steps, from the history's first to the last that the graph forecasts.
    """
    told, turns = [], Turns()
    for each in wanted:
        heads = []
        weights, selected = (outputs[name][row] for name in each.outputs)
        for head in each.heads:
            heads.append(
                {"head": head, "selected": selected[head].tolist(), "weights": _written(weights[head], selected[head])}
            )
            await turns.pause()
        told.append(
            {
                "kind": each.spec.kind,
                "layer": each.spec.layer,
                "mixed": each.spec.mixed,
                "rows": _axis(each.spec.rows, stamps),
                "columns": _axis(each.spec.columns, stamps),
                "heads": heads,
            }
        )
    return told


def _axis(axis: Axis, stamps: Sequence[str] | Sequence[float]) -> dict[str, Any]:
    return {
        "from": [stamps[step] for step in axis.first_steps()],
        "to": [stamps[step] for step in axis.last_steps()],
    }


def _written(weights: NDArray[np.float32], selected: NDArray[np.bool]) -> orjson.Fragment:
    """(L_Q, L_K) as JSON, from the array itself: as numbers of Python's a map takes eight times the memory."""
    rounded = np.rint(weights * _PRECISION) / _PRECISION
    rounded[~selected] = np.nan  # which JSON has as null
    return orjson.Fragment(orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY))
