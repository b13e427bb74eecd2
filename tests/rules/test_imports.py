"""Who may import whom."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = [f"contract.{path.stem}" for path in sorted(ROOT.glob("contract/*.py")) if path.stem != "__init__"]


def loaded_by(statements):
    """The top-level packages that a fresh interpreter has loaded after `statements`."""
    report = "import sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    ended = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(ended.stdout.partition("LOADED")[2].split())


def test_the_layers_of_pyproject_hold():
    command = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_the_application_loads_nothing_of_the_training_side():
    loaded = loaded_by("import service.app, service.cli, service.server")
    assert {"service", "contract", "fastapi", "onnxruntime"} <= loaded
    assert not loaded & {"torch", "onnx", "onnxscript", "pandas", "pyarrow", "model", "tensorboard"}


@pytest.mark.parametrize("modules", [CONTRACT], ids=["all of contract"])
def test_the_contract_needs_nothing_heavy(modules):
    assert len(modules) > 5
    loaded = loaded_by(f"import {', '.join(modules)}")
    assert not loaded & {
        "onnxruntime",
        "onnx",
        "torch",
        "pandas",
        "fastapi",
        "starlette",
        "pydantic",
        "service",
        "model",
    }


def test_the_command_line_answers_before_anything_is_loaded():
    loaded = loaded_by("import seqcast\ntry: seqcast.main(['--help'])\nexcept SystemExit: pass")
    assert {"service", "model", "contract"} <= loaded
    assert not loaded & {"numpy", "torch", "onnxruntime", "fastapi", "pydantic", "pandas"}
