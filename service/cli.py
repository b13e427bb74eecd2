"""The service's verb: serve.

The service's packages are imported when the verb runs, so that `seqcast --help` answers at once, anywhere.
"""

import argparse
from pathlib import Path


def add_commands(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = verbs.add_parser(
        "serve",
        help="answer requests over HTTP",
        description="Serve bundles over HTTP. Every setting is a SEQCAST_... variable; some have a flag.",
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (8000)")
    serve.add_argument("--bundles", type=Path, help="folder with the bundles (bundles)")
    serve.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to compute (auto)")
    serve.set_defaults(run_verb=_serve, extra="serve")


def _serve(arguments: argparse.Namespace) -> None:
    from service.server import serve
    from service.settings import read_settings

    flags = {name: getattr(arguments, name) for name in ("host", "port", "bundles", "device")}
    serve(read_settings({name: value for name, value in flags.items() if value is not None}))
