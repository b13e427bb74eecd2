"""A run directory: a recipe, what it made of its data, checkpoints and losses."""

import hashlib
import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import nn

from contract.bundle import MANIFEST, Bundle, read_bundle
from contract.errors import Fault, FaultyRecipe, FaultyTable
from contract.records import decode, encode
from model.architectures import ARCHITECTURES
from model.config import Recipe, parse_recipe
from model.tasks import TASKS, Data, TaskKind, Trained
from model.trainer import BEST, LAST, LOSSES, Trainer

RECIPE = "recipe.toml"
SPEC = "spec.json"
"""The task's spec: evaluation and export take scalers and the like from here, and never fit them again."""


def build_model(recipe: Recipe, spec: Any) -> nn.Module:
    """The untrained architecture, its weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    return ARCHITECTURES[recipe.architecture].build(recipe.model, spec, recipe.seed)


def task_of(recipe: Recipe) -> str:
    return ARCHITECTURES[recipe.architecture].task


def train(recipe: Recipe, data_path: Path, run: Path, *, resume: bool) -> None:
    """Train in `run`. Raises FaultyRecipe if that would overwrite or mix up another run."""
    if resume and not (run / LAST).exists():
        raise FaultyRecipe([Fault("", f"nothing to resume: {run} has no checkpoint")])
    if resume and (run / RECIPE).read_text(encoding="utf-8") != recipe.text:
        _check_file(data_path, run)  # without a recipe, another table gives another one
        raise FaultyRecipe([Fault("", f"cannot resume: {run} was started with another recipe")])
    if not resume and (run / LAST).exists():
        raise FaultyRecipe([Fault("", f"{run} holds a run already: --resume it, or give another --run")])
    data = _resumed_data(recipe, data_path, run) if resume else _new_data(recipe, data_path, run)
    for line in data.described():
        print(line)
    model = build_model(recipe, data.spec)
    architecture = ARCHITECTURES[recipe.architecture]
    if architecture.start is not None and not resume:
        architecture.start(model, data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(model, data.task(recipe.training, device), recipe.training, run, device)
    if resume:
        trainer.resume()
    fit = architecture.fit
    if fit is not None:
        trainer.solve(lambda: fit(model, data))
    else:
        trainer.fit()


def load_run(run: Path) -> Trained:
    """Raises FaultyRecipe if `run` is no run, or has no trained weights yet."""
    missing = [name for name in (RECIPE, SPEC, BEST, LOSSES) if not (run / name).exists()]
    if missing:
        raise FaultyRecipe([Fault("", f"{run} is not a trained run: it has no {', '.join(missing)}")])
    recipe = parse_recipe((run / RECIPE).read_text(encoding="utf-8"))
    spec, saved = _read_spec(recipe, run)
    model = build_model(recipe, spec)
    model.load_state_dict(torch.load(run / BEST, weights_only=True, map_location="cpu"))
    provenance = {
        "data_sha256": saved["data_sha256"],
        "date": saved["date"],
        "history": _history(recipe, json.loads((run / LOSSES).read_text())),
    }
    return Trained(recipe, spec, provenance, model.eval())


def load_trained(path: Path, data_path: Path) -> tuple[TaskKind, Any, Data]:
    """What evaluates a run, by torch, or a bundle's version directory, by ONNX Runtime: its task, predictor and data.

    Raises FaultyRecipe, FaultyTable or BundleError.
    """
    if (path / MANIFEST).exists():
        bundle = read_bundle(path.resolve())
        recipe = parse_recipe(bundle.manifest.training["recipe"])
        kind = TASKS[bundle.manifest.task]
        data = kind.load(data_path, recipe, getattr(bundle.manifest, bundle.manifest.task), bundle.path)
        return kind, kind.onnx_predictor(bundle, data), data
    trained = load_run(path)
    kind = TASKS[task_of(trained.recipe)]
    data = kind.load(data_path, trained.recipe, trained.spec, path)
    return kind, kind.torch_predictor(trained, data), data


def export_run(run: Path, data_path: Path, bundles: Path) -> Bundle:
    """Write the next version of a run's bundle.

    Raises FaultyRecipe, ExportRefused, or FaultyTable, also if the data is not what the run was trained on.
    """
    trained = load_run(run)
    _check_file(data_path, run, "export")
    kind = TASKS[task_of(trained.recipe)]
    return kind.export(trained, kind.load(data_path, trained.recipe, trained.spec, run), bundles)


def trained_on(path: Path) -> str | None:
    """The sha256 of the data of a run or a bundle, where that is known."""
    if (path / MANIFEST).exists():
        sha256 = json.loads((path / MANIFEST).read_bytes())["training"].get("data_sha256")
    else:
        sha256 = json.loads((path / SPEC).read_text())["data_sha256"]
    return str(sha256) if sha256 else None


def _new_data(recipe: Recipe, data_path: Path, run: Path) -> Data:
    task = task_of(recipe)
    data = TASKS[task].prepare(data_path, recipe)
    run.mkdir(parents=True, exist_ok=True)
    (run / RECIPE).write_text(recipe.text, encoding="utf-8")
    for name, content in data.files.items():
        (run / name).write_bytes(content)
    saved = {"data_sha256": data.sha256, "date": date.today().isoformat(), task: encode(data.spec)}
    (run / SPEC).write_text(json.dumps(saved, indent=1))
    return data


def _resumed_data(recipe: Recipe, data_path: Path, run: Path) -> Data:
    """Raises FaultyTable if the data is not what the run was started with."""
    _check_file(data_path, run)
    spec, _ = _read_spec(recipe, run)
    return TASKS[task_of(recipe)].load(data_path, recipe, spec, run)


def _check_file(data_path: Path, run: Path, verb: str = "resume") -> None:
    """Raises FaultyTable unless the file is what the run was started with: its card would tell of another."""
    expected = trained_on(run)
    try:
        came = hashlib.sha256(data_path.read_bytes()).hexdigest()
    except OSError as error:
        raise FaultyTable([Fault("", f"cannot read {data_path}: {error.strerror}")]) from error
    if came != expected:
        raise FaultyTable([Fault("", f"cannot {verb} with other data: expected sha256 {expected}, came {came}")])


def _read_spec(recipe: Recipe, run: Path) -> tuple[Any, dict[str, Any]]:
    task = task_of(recipe)
    saved = json.loads((run / SPEC).read_text())
    spec, faults = decode(TASKS[task].spec, saved[task], f"/{task}")
    if spec is None:
        raise FaultyRecipe(faults)
    return spec, saved


def _history(recipe: Recipe, losses: list[tuple[float, float]]) -> str:
    validation = [loss for _, loss in losses]
    best = min(loss for loss in validation if not math.isnan(loss))
    return (
        f"{len(losses)} of at most {recipe.training.epochs} epochs, seed {recipe.seed}; "
        f"validation loss {best:.4f} at epoch {validation.index(best) + 1}"
    )
