"""The `seqcast` command: finds its verbs among the installed entry points, imports none of them by name."""

import argparse
import os
import signal
import sys
from importlib.metadata import entry_points

from contract.errors import SeqcastError

_SHOWN_LINES = 20
_INTERRUPTED = 128 + signal.SIGINT


def main(argv: list[str] | None = None) -> int:
    """Exit status 0, 1 with one message on stderr of its own, 130 after Ctrl-C, or 143 after SIGTERM."""
    # a container's first process gets no signal that it has no handler for: `docker stop` would wait, and then kill
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(argv)
    except KeyboardInterrupt:  # maybe among the imports of a verb, which take seconds
        print("seqcast: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _terminate(number: int, _: object) -> None:
    sys.exit(128 + number)


def _run(argv: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="seqcast", description="Train sequence models, and serve them over HTTP.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for entry in sorted(entry_points(group="seqcast.commands"), key=lambda entry: entry.name):
        entry.load()(verbs)
    arguments = parser.parse_args(argv)
    try:
        arguments.run_verb(arguments)
    except SeqcastError as error:
        lines = str(error).splitlines()
        more = [f"and {len(lines) - _SHOWN_LINES} more"] if len(lines) > _SHOWN_LINES else []
        print(f"seqcast {arguments.verb}:", "\n".join([*lines[:_SHOWN_LINES], *more]), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader of a pipe has enough, as head has; let Python not complain again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("contract", "model", "service"):
            raise
        print(
            f"seqcast {arguments.verb}: needs the package {error.name}; install seqcast[{arguments.extra}]",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
