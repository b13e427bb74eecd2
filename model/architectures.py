"""The one place that knows architectures by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from model.informer import Informer, InformerConfig


class Architecture(NamedTuple):
    """A config class, and what builds the module: (config, n_columns, n_features, seed)."""

    config: type
    build: Callable[[Any, int, int, int], nn.Module]


ARCHITECTURES = {"informer": Architecture(InformerConfig, Informer)}
