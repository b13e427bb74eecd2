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
# as from a shell: make that runs this test would have the make in it print more
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
# (command, output shown), in order
SESSION = [
    (command, shown.strip())
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


SERVES = ("make run", ".venv/bin/seqcast serve")
BESIDE = (".venv", ".venv-train", "docs", "Makefile", "pyproject.toml", "constraints.txt")


class Session:
    """Runs commands in a folder of their own; the service that one of them starts takes the place of that before."""

    def __init__(self, folder):
        self._folder, self._service, self.port = folder, None, ""

    def start(self, command, last_line):
        """What `command` prints up to `last_line`."""
        self.stop()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        where = ROOT if command.startswith("make") else self._folder
        self._service = subprocess.Popen(
            command.split(),
            cwd=where,
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, "SEQCAST_PORT": self.port},
            start_new_session=True,
        )
        printed = ""
        while last_line not in printed:
            line = self._service.stdout.readline()
            assert line, f"{command} ended after printing:\n{printed}"
            printed += line
        return printed.replace(self.port, "8000")

    def run(self, command):
        done = subprocess.run(
            ["bash", "-c", command.replace("8000", self.port)],
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        if self._service is not None:
            os.killpg(self._service.pid, signal.SIGTERM)  # make, and the service that it started
            self._service.wait(20)
            self._service.stdout.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """In a folder that has what a checkout has."""
    folder = tmp_path_factory.mktemp("session")
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    session = Session(folder)
    yield session
    session.stop()


@pytest.mark.parametrize(("command", "shown"), SESSION)
def test_commands_answer_as_shown(session, command, shown):
    if ".venv-train" in command and not (ROOT / ".venv-train" / "bin" / "seqcast").exists():
        pytest.skip("no training environment: make .venv-train/.train")
    if command in SERVES:
        last = shown.splitlines()[-1]
        printed = session.start(command, last.partition("8000")[0])
    else:
        printed = session.run(command)
    assert_shown(printed, shown)


def test_the_first_command_starts_the_service():
    assert SESSION[0][0] == "make run"


def test_the_welcome_shows_the_next_command():
    assert SESSION[0][1].splitlines()[-1] in [command for command, _ in SESSION[1:]]


def test_accuracy_is_what_the_bundles_measured():
    table = README.partition("## How good it is")[2].partition("\n## ")[0]
    for name, (newest, *_) in bundle_versions(ROOT / "bundles").items():
        manifest = read_bundle(ROOT / "bundles" / name / str(newest)).manifest
        if manifest.task == "generate":
            losses = manifest.metrics["test"]["losses"]
            assert f"`{name}`: {losses['model']:.3f} nats a character" in table
            assert f"a 5-gram has {losses['5-grams']:.3f}" in table
            continue
        if manifest.task == "translate":
            metrics = manifest.metrics
            figures = f"BLEU {metrics['bleu']:.1f} and chrF {metrics['chrf']:.1f} on {metrics['sentences']:,}"
            assert f"`{name}`: {figures}" in table
            continue
        scores = manifest.metrics["scores"]
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
