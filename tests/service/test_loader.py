"""A folder that does not answer: who waits for it, and who does not."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from service import loader
from service.engine import repository
from service.engine.session import CPU
from tests.service.test_server import BUNDLES, ENVIRONMENT

HELD = """
import sys, threading
import seqcast
from service.engine import repository

look, looks = repository.look, []

def held(roots):
    looks.append(roots)
    if len(looks) > 1:
        print("held", flush=True)
        threading.Event().wait()
    return look(roots)

repository.look = held
sys.exit(seqcast.main(["serve", "--port", "0", *sys.argv[1:]]))
"""


@pytest.fixture
def stuck(serving, bundles, monkeypatch):
    """stuck(**settings) -> a client, the folder, a load that is held up by it, and how to let it go on."""
    going_on = threading.Event()

    def make(**settings):
        folder = bundles("daily", "hourly")
        client = serving(folder, **settings)
        look = repository.look

        def held(roots):
            going_on.wait(60)
            return look(roots)

        monkeypatch.setattr(repository, "look", held)
        monkeypatch.setattr(loader, "STALL_S", 0.05)

        async def ask():
            return asyncio.create_task(client.http.post("/v2/repository/models/daily/load"))

        return client, folder, client.run(ask()), going_on.set

    yield make
    going_on.set()


def loading_s(client):
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("seqcast_loader_busy_seconds ")))


def test_a_folder_that_does_not_answer_is_told_and_holds_up_nobody_else(stuck, monkeypatch, caplog):
    client, folder, load, go_on = stuck()
    for _ in range(2):
        answer = client.post("/v2/repository/models/hourly/unload")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("no versions are looked for: ")
    ready = client.get("/readyz")
    (told,) = ready.json()["not_served"]
    assert ready.status_code == 200
    assert told.startswith(f"no versions are looked for: {folder} has been read or loaded for ")
    assert loading_s(client) > 0
    listed = {(each["name"], each["version"]) for each in client.post("/v2/repository/index").json()}
    assert {("daily", "1"), ("hourly", "1")} <= listed
    assert client.forecast(client.get("/models/hourly/sample").json())["model"] == "hourly"
    (line,) = (record.message for record in caplog.records if record.name == loader.__name__)
    assert line.startswith(f"no versions are looked for: {folder} ")

    monkeypatch.setattr(loader, "STALL_S", 60)
    go_on()

    async def answered():
        return await load

    assert client.run(answered()).status_code == 200
    assert client.get("/readyz").json()["not_served"] == []
    assert loading_s(client) == 0
    assert client.post("/v2/repository/models/hourly/unload").status_code == 200


def test_a_load_that_takes_longer_than_a_request_may_goes_on(stuck):
    client, _, load, go_on = stuck(timeout_s=0.2)
    before = client.app.state.seqcast.served

    async def answered():
        return await load

    answer = client.run(answered())
    assert (answer.status_code, answer.json()["error"]) == (504, "not done within 0.2 s; it goes on")
    go_on()
    while client.app.state.seqcast.served is before:
        client.run(asyncio.sleep(0.01))


def test_a_start_that_waits_says_for_which_folder(bundles, monkeypatch, caplog):
    """Once for each, however long."""

    def held(call):
        def wait(given):
            told, until = len(caplog.messages), time.monotonic() + 60
            while len(caplog.messages) == told and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.05)
            return call(given)

        return wait

    folder = bundles("daily", "hourly")
    monkeypatch.setattr(loader, "SLOW_S", 0.01)
    monkeypatch.setattr(repository, "look", held(repository.look))
    monkeypatch.setattr(repository, "read_bundle", held(repository.read_bundle))
    slow = repository.Repository([folder], CPU)
    loader.load_at_start(slow)
    assert len(slow.served.loaded) == 2
    waited = (folder, folder / "daily" / "1", folder / "hourly" / "1")
    assert caplog.messages == [f"not started yet: {each} is being read or loaded" for each in waited]


def test_an_end_is_not_waited_for_by_a_folder_that_does_not_answer():
    command = [sys.executable, "-c", HELD, "--bundles", str(BUNDLES)]
    environment = {**ENVIRONMENT, "PYTHONWARNINGS": "error", "SEQCAST_WATCH_S": "0.1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert any(line == "held\n" for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_look_that_fails_is_told_once_and_is_not_the_last(serving, bundles, next_version, monkeypatch, caplog):
    folder = bundles("daily")
    client = serving(folder, watch_s=0.01)
    look, failed = repository.look, []

    def fail(roots):
        failed.append(roots)
        if len(failed) < 4:
            raise ValueError("nobody thought of this")
        return look(roots)

    monkeypatch.setattr(repository, "look", fail)
    next_version(folder / "daily" / "1")
    end = time.monotonic() + 60
    while client.get("/models/daily").json()["version"] != 2:
        assert time.monotonic() < end
        client.run(asyncio.sleep(0.01))
    assert [record.message for record in caplog.records] == ["a look for new versions failed"]


def test_nothing_answers_500_for_a_name_of_any_bytes(serving, bundles):
    folder = bundles("daily")
    for path in (b"\xff\xfd/1", b"daily/\xff", b"daily/\xff.json"):
        (folder / os.fsdecode(path)).mkdir(parents=True)
    client = serving(folder, watch_s=0.01)
    assert client.post("/v2/repository/models/daily/load").status_code == 200
    not_served = client.get("/readyz").json()["not_served"]
    assert [each.partition(" is ")[0] for each in not_served] == [r"daily/\xff", r"daily/\xff.json", r"\xff\xfd"]
    assert client.get("/metrics").status_code == 200
    assert [each["name"] for each in client.post("/v2/repository/index").json()] == ["daily"]
