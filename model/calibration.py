"""What the linear layers of a trained translation model are given, for int8 inputs of a scale fixed beforehand."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from contract.text import shortened
from model.pairs import first_translations
from model.translation import PairsData

CALIBRATED = 128
"""Pairs of the training split that inputs are taken from."""

TINY = 1e-30
"""In place of the range of what is always zero."""

Pair = tuple[Sequence[int], Sequence[int]]


def calibrate(model: nn.Module, data: PairsData) -> dict[str, float]:
    """`input_ranges` over CALIBRATED pairs, spread over those that the model was trained on."""
    pairs = first_translations(data.splits["train"])
    some = slice(None, None, max(1, len(pairs) // CALIBRATED))
    sources, targets = data.source.encode(pairs.sources[some]), data.target.encode(pairs.targets[some])
    special = data.target.bos, data.target.eos
    rows = [[data.target.bos, *(each for each in target if each not in special)] for target in targets]
    longest = data.spec.max_len
    return input_ranges(model, [(shortened(a, longest), b[:longest]) for a, b in zip(sources, rows, strict=True)])


def input_ranges(model: nn.Module, pairs: Sequence[Pair]) -> dict[str, float]:
    """The largest absolute input of each linear layer by its name, over sources and their targets."""
    ranges: dict[str, float] = {}

    def note(name: str, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        ranges[name] = max(ranges.get(name, TINY), float(inputs[0].abs().max()))

    handles = [
        layer.register_forward_pre_hook(partial(note, name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        with torch.inference_mode():
            for source, target in pairs:  # one at a time: padding is no input
                ids = torch.tensor([list(source)])
                model(ids, torch.tensor([list(target)]), torch.ones_like(ids, dtype=torch.bool))
    finally:
        for handle in handles:
            handle.remove()
    return ranges
