"""The training side's verbs: train, evaluate, export, import.

torch and pandas are imported when a verb runs, so that `seqcast --help` answers at once, anywhere.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.evaluate import Evaluation


def add_commands(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = verbs.add_parser("train", help="train a recipe on a table")
    train.add_argument("recipe", type=Path, help="a TOML recipe, such as those in model/recipes")
    train.add_argument("--data", type=Path, required=True, help="a CSV with a timestamp column")
    train.add_argument("--run", type=Path, help="directory for checkpoints and logs (runs/<recipe's name>)")
    train.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    train.set_defaults(run_verb=_train)

    evaluate = verbs.add_parser("evaluate", help="errors of a run or bundle beside the baselines")
    evaluate.add_argument("trained", type=Path, help="a run directory, or a bundle's version directory")
    evaluate.add_argument("--data", type=Path, required=True, help="the table that it was trained on")
    evaluate.add_argument("--split", choices=("val", "test"), default="test")
    evaluate.add_argument("--json", action="store_true", help="print everything as JSON")
    evaluate.set_defaults(run_verb=_evaluate)

    export = verbs.add_parser("export", help="write a run as the next version of a bundle")
    export.add_argument("trained", type=Path, help="a run directory")
    export.add_argument("--data", type=Path, required=True, help="the table that it was trained on")
    export.add_argument("--bundles", type=Path, default=Path("bundles"))
    export.set_defaults(run_verb=_export)
    for verb in (train, evaluate, export):
        verb.set_defaults(extra="train")


def _train(arguments: argparse.Namespace) -> None:
    from model.config import read_recipe
    from model.runs import train

    recipe = read_recipe(arguments.recipe)
    run = arguments.run or Path("runs") / recipe.name
    train(recipe, arguments.data, run, resume=arguments.resume)
    print(f"best weights are in {run}; next: seqcast export {run} --data {arguments.data}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from contract.records import encode
    from model.evaluate import evaluate
    from model.forecasting import load_data
    from model.runs import load_forecaster

    recipe, spec, forecaster = load_forecaster(arguments.trained)
    data = load_data(arguments.data, recipe, spec)
    evaluation = evaluate(forecaster, data, spec, arguments.split)
    if arguments.json:
        print(json.dumps(encode(evaluation)))
    else:
        print(evaluation_report(evaluation))


def _export(arguments: argparse.Namespace) -> None:
    from model.export import export_forecast
    from model.forecasting import load_data
    from model.runs import load_run

    trained = load_run(arguments.trained)
    data = load_data(arguments.data, trained.recipe, trained.spec)
    bundle = export_forecast(trained.recipe, trained.spec, trained.model, data, trained.provenance, arguments.bundles)
    print(f"wrote {bundle.path}: {(bundle.path / 'card.md')} tells how good it is")


def evaluation_report(evaluation: "Evaluation") -> str:
    """Overall, by column and by step: MSE/MAE of every forecaster, in aligned columns."""
    from model.card import verdict

    scores = evaluation.scores
    columns = next(iter(scores.values())).mse_by_column
    steps = range(len(next(iter(scores.values())).mse_by_step))
    rows = [
        ("all, scaled", [(each.mse, each.mae) for each in scores.values()]),
        *(
            (name, [(each.mse_by_column[name], each.mae_by_column[name]) for each in scores.values()])
            for name in columns
        ),
        *(
            (
                f"step {step + 1}",
                [(each.mse_by_step[step], each.mae_by_step[step]) for each in scores.values()],
            )
            for step in steps
        ),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [f"{evaluation.windows:,} windows of the {evaluation.split} split; MSE/MAE, by column in its units"]
    lines.append(f"{'':{width}}" + "".join(f"{name:>20}" for name in scores))
    for label, pairs in rows:
        cells = (f"{mse:.4g}/{mae:.4g}" for mse, mae in pairs)
        lines.append(f"{label:{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join([*lines, verdict(evaluation)])
