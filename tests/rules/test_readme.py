"""The README is true: its commands run as written and answer as shown, and its figures are the bundles' own.

In the output shown, ... stands for anything.
"""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from contract.bundle import bundle_versions, read_bundle

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# (command, output shown), in order
SESSION = [
    (command, shown.strip())
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


@pytest.fixture(scope="module")
def running():
    """`make run` on a free port: what it printed, and that port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # as from a shell: make that runs this test would have the make in it print more
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["SEQCAST_PORT"] = port
    command, shown = SESSION[0]
    with subprocess.Popen(
        command.split(), cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        printed = ""
        while shown.splitlines()[-1].partition("8000")[0] not in printed:
            line = process.stdout.readline()
            assert line, f"{command} ended after printing:\n{printed}"
            printed += line
        yield printed, port
        os.killpg(process.pid, signal.SIGTERM)  # make, and the service that it started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands leave their files."""
    return tmp_path_factory.mktemp("session")


def test_the_first_command_starts_the_service(running):
    printed, port = running
    assert SESSION[0][0] == "make run"
    assert_shown(printed.replace(port, "8000"), SESSION[0][1])


@pytest.mark.parametrize(("command", "shown"), SESSION[1:])
def test_commands_answer_as_shown(running, folder, command, shown):
    printed = subprocess.run(
        ["bash", "-c", command.replace("8000", running[1])], capture_output=True, text=True, check=True, cwd=folder
    )
    assert_shown(printed.stdout, shown)


def test_the_welcome_shows_the_next_command():
    assert SESSION[0][1].splitlines()[-1] in [command for command, _ in SESSION[1:]]


def test_accuracy_is_what_the_bundles_measured():
    table = README.partition("## How good it is")[2].partition("\n## ")[0]
    for name, (newest, *_) in bundle_versions(ROOT / "bundles").items():
        scores = read_bundle(ROOT / "bundles" / name / str(newest)).manifest.metrics["scores"]
        for label, key in (
            (f"`{name}`", "model"),
            ("per-channel ridge", "ridge"),
            ("last day repeated", "last season"),
        ):
            assert f"{label}" in table
            assert f"{scores[key]['mse']:.3f} / {scores[key]['mae']:.3f}" in table, (name, key)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def assert_shown(came: str, shown: str) -> None:
    pattern = re.escape(shown).replace(re.escape("..."), ".*")
    assert re.fullmatch(pattern, came.strip(), re.DOTALL), f"shown:\n{shown}\ncame:\n{came[:3000]}"
