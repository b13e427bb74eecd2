"""POST /v2/models/{name}/infer: tensors in and out, in every way that clients ask."""

import asyncio
import gzip
import json
import zlib

import numpy as np
import pytest

from service.engine.batching import CHUNK
from tests.service.inferring import HEADER, array, binary, fault, infer, tensors


def test_json_gives_the_golden_answer(client, sound, daily):
    answer = infer(client, sound)
    assert answer.headers["content-type"] == "application/json"
    assert HEADER not in answer.headers
    told = answer.json()
    assert {name: told[name] for name in ("id", "model_name", "model_version")} == {
        "id": "x",
        "model_name": "daily",
        "model_version": "1",
    }
    (output,) = told["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("forecast", "FP64", [2, 7, 2])
    np.testing.assert_allclose(array(answer), daily["forecast"], rtol=1e-5)


def test_every_way_to_ask_gives_the_same(client, sound):
    plain = array(infer(client, sound))
    nested = json.loads(json.dumps(sound))
    for each in nested["inputs"]:
        each["data"] = np.array(each["data"]).reshape(each["shape"]).tolist()
    content, headers = binary(json.loads(json.dumps(sound)))
    as_bytes = {"parameters": {"binary_data_output": True}}
    other, other_headers = binary(json.loads(json.dumps(sound)), **as_bytes)
    reversed_ = {**sound, "inputs": sound["inputs"][::-1]}
    indented = json.dumps(nested, indent=3).encode()
    for each, more in ((nested, {}), (indented, {}), (content, headers), (other, other_headers), (reversed_, {})):
        np.testing.assert_array_equal(array(infer(client, each, **more)), plain)
    for name in ("daily:1", "daily%3A1", "daily@forecast", "daily/versions/1"):
        answer = infer(client, sound, name)
        assert answer.json()["model_name"] == "daily"
        np.testing.assert_array_equal(array(answer), plain)


def test_an_answer_can_mix_both_kinds(client, bundle):
    golden = bundle("hourly").golden()
    request = {
        **tensors(history=golden["history"], calendar=golden["calendar"]),
        "outputs": [
            {"name": "encoder_0_selected", "parameters": {"binary_data": True}},
            {"name": "forecast", "parameters": {"binary_data": False}},
            {"name": "encoder_0"},
        ],
        "parameters": {"binary_data_output": True},
    }
    answer = infer(client, request, "hourly@attention")
    assert answer.headers["content-type"] == "application/octet-stream"
    for index, name in enumerate(["encoder_0_selected", "forecast", "encoder_0"]):
        came = array(answer, index)
        assert came.shape == golden[name].shape
        np.testing.assert_allclose(came, golden[name], rtol=1e-3, atol=1e-5)


def test_custom_parameters_of_others_are_read_past(client, sound):
    sound["parameters"] = {"content_type": "np"}
    sound["inputs"][0]["parameters"] = {"content_type": "np"}
    assert infer(client, sound).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP"])
def test_compressed_both_ways(client, sound, coding):
    body, headers = binary(sound, parameters={"binary_data_output": True})
    packed = zlib.compress(body) if coding == "deflate" else gzip.compress(body)
    plain = infer(client, body, **headers, **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    answer = infer(client, packed, **headers, **{"content-encoding": coding, "accept-encoding": coding})
    assert answer.content == plain.content  # httpx undoes what the header says
    sound = {**sound, "inputs": [{**each} for each in sound["inputs"]]}
    assert answer.headers["vary"] == "Accept-Encoding"


def test_long_answers_are_compressed_where_accepted(client, bundle):
    golden = bundle("hourly").golden()
    body, headers = binary(tensors(history=golden["history"], calendar=golden["calendar"]))
    plain = infer(client, body, "hourly@attention", **headers, **{"accept-encoding": "gzip;q=0, *"})
    assert "content-encoding" not in plain.headers
    for coding in ("gzip", "deflate"):
        answer = infer(client, body, "hourly@attention", **headers, **{"accept-encoding": f"br, {coding};q=0.5"})
        assert answer.headers["content-encoding"] == coding
        assert int(answer.headers["content-length"]) < len(plain.content)
        assert answer.content == plain.content


def test_many_rows_are_each_the_rows_own(client, daily):
    """More than one job, and of any number."""
    count = 3 * CHUNK + 1
    random = np.random.default_rng(2)
    history = daily["history"][random.integers(0, 2, count)] * random.uniform(0.9, 1.1, (count, 1, 1))
    calendar = np.repeat(daily["calendar"][:1], count, axis=0)

    def ask(rows):
        request = tensors(history=history[rows], calendar=calendar[rows])
        body, headers = binary(request, parameters={"binary_data_output": True})
        return array(infer(client, body, **headers))

    together = ask(slice(None))
    for row in (0, 7, 8, count - 1):
        np.testing.assert_allclose(together[row : row + 1], ask(slice(row, row + 1)), rtol=1e-6)


def test_one_forecast_does_not_wait_for_thousands_of_rows(serving, bundles, daily, series):
    """It comes before they are done, though they began first."""
    client = serving(bundles("daily"), threads=1)
    count = 3000
    rows = {name: np.repeat(daily[name][:1], count, axis=0) for name in ("history", "calendar")}
    body, headers = binary(tensors(**rows), parameters={"binary_data_output": True})

    async def both():
        large = asyncio.create_task(client.http.post("/v2/models/daily/infer", content=body, headers=headers))
        while client.app.state.seqcast.lines.rows().get("daily", 0) < 100:
            await asyncio.sleep(0)
        small = await client.http.post("/forecast", content=json.dumps({"series": [series("daily")]}))
        before = not large.done()
        return (await large).status_code, small.status_code, before

    assert client.run(both()) == (200, 200, True)


def test_statistics_count_what_was_done(serving, bundles, sound):
    client = serving(bundles("daily", "hourly"))

    def stats(name="daily"):
        (told,) = client.get(f"/v2/models/{name}/stats").json()["model_stats"]
        return told

    assert stats()["inference_stats"]["success"] == {"count": 0, "ns": 0}
    for _ in range(3):
        assert infer(client, sound).status_code == 200
    fault(client, {"inputs": []})
    fault(client, sound, 404, "daily:2")
    told = stats()
    assert (told["name"], told["version"], told["inference_count"]) == ("daily", "1", 6)
    assert 3 <= told["execution_count"] <= 6
    parts = told["inference_stats"]
    assert {part: parts[part]["count"] for part in parts} == {
        "success": 3,
        "fail": 1,
        "queue": 3,
        "compute_input": 3,
        "compute_infer": 3,
        "compute_output": 3,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    spent = sum(parts[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < spent < parts["success"]["ns"]
    assert parts["fail"]["ns"] > 0
    assert told["last_inference"] > 1_700_000_000_000
    names = [each["name"] for each in client.get("/v2/models/stats").json()["model_stats"]]
    assert names == ["daily", "hourly", "hourly@attention"]
    assert stats("hourly")["inference_count"] == 0
    assert stats("daily/versions/1") == told


def test_rows_are_counted(serving, bundles, sound):
    client = serving(bundles("daily"))
    infer(client, sound)
    metrics = client.get("/metrics").text
    assert 'seqcast_rows_total{model="daily"} 2.0' in metrics
    assert "/v2/models/{name}/infer" in metrics


def test_a_request_ends_with_the_version_that_it_began_with(serving, bundles, sound, daily, next_version):
    client = serving(bundles("daily"), threads=1)
    count = 2000
    rows = {name: np.repeat(daily[name][:1], count, axis=0) for name in ("history", "calendar")}
    body, headers = binary(tensors(**rows))
    next_version(client.app.state.seqcast.loader.repository.roots[0] / "daily" / "1")

    async def both():
        large = asyncio.create_task(client.http.post("/v2/models/daily/infer", content=body, headers=headers))
        while client.app.state.seqcast.lines.rows().get("daily", 0) < 100:
            await asyncio.sleep(0)
        loaded = await client.http.post("/v2/repository/models/daily/load")
        return (await large).json()["model_version"], loaded.status_code

    assert client.run(both()) == ("1", 200)
    assert infer(client, sound).json()["model_version"] == "2"
