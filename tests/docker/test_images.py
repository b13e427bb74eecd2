"""The images by themselves: what is in them, and how they run with no rights at all."""

import json
import os
import shutil

import httpx
import pytest

from tests.docker.conftest import PROJECT, ROOT, docker, get, inspect, logs, until

pytestmark = pytest.mark.docker

CONTAINED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--network=none",
)


def inside(image, code):
    return docker("run", "--rm", *CONTAINED, "--entrypoint=python3", f"{PROJECT}-{image}", "-c", code).strip()


def test_serve_adds_less_than_450_mb_to_its_base(built):
    image = inspect(f"{PROJECT}-api")
    base = inspect("python:3.11-slim-bookworm")
    layers = base["RootFS"]["Layers"]
    assert image["RootFS"]["Layers"][: len(layers)] == layers
    assert image["Size"] - base["Size"] < 450e6


def test_a_change_of_code_changes_only_the_last_layer(built):
    sizes = [json.loads(line) for line in docker("history", "--format={{json .}}", f"{PROJECT}-api").splitlines()]
    copies = [each["Size"] for each in sizes if each["CreatedBy"].startswith("COPY")]
    assert copies[0].endswith(("kB", "MB"))
    assert float(copies[0][:-2]) < 5 or copies[0].endswith("kB")


@pytest.mark.parametrize(
    ("image", "has", "has_not"),
    [
        (
            "api",
            {"fastapi", "onnxruntime", "opentelemetry.sdk", "pyarrow.ipc"},
            {"torch", "onnx", "pip", "setuptools", "pytest"},
        ),
        ("train", {"torch", "onnx"}, {"fastapi", "pip", "pytest"}),
    ],
)
def test_has_what_it_needs_and_no_more(built, image, has, has_not):
    code = f"import importlib.util as u; print([n for n in {sorted(has | has_not)} if u.find_spec(n)])"
    inside_venv = ["--entrypoint=/opt/seqcast/bin/python", f"{PROJECT}-{image}", "-c", code]
    assert docker("run", "--rm", *CONTAINED, *inside_venv).strip() == str(sorted(has))
    tools = "import shutil; print([t for t in ('cc', 'gcc', 'make', 'git') if shutil.which(t)])"
    assert inside(image, tools) == "[]"


@pytest.mark.parametrize("image", ["api", "train"])
def test_is_nobody_and_owns_nothing_that_it_runs(built, image):
    assert inspect(f"{PROJECT}-{image}")["Config"]["User"] == "65534:65534"
    code = (
        "import os, pathlib; print(os.getuid(), [p for p in pathlib.Path('/opt').rglob('*') if os.access(p, os.W_OK)])"
    )
    assert docker("run", "--rm", "--entrypoint=python3", f"{PROJECT}-{image}", "-c", code).split() == ["65534", "[]"]


def ready(url):
    answer = get(f"{url}/readyz")
    return answer is not None and answer.status_code == 200


def test_the_service_needs_nothing_but_a_place_for_large_forms(container):
    name, url = container(*CONTAINED[:-1])
    until("ready", lambda: ready(url))
    assert get(f"{url}/models").status_code == 200
    assert all(json.loads(line)["level"] == "INFO" for line in logs(name).splitlines())


def test_is_healthy_at_another_port_and_where_containers_are_given_a_proxy(container):
    proxies = ("--env=http_proxy=http://127.0.0.1:9", "--env=HTTP_PROXY=http://127.0.0.1:9")
    name, _ = container(*CONTAINED[:-1], *proxies, "--env=SEQCAST_PORT=9000", "--health-interval=1s")
    until("healthy", lambda: inspect(name)["State"]["Health"]["Status"] == "healthy")


def test_asks_for_the_keys_of_a_mounted_folder(built, container, tmp_path):
    """As docs/operations.md has it: they are made in a container too, and go where their lines go."""
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = folder / "keys.txt"
    make = ("run", "--rm", f"--user={os.getuid()}", f"--volume={folder}:/keys", f"{PROJECT}-api", "keys", "add")
    key = docker(*make, "building-7", "--file", "/keys/keys.txt").strip()
    keys.chmod(0o644)
    _, url = container(*CONTAINED[:-1], "--env=SEQCAST_API_KEYS=/keys/keys.txt", f"--volume={folder}:/keys:ro")
    until("ready", lambda: ready(url))

    def status(**headers):
        return httpx.get(f"{url}/models", headers=headers, timeout=10).status_code

    assert (status(), status(**{"x-api-key": key})) == (401, 200)
    (folder / "new.txt").write_text("")
    (folder / "new.txt").replace(keys)  # as editors save
    assert status(**{"x-api-key": key}) == 403


def test_says_why_it_is_not_ready(built, container, tmp_path):
    """Its own bundles, one of which somebody has altered."""
    shutil.copytree(ROOT / "bundles", tmp_path / "bundles")
    (graph,) = (tmp_path / "bundles" / "etth1-linear").rglob("forecast.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    health = ("--health-interval=1s", "--health-start-period=0s", "--health-retries=1")
    name, url = container(*CONTAINED[:-1], *health, "--volume", f"{tmp_path / 'bundles'}:/bundles:ro")
    answer = until("an answer", lambda: get(f"{url}/readyz"))
    assert answer.status_code == 503
    assert "etth1-linear:1: WrongHash: forecast.onnx: expected sha256" in answer.json()["detail"]
    assert "etth1-linear version 1 is not served: WrongHash: forecast.onnx" in logs(name)
    until("unhealthy", lambda: inspect(name)["State"]["Health"]["Status"] == "unhealthy")
