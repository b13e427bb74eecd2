"""The one place that knows architectures by name."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from contract.attention import AttentionSpec
from contract.generation import GenerateSpec
from contract.manifest import ForecastSpec
from contract.translation import TranslateSpec
from model.decoding_graphs import Description
from model.informer import Informer, InformerConfig
from model.linear import Linear, LinearConfig, build_linear, fit_ridge
from model.mlp import MLP, MLPConfig, build_mlp
from model.recurrent import Recurrent, RecurrentConfig
from model.recurrent_graphs import RecurrentGraphs
from model.transformer import Transformer, TransformerConfig
from model.transformer_graphs import TransformerGraphs
from model.wavenet import WaveNet, WaveNetConfig


class Architecture(NamedTuple):
    """A task, a config class, what builds the module from it, and what fits that in closed form, if anything does.

    `build` takes the config, the task's spec and the recipe's seed; `fit` the module and the task's data. `start` takes
    the same, and sets what the module has before it is trained.
    `attention` says of which maps the module's `explain` gives beside the forecast, if of any. `describe`, for what
    decodes token by token, takes the module, the source's padding id, and for int8 the ranges of its layers' inputs.
    """

    task: str
    config: type
    build: Callable[[Any, Any, int], nn.Module]
    fit: Callable[[Any, Any], None] | None = None
    start: Callable[[Any, Any], None] | None = None
    attention: Callable[[Any], tuple[AttentionSpec, ...]] = lambda _: ()
    describe: Callable[[Any, int, Mapping[str, float] | None], Description] | None = None


def _informer(config: InformerConfig, spec: ForecastSpec, seed: int) -> nn.Module:
    return Informer(config, len(spec.columns), len(spec.calendar), seed)


def _linear(config: LinearConfig, spec: ForecastSpec, _: int) -> nn.Module:
    return build_linear(config, spec)


def _fit_linear(model: Linear, data: Any) -> None:
    fit_ridge(model, data.scaled["train"], data.scaled["val"])


def _mlp(config: MLPConfig, spec: ForecastSpec, _: int) -> nn.Module:
    return build_mlp(config, spec)


def _fit_linear_path(model: MLP, data: Any) -> None:
    _fit_linear(model.linear, data)


def _recurrent(config: RecurrentConfig, spec: TranslateSpec, _: int) -> nn.Module:
    return Recurrent(config, spec.target_size, None if spec.shared else spec.source_size)


def _transformer(config: TransformerConfig, spec: TranslateSpec, _: int) -> nn.Module:
    return Transformer(config, spec.target_size, None if spec.shared else spec.source_size)


def _wavenet(config: WaveNetConfig, spec: GenerateSpec, _: int) -> nn.Module:
    return WaveNet(config, spec.size)


ARCHITECTURES = {
    "informer": Architecture("forecast", InformerConfig, _informer, attention=InformerConfig.attention_specs),
    "linear": Architecture("forecast", LinearConfig, _linear, _fit_linear),
    "mlp": Architecture("forecast", MLPConfig, _mlp, start=_fit_linear_path),
    "recurrent": Architecture("translate", RecurrentConfig, _recurrent, describe=RecurrentGraphs),
    "transformer": Architecture("translate", TransformerConfig, _transformer, describe=TransformerGraphs),
    "wavenet": Architecture("generate", WaveNetConfig, _wavenet),
}
