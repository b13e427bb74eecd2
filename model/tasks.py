"""The one place that knows tasks by name: what each brings to `seqcast train`, `evaluate` and `export`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn

from contract.bundle import Bundle
from contract.errors import Fault, FaultyRecipe
from contract.generation import GenerateSpec, WordModel
from contract.manifest import ForecastSpec
from contract.translation import TranslateSpec
from model.architectures import ARCHITECTURES
from model.config import Recipe, TrainingConfig
from model.evaluate import Attentive, Evaluation, Forecaster, calibrate
from model.evaluate import evaluate as evaluate_forecaster
from model.evaluate_generation import GenerationEvaluation, evaluate_generation
from model.evaluate_translation import TranslationEvaluation, Translator, evaluate_translation
from model.export import export_forecast, onnx_forecaster, onnx_outputs, torch_outputs
from model.export_generation import OnnxWordModel, TorchWordModel, export_generation
from model.export_translation import export_translation, onnx_translator
from model.forecasting import AttentionGraph, ForecastData, ForecastGraph, load_data, prepare_data
from model.generation import CharacterModel, WordsData, load_words, prepare_words
from model.report import forecast_report, generation_report, translation_report
from model.trainer import Task
from model.translation import PairsData, load_pairs, prepare_pairs, translate


class Data(Protocol):
    """Data read and split as a recipe says."""

    spec: Any
    sha256: str

    @property
    def files(self) -> Mapping[str, bytes]:
        """What it takes, beside the spec, to read other data alike."""
        ...

    def task(self, training: TrainingConfig, device: torch.device) -> Task:
        """What is learned from it."""
        ...

    def described(self) -> Sequence[str]:
        """What to tell of it before training, in lines."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """The best weights of a run, in evaluation mode, how to feed them and where they come from."""

    recipe: Recipe
    spec: Any
    provenance: dict[str, str]
    model: nn.Module


class TaskKind(Protocol):
    """What differs between tasks. A predictor is what is evaluated: torch's of a run, ONNX Runtime's of a bundle."""

    spec: type

    def prepare(self, path: Path, recipe: Recipe) -> Data:
        """The data of a new run, whose spec and files are made from it. Raises FaultyTable."""
        ...

    def load(self, path: Path, recipe: Recipe, spec: Any, folder: Path) -> Data:
        """Data as a trained model takes it, by its spec and the files in its folder. Raises FaultyTable."""
        ...

    def torch_predictor(self, trained: Trained, data: Any) -> Any: ...

    def onnx_predictor(self, bundle: Bundle, data: Any) -> Any: ...

    def evaluate(self, predictor: Any, data: Any, split: str) -> Any:
        """A dataclass of figures."""
        ...

    def report(self, evaluation: Any) -> str:
        """The figures, for a terminal."""
        ...

    def plots(self, folder: Path, predictor: Any, data: Any, evaluation: Any) -> Sequence[Path]:
        """Draw the evaluation into `folder`; the paths drawn."""
        ...

    def export(self, trained: Trained, data: Any, bundles: Path) -> Bundle: ...


class Forecasting:
    """Tables, MSE and MAE beside baselines, intervals."""

    spec = ForecastSpec

    def prepare(self, path: Path, recipe: Recipe) -> ForecastData:
        return prepare_data(path, recipe)

    def load(self, path: Path, recipe: Recipe, spec: ForecastSpec, folder: Path) -> ForecastData:
        return load_data(path, recipe, spec)

    def torch_predictor(self, trained: Trained, data: ForecastData) -> Forecaster:
        forecaster = torch.no_grad()(ForecastGraph(trained.model, trained.spec.scaler).eval())
        attention = ARCHITECTURES[trained.recipe.architecture].attention(trained.recipe.model)
        if not attention:
            return forecaster
        graph = AttentionGraph(trained.model, trained.spec.scaler).eval()
        return Attentive(forecaster, torch_outputs(graph, trained.spec, attention), attention)

    def onnx_predictor(self, bundle: Bundle, data: ForecastData) -> Forecaster:
        forecaster, attention = onnx_forecaster(bundle.graph("forecast").read_bytes()), bundle.manifest.attention
        if not attention:
            return forecaster
        return Attentive(forecaster, onnx_outputs(bundle.graph("attention").read_bytes()), attention)

    def evaluate(self, predictor: Forecaster, data: ForecastData, split: str) -> Evaluation:
        return evaluate_forecaster(predictor, data, data.spec, split)

    def report(self, evaluation: Evaluation) -> str:
        return forecast_report(evaluation)

    def plots(
        self,
        folder: Path,
        predictor: Forecaster,
        data: ForecastData,
        evaluation: Evaluation,
    ) -> Sequence[Path]:
        from model.plots import draw  # matplotlib takes a second

        intervals = calibrate(predictor, data, data.spec)
        return draw(folder, evaluation, predictor, data, data.spec, intervals)

    def export(self, trained: Trained, data: ForecastData, bundles: Path) -> Bundle:
        return export_forecast(trained.recipe, trained.spec, trained.model, data, trained.provenance, bundles)


class Translation:
    """Sentence pairs, BLEU and chrF."""

    spec = TranslateSpec

    def prepare(self, path: Path, recipe: Recipe) -> PairsData:
        return prepare_pairs(path, recipe)

    def load(self, path: Path, recipe: Recipe, spec: TranslateSpec, folder: Path) -> PairsData:
        return load_pairs(path, recipe, spec, folder)

    def torch_predictor(self, trained: Trained, data: PairsData) -> Translator:
        return lambda texts: translate(trained.model, texts, data)

    def onnx_predictor(self, bundle: Bundle, data: PairsData) -> Translator:
        return onnx_translator(bundle, data)

    def evaluate(self, predictor: Translator, data: PairsData, split: str) -> TranslationEvaluation:
        return evaluate_translation(predictor, data, split)

    def report(self, evaluation: TranslationEvaluation) -> str:
        return translation_report(evaluation)

    def plots(
        self,
        folder: Path,
        predictor: Translator,
        data: PairsData,
        evaluation: TranslationEvaluation,
    ) -> Sequence[Path]:
        raise FaultyRecipe([Fault("", "expected a forecast model to draw plots of, came one that translates")])

    def export(self, trained: Trained, data: PairsData, bundles: Path) -> Bundle:
        return export_translation(trained.recipe, trained.spec, trained.model, data, trained.provenance, bundles)


class Generation:
    """Words, likelihood beside n-grams."""

    spec = GenerateSpec

    def prepare(self, path: Path, recipe: Recipe) -> WordsData:
        return prepare_words(path, recipe)

    def load(self, path: Path, recipe: Recipe, spec: GenerateSpec, folder: Path) -> WordsData:
        return load_words(path, recipe, spec)

    def torch_predictor(self, trained: Trained, data: WordsData) -> WordModel:
        return TorchWordModel(cast(CharacterModel, trained.model))

    def onnx_predictor(self, bundle: Bundle, data: WordsData) -> WordModel:
        return OnnxWordModel(bundle.graph("score").read_bytes(), bundle.graph("step").read_bytes())

    def evaluate(self, predictor: WordModel, data: WordsData, split: str) -> GenerationEvaluation:
        return evaluate_generation(predictor, data, split)

    def report(self, evaluation: GenerationEvaluation) -> str:
        return generation_report(evaluation)

    def plots(
        self,
        folder: Path,
        predictor: WordModel,
        data: WordsData,
        evaluation: GenerationEvaluation,
    ) -> Sequence[Path]:
        raise FaultyRecipe([Fault("", "expected a forecast model to draw plots of, came one that generates")])

    def export(self, trained: Trained, data: WordsData, bundles: Path) -> Bundle:
        model = cast(CharacterModel, trained.model)
        return export_generation(trained.recipe, trained.spec, model, data, trained.provenance, bundles)


TASKS: dict[str, TaskKind] = {"forecast": Forecasting(), "translate": Translation(), "generate": Generation()}
