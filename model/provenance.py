"""Where a bundle comes from: what every exporter writes into its manifest."""

from importlib.metadata import version
from typing import Any

from torch import nn

from model.config import Recipe


def provenance(recipe: Recipe, model: nn.Module) -> dict[str, Any]:
    """The recipe's text, the number of parameters, and the versions of what exported."""
    return {
        "recipe": recipe.text,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "versions": {name: version(name) for name in ("seqcast", "torch", "onnx", "onnxruntime")},
    }
