"""New versions while requests run, over real sockets; and each version by its number, at every route."""

import http.client
import itertools
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service.inferring import array, infer, tensors
from tests.service.test_server import address
from tests.service.test_server import serving as serving_process
from tests.service.versions import write_version

TESTS = Path(__file__).parents[1]
FIRST = TESTS / "bundles" / "daily" / "1"
REQUESTS, CLIENTS = 2000, 6
UNSOUND = {5: "WrongHash: forecast.onnx: ", 9: "WrongAnswer: forecast.onnx on its golden inputs: "}
NUMBERS = range(2, 14)
"""Of versions that come, ten of them sound."""


class Asking:
    """Clients that ask for forecasts of the newest version, of the one `pinned`, and by tensors, in turn."""

    def __init__(self, url, series, golden):
        self.pinned = 1
        self.answered = []
        self._netloc = url.removeprefix("http://")
        self._body = json.dumps({"model": "daily", "series": [series]})
        self._tensors = json.dumps(tensors(history=golden["history"], calendar=golden["calendar"]))
        self._end = threading.Event()

    def __enter__(self):
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._threads.submit(self._ask, turn) for turn in range(CLIENTS)]
        return self

    def __exit__(self, *_):
        self._end.set()
        self._threads.shutdown()
        for client in self._clients:
            client.result()

    def _ask(self, first):
        with closing(http.client.HTTPConnection(self._netloc, timeout=60)) as connection:
            for turn in itertools.count(first):
                if self._end.is_set():
                    return
                pinned, path, body = self.pinned, "/forecast", self._body
                if turn % 3 == 0:
                    path, body = "/v2/models/daily/infer", self._tensors
                elif turn % 3 == 1:
                    body = body.replace('"daily"', f'"daily:{pinned}"')
                connection.request("POST", path, body)
                answer = connection.getresponse()
                self.answered.append((pinned if turn % 3 == 1 else None, answer.status, answer.read()))


def wait(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"expected {what} in {seconds} s"
        time.sleep(0.02)


def bring(path, folder):
    """By a rename, or every third one as `cp -r` does: file by file, where it will be."""
    if int(path.name) % 3:
        path.rename(folder / path.name)
        return
    (folder / path.name).mkdir()
    for file in path.iterdir():
        shutil.copy(file, folder / path.name)
        time.sleep(0.05)


@pytest.mark.slow
def test_of_2000_requests_across_ten_swaps_and_two_broken_versions_none_fails(tmp_path, serving, bundle, series):
    """And each answer is that of the version that it names."""
    folder, made = tmp_path / "bundles" / "daily", tmp_path / "made" / "daily"
    folder.mkdir(parents=True)
    made.mkdir(parents=True)
    for number in (1, *NUMBERS):
        write_version(FIRST, made / str(number), lie=1e-2 if number == 9 else 0.0)
    reference = serving(made.parent, versions=len(NUMBERS))
    table, golden = series("daily"), bundle("daily").golden()
    sound = [1, *(number for number in NUMBERS if number not in UNSOUND)]
    forecasts = {
        number: reference.forecast({"model": f"daily:{number}", "series": [table]})["forecasts"] for number in sound
    }
    body = tensors(history=golden["history"], calendar=golden["calendar"])
    outputs = {str(number): array(infer(reference, body, f"daily:{number}")) for number in sound}
    assert len({json.dumps(each) for each in forecasts.values()}) == len(sound)
    (made / "5" / "forecast.onnx").write_bytes((FIRST / "forecast.onnx").read_bytes())
    (made / "1").rename(folder / "1")

    variables = {"SEQCAST_WATCH_S": "0.1", "SEQCAST_VERSIONS": "3", "SEQCAST_LOG_LEVEL": "error"}
    with serving_process(tmp_path / "bundles", **variables) as (_, lines):
        url = address(lines)
        with httpx.Client(base_url=url, timeout=60) as client, Asking(url, table, golden) as asking:

            def told():
                return client.get("/readyz").json()["not_served"]

            def served():
                return client.get("/models").json()["models"][0]["version"]

            for turn, number in enumerate(NUMBERS):
                wait(lambda turn=turn: len(asking.answered) > turn * REQUESTS / len(NUMBERS), "requests")
                bring(made / str(number), folder)
                if number in UNSOUND:
                    start = f"daily:{number}: {UNSOUND[number]}"
                    wait(lambda start=start: any(each.startswith(start) for each in told()), start)
                else:
                    wait(lambda number=number: served() == number, f"version {number}")
                    asking.pinned = number  # two more may come before it goes
            wait(lambda: len(asking.answered) >= REQUESTS, "requests")
        assert 'seqcast_bundle_info{model="daily",task="forecast",version="13"} 1.0' in httpx.get(f"{url}/metrics").text
    assert [content for _, status, content in asking.answered if status != 200] == []
    seen = set()
    for pinned, _, content in asking.answered:
        answer = json.loads(content)
        if "forecasts" in answer:
            assert answer["version"] == (pinned or answer["version"])
            assert answer["forecasts"] == forecasts[answer["version"]]
            seen.add(answer["version"])
        else:
            output = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
            np.testing.assert_array_equal(output, outputs[answer["model_version"]])
    assert seen == set(sound)


@pytest.mark.parametrize(
    ("bundle_of", "path", "body"),
    [
        ("bundles/daily", "/forecast", {"series": []}),
        ("bundles/daily", "/backtest", {"series": [], "share": 0.5}),
        ("translators/words", "/translate", {"q": "one cat", "source": "en", "target": "it"}),
        ("generators/syllables", "/generate", {"count": 1, "seed": 3}),
    ],
)
def test_a_version_served_is_asked_for_by_its_number(serving, tmp_path, next_version, series, bundle_of, path, body):
    source = TESTS / bundle_of / "1"
    first = shutil.copytree(source, tmp_path / source.parent.name / "1")
    next_version(next_version(first))
    client, name = serving(tmp_path), source.parent.name
    if "series" in body:
        body = {**body, "series": [series("daily", 100)]}
    answers = {model: client.post(path, json={**body, "model": model}) for model in (name, f"{name}:2", f"{name}:3")}
    assert {answer.status_code for answer in answers.values()} == {200}
    versions = [answer.json().get("version") for answer in answers.values()]
    assert versions == [None] * 3 if path == "/translate" else [3, 2, 3]
    refused = client.post(path, json={**body, "model": f"{name}:1"})
    assert refused.status_code == (400 if path == "/translate" else 404)
    assert f"{name}:3, {name}:2" in refused.text
    assert client.get("/models").json()["models"][0]["versions"] == [3, 2]
    for number in (2, 3):
        sample = client.get(f"/models/{name}:{number}/sample").json()
        assert sample["model"] == f"{name}:{number}"
        assert client.get(f"/models/{name}:{number}").json()["version"] == number
