"""The one place that knows architectures by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from contract.manifest import ForecastSpec
from model.informer import Informer, InformerConfig
from model.linear import LinearConfig, build_linear, fit_ridge
from model.windows import Windows


class Architecture(NamedTuple):
    """A config class, what builds the module from it, and what fits that in closed form, if anything does.

    `build` takes the config, the spec and the recipe's seed; `fit` the module, and scaled training and
    validation windows.
    """

    config: type
    build: Callable[[Any, ForecastSpec, int], nn.Module]
    fit: Callable[[Any, Windows, Windows], None] | None = None


ARCHITECTURES = {
    "informer": Architecture(
        InformerConfig,
        lambda config, spec, seed: Informer(config, len(spec.columns), len(spec.calendar), seed),
    ),
    "linear": Architecture(LinearConfig, lambda config, spec, _: build_linear(config, spec), fit_ridge),
}
