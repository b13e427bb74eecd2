"""What every file keeps to (see CONTRIBUTING.md)."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
FILES = [ROOT / name for name in TRACKED.split("\0") if name and (ROOT / name).is_file()]
BARE = {"contract/text.py", "service/engine/repository.py", "service/state.py"}
"""Where a library raises Exception itself, as tokenizers does, or one version must not stop those after it."""
SOURCES = [path for path in FILES if path.suffix == ".py"]

pytestmark = pytest.mark.skipif(not FILES, reason="no git checkout")


def named(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def test_files_are_short():
    ours = [path for path in FILES if path.suffix in (".css", ".html", ".js") and path.parent.name != "vendor"]
    assert ours
    assert named(path for path in SOURCES + ours if len(path.read_text().splitlines()) >= 400) == []


def test_there_is_no_drawer_for_odds_and_ends():
    assert named(path for path in SOURCES if path.stem in ("utils", "util", "helpers", "common", "misc")) == []


def catches_everything(handler):
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in kinds)


def test_errors_are_caught_by_name():
    caught = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if str(path.relative_to(ROOT)) not in BARE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert caught == []


def test_no_file_holds_a_path_of_this_machine():
    assert named(path for path in FILES if f"{ROOT}/".encode() in path.read_bytes()) == []


def test_graphs_hold_no_stack_traces_of_their_export():
    """They are most of a small graph's bytes, and paths of the machine that exported."""
    assert named(path for path in FILES if path.suffix == ".onnx" and b"stack_trace" in path.read_bytes()) == []
