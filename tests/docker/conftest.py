"""A real engine: images built once, and the composition brought up once, under a project name and ports of its own."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = f"seqcast-tests-{os.getpid()}"
PROMETHEUS = "prom/prometheus:v2.42.0"
CPUS = min(2, os.cpu_count())


@pytest.fixture(scope="session", autouse=True)
def engine():
    if shutil.which("docker") is None:
        pytest.skip("no docker command")
    told = subprocess.run(["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True)
    if told.returncode:
        pytest.skip(f"no Docker engine answers: {told.stderr.strip()}")


def run(*command, **how):
    """What the command prints to stdout."""
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, **how)
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def docker(*arguments, **how):
    return run("docker", *arguments, **how)


def logs(name):
    return subprocess.run(["docker", "logs", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def inspect(name):
    (found,) = json.loads(docker("inspect", name))
    return found


def until(what, condition, seconds=60):
    """What `condition` gives, once that is true."""
    for _ in range(seconds * 5):
        if came := condition():
            return came
        time.sleep(0.2)
    pytest.fail(f"not within {seconds} s: {what}")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def get(url, **how):
    """The answer, or None while nobody listens."""
    try:
        return httpx.get(url, timeout=10, **how)
    except httpx.TransportError:
        return None


class Stack:
    """The project's containers, asked from outside."""

    def __init__(self, folder):
        names = ("API_PORT", "API_GPU_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
        ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        self.data = folder / "data"
        self.data.mkdir()
        folder.chmod(0o755)  # pytest's own is for its owner alone; the containers run as another
        limits = {"API_CPUS": str(CPUS), "TRAIN_CPUS": str(CPUS)}
        self._environment = {**os.environ, **ports, **limits, "DATA": str(self.data)}
        override = folder / "compose.yml"
        volumes = [f"{quick_rules(folder)}:/etc/prometheus:ro"]
        services = {
            "api": {"environment": {"SEQCAST_MAX_QUEUE_REQUESTS": "4", "SEQCAST_SHUTDOWN_S": "100"}},
            "prometheus": {"volumes": volumes},
            "train": {"build": {"args": base_with_wheels()}},
        }
        override.write_text(yaml.safe_dump({"services": services}))
        self._files = ["--file", ROOT / "docker-compose.yml", "--file", override]
        self.api = f"http://127.0.0.1:{ports['API_PORT']}"
        self.prometheus = f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}"

    def compose(self, *arguments):
        command = ["docker", "compose", "--project-name", PROJECT, *self._files, *arguments]
        return run(*command, env=self._environment)

    def container(self, service):
        return self.compose("ps", "--all", "--quiet", service).strip()

    def state(self, service):
        return inspect(self.container(service))["State"]

    def ready(self):
        answer = get(f"{self.api}/readyz")
        return answer is not None and answer.status_code == 200

    def get(self, path, **how):
        return httpx.get(f"{self.api}{path}", timeout=60, **how)

    def post(self, path, body, **how):
        """The answer, which is a good one."""
        answer = httpx.post(f"{self.api}{path}", json=body, timeout=120, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sample(self, model):
        return self.get(f"/models/{model}/sample").json()

    def query(self, expression):
        """Of Prometheus: labels and value of each series."""
        answer = httpx.post(f"{self.prometheus}/api/v1/query", data={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", f"{expression}\n{answer}"
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def waiting(self):
        """Rows that wait for a thread."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("seqcast_queue_rows{"))

    def firing(self):
        return {labels["alertname"] for labels, _ in self.query('ALERTS{alertstate="firing"}')}


def quick_rules(folder):
    """A configuration by which Prometheus looks each second, and alerts fire and clear within a quarter of a minute."""
    rules = folder / "prometheus"
    shutil.copytree(ROOT / "docker" / "prometheus", rules)
    for path, swaps in {
        rules / "prometheus.yml": {r"interval: \d+s": "interval: 1s"},
        rules / "alerts.yml": {r"for: \w+": "for: 1s", r"\[\w+\]": "[10s]"},
    }.items():
        text = path.read_text()
        for pattern, instead in swaps.items():
            text, count = re.subn(pattern, instead, text)
            assert count, pattern
        path.write_text(text)
    return rules


@pytest.fixture(scope="session")
def built(tmp_path_factory, engine):
    """The composition, built and not yet up. What it leaves in the engine is its layers, for the next build."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.compose("build", "api", "train")
    yield stack
    stack.compose("--profile", "*", "down", "--volumes", "--rmi", "local", "--timeout", "5")


def base_with_wheels():
    """An image at hand that has wheels where pip looks, such as the CPU build of torch; the official one otherwise."""
    for image in docker("image", "ls", "--quiet", "--filter", "dangling=false").split():
        found = inspect(image)
        config = found["Config"]
        # what was built on it has a command of its own
        if any(each.startswith("PIP_FIND_LINKS=") for each in config["Env"] or ()) and not config["Entrypoint"]:
            return {"BASE": found["RepoTags"][0]}
    return {}


@pytest.fixture(scope="session")
def stack(built):
    built.compose("up", "--wait", "--wait-timeout", "120")
    return built


@pytest.fixture(scope="session")
def used(stack):
    """The stack when Prometheus has seen it answer requests of each kind, twice: of one alone there is no rate."""
    bodies = {
        "/forecast": stack.sample("etth1-linear"),
        "/translate": {"q": "Good morning.", "source": "en", "target": "it"},
        "/generate": {"model": "names-wavenet", "count": 1},
    }
    answered = f"seqcast_requests_total{{route=~'{'|'.join(bodies)}', status='200'}}"
    for count in (1, 2):
        for route, body in bodies.items():
            stack.post(route, body)
        until("Prometheus has seen it", partial(stack.query, f"min({answered}) >= {count}"))
    return stack


@pytest.fixture
def container(tmp_path):
    """container(*options) -> id and URL of a container of the service's image, gone after the test."""
    started = []
    tmp_path.chmod(0o755)

    def container(*options):
        (port,) = free_ports(1)
        publish = f"127.0.0.1:{port}:8000"
        started.append(docker("run", "--detach", "--publish", publish, *options, f"{PROJECT}-api").strip())
        return started[-1], f"http://127.0.0.1:{port}"

    yield container
    for each in started:
        docker("rm", "--force", each)
