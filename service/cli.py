"""The service's verbs: serve, backtest, keys, doctor.

The service's packages are imported when a verb runs, so that `seqcast --help` answers at once, anywhere.
"""

import argparse
from pathlib import Path
from typing import Any


def add_commands(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = verbs.add_parser(
        "serve",
        help="answer requests over HTTP",
        description="Serve bundles over HTTP. Every setting is a SEQCAST_... variable; some have a flag.",
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (8000)")
    serve.add_argument("--bundles", help="folder with the bundles, or several as in PATH (bundles)")
    serve.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to compute (auto)")
    serve.set_defaults(run_verb=_serve)

    backtest = verbs.add_parser(
        "backtest",
        help="does a model help on this table?",
        description="Forecast the latest rows of a table from one origin after the other, and compare with what came.",
    )
    backtest.add_argument("model", help="name of a bundle, or name:version")
    backtest.add_argument("table", type=Path, help="a CSV with a timestamp column and the model's columns")
    backtest.add_argument("--bundles", help="folder with the bundles, or several as in PATH (bundles)")
    backtest.add_argument("--time-column", help="where the timestamps are (by default where it looks so)")
    backtest.add_argument("--share", type=float, help="of the rows, the latest, that are forecast (0.2)")
    backtest.add_argument("--stride", type=int, help="rows from one origin to the next (1, or more of long tables)")
    backtest.add_argument("--fill", help="mend gaps and nulls: error, interpolate, previous or seasonal (error)")
    backtest.add_argument("--json", action="store_true", help="print everything as JSON")
    backtest.set_defaults(run_verb=_backtest)

    keys = verbs.add_parser(
        "keys",
        help="add an API key",
        description="API keys, that are asked for where SEQCAST_API_KEYS names the file with their hashes.",
    )
    add = keys.add_subparsers(required=True, metavar="add").add_parser("add", help="make a key, and print it once")
    add.add_argument("name", metavar="NAME", help="who it is for")
    add.add_argument("--file", type=Path, help="where its hash is added (SEQCAST_API_KEYS)")
    keys.set_defaults(run_verb=_add_key)

    doctor = verbs.add_parser(
        "doctor",
        help="what is here to serve with, and what is wrong?",
        description="Tell versions, device, CPUs and bundles; exit with 1 if something is in the service's way.",
    )
    doctor.add_argument("--bundles", help="folder with the bundles, or several as in PATH (bundles)")
    doctor.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to compute (auto)")
    doctor.add_argument("--json", action="store_true", help="print everything as JSON")
    doctor.set_defaults(run_verb=_doctor)
    for verb in (serve, backtest, keys, doctor):
        verb.set_defaults(extra="serve")


def _serve(arguments: argparse.Namespace) -> None:
    from service.server import serve
    from service.settings import read_settings

    serve(read_settings(_flags(arguments, "host", "port", "bundles", "device")))


def _flags(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those that were given."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _add_key(arguments: argparse.Namespace) -> None:
    from contract.errors import Fault, FaultySettings
    from service.keys import add_key
    from service.settings import read_settings

    path = arguments.file or read_settings({}).api_keys
    if path is None:
        raise FaultySettings([Fault("--file", "required, since SEQCAST_API_KEYS names no file")])
    print(add_key(path, arguments.name))


def _backtest(arguments: argparse.Namespace) -> None:
    import asyncio

    import orjson

    from service.backtest.report import backtest_report
    from service.backtest.table import backtest_of_table
    from service.settings import read_settings

    settings = read_settings(_flags(arguments, "bundles"))
    fields = _flags(arguments, "model", "share", "stride", "fill")
    answer = asyncio.run(backtest_of_table(arguments.table, arguments.time_column, fields, settings))
    print(orjson.dumps(answer).decode() if arguments.json else backtest_report(answer))


def _doctor(arguments: argparse.Namespace) -> None:
    import orjson

    from contract.errors import NotReady
    from service.doctor import doctor_report, examine
    from service.settings import read_settings

    found = examine(read_settings(_flags(arguments, "bundles", "device")))
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if arguments.json else doctor_report(found))
    if found["complaints"]:
        raise NotReady("\n".join(found["complaints"]))
