"""The training side's verbs: train, evaluate, export, import.

torch and pandas are imported when a verb runs, so that `seqcast --help` answers at once, anywhere.
"""

import argparse
import json
import sys
from pathlib import Path

_INFORMER2020_SIZES = (
    "seq_len",
    "label_len",
    "pred_len",
    "d_model",
    "n_heads",
    "e_layers",
    "d_layers",
    "d_ff",
    "factor",
)
_INFORMER2020_WORDS = ("features", "attn", "embed")
_INFORMER2020_SWITCHES = ("distil", "mix")


def add_commands(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = verbs.add_parser("train", help="train a recipe on a table, or on pairs of sentences")
    train.add_argument(
        "recipe", type=Path, nargs="?", help="a TOML recipe; by default, one of a linear model to suit the table"
    )
    train.add_argument("--data", type=Path, required=True, help="a CSV with a timestamp column, or a TSV of pairs")
    train.add_argument("--run", type=Path, help="directory for checkpoints and logs (runs/<recipe's name>)")
    train.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    train.add_argument("--bundles", type=Path, metavar="DIR", help="and export it there, when it is trained")
    train.set_defaults(run_verb=_train)

    evaluate = verbs.add_parser("evaluate", help="errors of a run or bundle beside the baselines")
    evaluate.add_argument("trained", type=Path, help="a run directory, or a bundle's version directory")
    evaluate.add_argument("--data", type=Path, required=True, help="the data that it was trained on, or other data")
    evaluate.add_argument("--split", choices=("val", "test"), default="test")
    evaluate.add_argument("--json", action="store_true", help="print everything as JSON")
    evaluate.add_argument("--plots", type=Path, metavar="DIR", help="draw forecasts, errors and coverage there, as PNG")
    evaluate.set_defaults(run_verb=_evaluate)

    export = verbs.add_parser("export", help="write a run as the next version of a bundle")
    export.add_argument("trained", type=Path, help="a run directory")
    export.add_argument("--data", type=Path, required=True, help="the data that it was trained on")
    export.add_argument("--bundles", type=Path, default=Path("bundles"))
    export.set_defaults(run_verb=_export)

    foreign = verbs.add_parser("import", help="make a bundle of a checkpoint that another implementation trained")
    implementations = foreign.add_subparsers(dest="implementation", required=True, metavar="IMPLEMENTATION")
    informer2020 = implementations.add_parser(
        "informer2020",
        help="a checkpoint of github zhouhaoyi/Informer2020",
        description="Makes a bundle of a checkpoint.pth of github zhouhaoyi/Informer2020. Its configuration is read "
        "from the name of its folder; a flag goes before that, and the weights' shapes are checked against both.",
    )
    _add_informer2020(informer2020)
    tutorial = implementations.add_parser(
        "tutorial",
        help="a checkpoint of github hkproj/pytorch-transformer",
        description="Makes a bundle of a checkpoint of github hkproj/pytorch-transformer and its two tokenizers. Sizes "
        "are read from the weights' shapes. Without the data it is not known how good it is: `seqcast evaluate` tells.",
    )
    _add_tutorial(tutorial)
    for verb in (train, evaluate, export, informer2020, tutorial):
        verb.set_defaults(extra="train")


def _add_informer2020(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("checkpoint", type=Path, help="its checkpoint.pth, a state dict")
    verb.add_argument("--data", type=Path, required=True, help="the table that it was trained on: the scaler's source")
    verb.add_argument("--bundles", type=Path, default=Path("bundles"))
    verb.add_argument("--name", help="of the bundle (<data>-informer2020)")
    verb.add_argument("--seed", type=int, default=1, help="draws ProbSparse's key samples, once")
    verb.add_argument("--target", help="the column that it was trained with as --target: last, in tables but ETT's")
    split = verb.add_mutually_exclusive_group()
    names = ("TRAIN", "VAL", "TEST")
    split.add_argument("--borders", type=int, nargs=3, metavar=names, help="rows at which each split ends")
    split.add_argument("--fractions", type=float, nargs=3, metavar=names, help="of the rows (.7 .1 .2, but for ETT)")
    settings = verb.add_argument_group(
        "settings of the public implementation, where the folder's name is wrong or bare"
    )
    for name in _INFORMER2020_SIZES:
        settings.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    for name in _INFORMER2020_WORDS:
        settings.add_argument(f"--{name}")
    for name in _INFORMER2020_SWITCHES:
        settings.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    verb.set_defaults(run_verb=_import_informer2020)


def _add_tutorial(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("checkpoint", type=Path, help="its tmodel_*.pt")
    verb.add_argument("source_tokenizer", type=Path, help="its tokenizer_en.json, or of what the source is")
    verb.add_argument("target_tokenizer", type=Path, help="its tokenizer_it.json, or of what the target is")
    verb.add_argument("--bundles", type=Path, default=Path("bundles"))
    verb.add_argument("--name", help="of the bundle (<source>-<target>-tutorial)")
    verb.add_argument("--source", default="en", metavar="CODE", help="language that it reads (en)")
    verb.add_argument("--target", default="it", metavar="CODE", help="language that it writes (it)")
    verb.add_argument("--n-heads", type=int, default=8, metavar="N", help="which weights do not tell (8)")
    verb.add_argument("--seq-len", type=int, metavar="N", help="tokens at most (as the weights have positions, or 350)")
    verb.set_defaults(run_verb=_import_tutorial)


def _train(arguments: argparse.Namespace) -> None:
    from model.config import read_recipe
    from model.defaults import default_recipe
    from model.runs import train

    if arguments.recipe is None:
        recipe = default_recipe(arguments.data)
        print(recipe.text)
    else:
        recipe = read_recipe(arguments.recipe)
    run = arguments.run or Path("runs") / recipe.name
    train(recipe, arguments.data, run, resume=arguments.resume)
    if arguments.bundles is not None:
        _write_bundle(run, arguments.data, arguments.bundles)
    else:
        print(f"best weights are in {run}; next: seqcast export {run} --data {arguments.data}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from contract.records import encode
    from model.runs import load_trained, trained_on

    kind, predictor, data = load_trained(arguments.trained, arguments.data)
    evaluation = kind.evaluate(predictor, data, arguments.split)
    if arguments.plots is not None:
        for path in kind.plots(arguments.plots, predictor, data, evaluation):
            print(f"drew {path}", file=sys.stderr)
    known = trained_on(arguments.trained)
    if arguments.json:
        hashes = {"data_sha256": data.sha256, "trained_on_sha256": known}
        print(json.dumps({**encode(evaluation), **hashes}, ensure_ascii=False))
        return
    if known not in (None, data.sha256):
        print(f"not the data that it was trained on: expected sha256 {known}, came {data.sha256}")
    print(kind.report(evaluation))


def _export(arguments: argparse.Namespace) -> None:
    _write_bundle(arguments.trained, arguments.data, arguments.bundles)


def _write_bundle(run: Path, data: Path, bundles: Path) -> None:
    from model.runs import export_run

    bundle = export_run(run, data, bundles)
    print(f"wrote {bundle.path}: {(bundle.path / 'card.md')} tells how good it is")


def _import_informer2020(arguments: argparse.Namespace) -> None:
    from model.import_informer2020 import Wishes, import_informer2020

    given = vars(arguments)
    names = (*_INFORMER2020_SIZES, *_INFORMER2020_WORDS, *_INFORMER2020_SWITCHES)
    wishes = Wishes(
        settings={name: given[name] for name in names if given[name] is not None},
        name=arguments.name,
        seed=arguments.seed,
        borders=tuple(arguments.borders or ()),
        fractions=tuple(arguments.fractions or ()),
        target=arguments.target,
    )
    bundle = import_informer2020(arguments.checkpoint, arguments.data, arguments.bundles, wishes)
    print(f"wrote {bundle.path}: {(bundle.path / 'card.md')} tells how good it is")


def _import_tutorial(arguments: argparse.Namespace) -> None:
    from model.import_tutorial import Wishes, import_tutorial

    wishes = Wishes(
        source=arguments.source,
        target=arguments.target,
        n_heads=arguments.n_heads,
        seq_len=arguments.seq_len,
        name=arguments.name,
    )
    tokenizers = arguments.source_tokenizer, arguments.target_tokenizer
    bundle = import_tutorial(arguments.checkpoint, *tokenizers, arguments.bundles, wishes)
    print(f"wrote {bundle.path}; next: seqcast evaluate {bundle.path} --data PAIRS.tsv")
