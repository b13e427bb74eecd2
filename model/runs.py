"""A run directory: a recipe, what it made of its table, checkpoints and losses."""

import json
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch import nn

from contract.bundle import MANIFEST, read_bundle
from contract.errors import Fault, FaultyRecipe, FaultyTable
from contract.manifest import ForecastSpec
from contract.records import decode, encode
from model.architectures import ARCHITECTURES
from model.config import Recipe, parse_recipe
from model.evaluate import Forecaster
from model.export import onnx_forecaster
from model.forecasting import ForecastData, ForecastGraph, ForecastTask, build_model, forecast_spec
from model.preprocessing import Table, read_table
from model.trainer import BEST, LAST, LOSSES, Trainer

RECIPE = "recipe.toml"
SPEC = "spec.json"
"""The ForecastSpec: evaluation and export take the scaler from here, and never fit it again."""


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """The best weights of a run, in evaluation mode, how to feed them and where they come from."""

    recipe: Recipe
    spec: ForecastSpec
    provenance: dict[str, str]
    model: nn.Module


def train(recipe: Recipe, table_path: Path, run: Path, *, resume: bool) -> None:
    """Train in `run`. Raises FaultyRecipe if that would overwrite or mix up another run."""
    if resume and not (run / LAST).exists():
        raise FaultyRecipe([Fault("", f"nothing to resume: {run} has no checkpoint")])
    if resume and (run / RECIPE).read_text(encoding="utf-8") != recipe.text:
        raise FaultyRecipe([Fault("", f"cannot resume: {run} was started with another recipe")])
    if not resume and (run / LAST).exists():
        raise FaultyRecipe([Fault("", f"{run} holds a run already: --resume it, or give another --run")])
    table = read_table(table_path, recipe.data)
    spec = forecast_spec(recipe, table)
    data = ForecastData.of(table, recipe, spec)
    run.mkdir(parents=True, exist_ok=True)
    if resume:
        _same_table(run, table)
    else:
        (run / RECIPE).write_text(recipe.text, encoding="utf-8")
        saved = {"data_sha256": table.sha256, "date": date.today().isoformat(), "forecast": encode(spec)}
        (run / SPEC).write_text(json.dumps(saved, indent=1))
    model = build_model(recipe, spec)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = ForecastTask(data, device, recipe.training.level_shift)
    trainer = Trainer(model, task, recipe.training, run, device)
    if resume:
        trainer.resume()
    fit = ARCHITECTURES[recipe.architecture].fit
    if fit is not None:
        trainer.solve(lambda: fit(model, data.scaled["train"], data.scaled["val"]))
    else:
        trainer.fit()


def load_run(run: Path) -> TrainedRun:
    """Raises FaultyRecipe if `run` is no run, or has no trained weights yet."""
    missing = [name for name in (RECIPE, SPEC, BEST, LOSSES) if not (run / name).exists()]
    if missing:
        raise FaultyRecipe([Fault("", f"{run} is not a trained run: it has no {', '.join(missing)}")])
    recipe = parse_recipe((run / RECIPE).read_text(encoding="utf-8"))
    saved = json.loads((run / SPEC).read_text())
    spec, faults = decode(ForecastSpec, saved["forecast"], "/forecast")
    if spec is None:
        raise FaultyRecipe(faults)
    model = build_model(recipe, spec)
    model.load_state_dict(torch.load(run / BEST, weights_only=True, map_location="cpu"))
    provenance = {
        "data_sha256": saved["data_sha256"],
        "date": saved["date"],
        "history": _history(recipe, json.loads((run / LOSSES).read_text())),
    }
    return TrainedRun(recipe, spec, provenance, model.eval())


def load_forecaster(path: Path) -> tuple[Recipe, ForecastSpec, Forecaster]:
    """Of a run, computed by torch, or of a bundle's version directory, computed by ONNX Runtime.

    Raises FaultyRecipe or BundleError.
    """
    if (path / MANIFEST).exists():
        bundle = read_bundle(path.resolve())
        recipe = parse_recipe(bundle.manifest.training["recipe"])
        return recipe, bundle.manifest.forecast, onnx_forecaster(bundle.graph("forecast").read_bytes())
    trained = load_run(path)
    graph = ForecastGraph(trained.model, trained.spec.scaler).eval()
    return trained.recipe, trained.spec, torch.no_grad()(graph)


def _history(recipe: Recipe, losses: list[tuple[float, float]]) -> str:
    validation = [loss for _, loss in losses]
    best = min(loss for loss in validation if not math.isnan(loss))
    return (
        f"{len(losses)} of at most {recipe.training.epochs} epochs, seed {recipe.seed}; "
        f"validation loss {best:.4f} at epoch {validation.index(best) + 1}"
    )


def _same_table(run: Path, table: Table) -> None:
    expected = json.loads((run / SPEC).read_text())["data_sha256"]
    if table.sha256 != expected:
        message = f"cannot resume with another table: expected sha256 {expected}, came {table.sha256}"
        raise FaultyTable([Fault("", message)])
