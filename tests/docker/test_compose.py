"""`docker compose up` for real: build, start, forecast from outside, and Prometheus sees the service."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = "http://127.0.0.1:8000"


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers"),
]


def compose(*arguments: str) -> str:
    command = ["docker", "compose", "--project-directory", str(ROOT), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def get(url: str, body: bytes | None = None) -> dict:
    with urllib.request.urlopen(url, body) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def up():
    compose("up", "--build", "--wait")
    yield
    compose("down", "--volumes")


def test_forecasts_from_outside(up):
    with urllib.request.urlopen(f"{API}/models/etth1-informer/sample") as sample:
        answer = get(f"{API}/forecast", sample.read())
    assert len(answer["forecasts"][0]["values"]["OT"]) == 24


def test_runs_without_rights_and_without_torch(up):
    code = "import os, importlib.util as u; print(os.getuid(), u.find_spec('torch'))"
    assert compose("exec", "api", "python3", "-c", code).split() == ["65534", "None"]


def test_prometheus_sees_the_service(up):
    url = "http://127.0.0.1:9090/api/v1/query?query=up%7Bjob%3D%22seqcast%22%7D"
    for _ in range(30):  # until it has scraped for the first time
        result = get(url)["data"]["result"]
        if result and result[0]["value"][1] == "1":
            return
        time.sleep(1)
    pytest.fail(f"the target is not up: {result}")
