"""`docker compose up`, asked from outside."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from math import sin, tau

import httpx
import pytest

from tests.docker.conftest import CPUS, PROJECT, docker, inspect, logs, until

pytestmark = pytest.mark.docker

CLIENTS = 4
LONG = """
name = "long"
seed = 1
architecture = "informer"
[model]
seq_len = 24
label_len = 12
pred_len = 6
d_model = 16
n_heads = 2
d_ff = 32
[training]
epochs = 1000
patience = 1000
"""


def write_table(path):
    hours = [datetime(2026, 1, 5) + timedelta(hours=hour) for hour in range(1000)]
    rows = [f"{hour.isoformat()},{30 + 10 * sin(hour.hour / 24 * tau) + hour.day % 7:.2f}" for hour in hours]
    path.write_text("\n".join(["timestamp,power_kw", *rows]))


def test_forecasts_from_outside(stack):
    answer = stack.post("/forecast", {**stack.sample("etth1-informer"), "levels": [80]})
    (forecast,) = answer["forecasts"]
    assert len(forecast["values"]["OT"]) == len(forecast["intervals"]["80"]["OT"]["upper"]) == 24


def test_forecasts_of_arrow_tables_from_outside(stack):
    """By what the image keeps of pyarrow."""
    pyarrow = pytest.importorskip("pyarrow")
    series = stack.sample("etth1-linear")["series"][0]
    table = pyarrow.table({"timestamp": series["timestamps"], **series["values"]})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = httpx.post(
        f"{stack.api}/forecast?model=etth1-linear",
        content=sink.getvalue().to_pybytes(),
        headers={"content-type": "application/vnd.apache.arrow.stream"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert pyarrow.ipc.open_stream(answer.content).read_all().num_rows == 24


def test_translates_from_outside(stack):
    answer = stack.post("/translate", {"q": "Where is the station?", "source": "en", "target": "it"})
    assert answer["translatedText"] == "Dov'è la stazione?"


def test_draws_words_from_outside(stack):
    asked = {"model": "names-wavenet", "prompt": "an", "count": 3, "seed": 3}
    words = [each["text"] for each in stack.post("/generate", asked)["generated"]]
    assert len(words) == 3
    assert all(word.startswith("an") for word in words)
    assert [each["text"] for each in stack.post("/generate", asked)["generated"]] == words


def test_large_parts_of_a_form_find_a_place(stack):
    """Beyond a mebibyte they go to /tmp, in a container that can write nowhere else."""
    form = {"q": "Good morning.", "source": "en", "target": "it"}
    answer = httpx.post(f"{stack.api}/translate", data=form, files={"more": b"a" * 3 * 2**20}, timeout=60)
    assert answer.status_code < 500, answer.text


def test_is_limited_and_has_no_rights(stack):
    code = "print(*[line for line in open('/proc/1/status') if line.startswith(('Uid', 'CapEff', 'NoNewPrivs'))])"
    uid, capabilities, no_new_privileges = stack.compose("exec", "api", "python3", "-c", code).split("\n")[:3]
    assert uid.split() == ["Uid:", *4 * ["65534"]]
    assert int(capabilities.split()[1], 16) == 0
    assert no_new_privileges.split()[1] == "1"
    (host,) = [json.loads(docker("inspect", "--format={{json .HostConfig}}", stack.container("api")))]
    assert host["ReadonlyRootfs"]
    assert host["NanoCpus"] > 0 < host["Memory"]
    assert host["PidsLimit"] > 0


def test_shows_its_page(stack):
    assert "<title>" in stack.get("/").text
    assert stack.get("/docs").status_code == 200


def test_trains_on_a_mounted_table_and_serves_it_without_a_restart(stack):
    write_table(stack.data / "table.csv")
    (stack.data / "building.toml").write_text('name = "building"\nseed = 1\narchitecture = "linear"\n')
    began = stack.state("api")["StartedAt"]
    told = stack.compose("--profile", "train", "run", "--rm", "train", "data/building.toml")
    assert "wrote bundles/building/1: " in told
    until("it is served", lambda: stack.get("/models/building").status_code == 200)
    answer = stack.post("/forecast", {**stack.sample("building"), "model": "building"})
    (power,) = answer["forecasts"][0]["values"].values()
    assert all(10 < value < 60 for value in power)
    assert stack.state("api")["StartedAt"] == began
    assert stack.get("/models/etth1-linear").status_code == 200  # what is shipped is served beside it


def test_a_training_job_that_is_stopped_ends_at_once(built):
    """As the first process of its container it would get no signal that it does not handle."""
    (built.data / "long.toml").write_text(LONG)
    write_table(built.data / "long.csv")
    job = built.compose("run", "--detach", "train", "data/long.toml", "--data", "data/long.csv").strip()
    try:
        until("an epoch is over", lambda: "epoch 1:" in logs(job), seconds=240)
        docker("stop", "--time", "120", job)
        assert inspect(job)["State"]["ExitCode"] == 143
    finally:
        docker("rm", "--force", job)


def test_prometheus_sees_the_service(stack):
    until("it is up", lambda: [value for _, value in stack.query('up{job="seqcast", service="api"}')] == [1])


def test_comes_back_when_its_process_is_killed(stack):
    before = stack.state("api")
    # the process itself, as when memory runs out: of `docker kill` Docker knows that somebody meant it
    kill = f"import os; os.kill({before['Pid']}, 9)"
    as_root = ("--rm", "--pid=host", "--user=0", "--entrypoint=python3")
    docker("run", *as_root, f"{PROJECT}-api", "-c", kill)
    until("another process", lambda: stack.state("api")["Pid"] not in (0, before["Pid"]))
    until("ready", stack.ready)
    assert stack.post("/forecast", stack.sample("etth1-linear"))["model"] == "etth1-linear"


def test_is_told_of_while_it_is_down(stack):
    until("nothing fires", lambda: not stack.firing())
    stack.compose("stop", "api")
    until("SeqcastDown fires", lambda: "SeqcastDown" in stack.firing())
    stack.compose("up", "--wait", "api")
    until("and clears", lambda: "SeqcastDown" not in stack.firing())


def test_is_told_of_while_it_is_overloaded(stack):
    """By many clients that do not heed Retry-After: each answer is whole, or a 429; and it clears when they stop."""
    sample = stack.sample("etth1-informer")["series"]
    body = {"model": "etth1-informer", "series": sample * 50}
    over = threading.Event()
    statuses = Counter()

    def ask_on():
        while not over.is_set():
            answer = httpx.post(f"{stack.api}/forecast", json=body, timeout=60)
            statuses[answer.status_code] += 1
            assert answer.status_code == 200 or int(answer.headers["retry-after"]) > 0

    until("nothing fires", lambda: not stack.firing())
    with ThreadPoolExecutor(20) as threads:
        clients = [threads.submit(ask_on) for _ in range(20)]
        try:
            until("SeqcastOverloaded fires", lambda: "SeqcastOverloaded" in stack.firing())
        finally:
            over.set()
        for each in clients:
            each.result()
    assert statuses.keys() == {200, 429}
    until("and clears", lambda: not stack.firing())


def test_computes_on_as_many_cpus_as_it_may_use(stack):
    cpus = json.loads(stack.compose("exec", "api", "seqcast", "doctor", "--json"))["cpus"]
    assert cpus["quota"] == cpus["threads"] == CPUS


def test_nothing_in_flight_is_lost_when_it_is_stopped(stack):
    """What it took, by its log, is what the clients have answers of: of many small requests, and of a large one."""
    sample = stack.sample("etth1-informer")["series"][0]
    answered = []

    def ask(series, number):
        request_id = f"stop-{series}-{number}"
        answer = httpx.post(
            f"{stack.api}/forecast",
            json={"model": "etth1-informer", "series": [{**sample, "id": str(each)} for each in range(series)]},
            headers={"x-request-id": request_id},
            timeout=120,
        )
        assert len(answer.json()["forecasts"]) == series
        answered.append((request_id, answer.status_code))

    def ask_on(client):
        for number in count(client, CLIENTS):
            try:
                ask(1, number)
            except httpx.TransportError:
                return

    try:
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            clients = [threads.submit(ask_on, client) for client in range(CLIENTS)]
            large = threads.submit(ask, 1000, 0)
            until("the large one is computed", lambda: stack.waiting() > 200)
            stack.compose("stop", "--timeout", "120", "api")
            for each in (*clients, large):
                each.result()
        ended = stack.state("api")
        told = [json.loads(line) for line in logs(stack.container("api")).splitlines() if '"stop-' in line]
    finally:
        stack.compose("up", "--wait", "api")
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 0)
    assert ("stop-1000-0", 200) in answered
    assert sorted(answered) == sorted((each["request_id"], each["status"]) for each in told)
