"""The Open Inference Protocol v2 around inference: health, metadata, the repository, and what is not supported."""

import json
import shutil
from importlib.metadata import version

import pytest

from tests.service.inferring import fault, infer


def error(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["error"]


def states(client, body=None):
    told = client.post("/v2/repository/index", content=b"" if body is None else json.dumps(body)).json()
    return {(each["name"], each["version"]): (each["state"], each["reason"]) for each in told}


def test_the_server_tells_what_it_speaks(client):
    assert client.get("/v2").json() == {
        "name": "seqcast",
        "version": version("seqcast"),
        "extensions": ["binary_tensor_data", "model_configuration", "model_repository", "statistics"],
    }
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_metadata_is_the_manifests(client):
    expected = {
        "name": "daily",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "history", "datatype": "FP64", "shape": [-1, 28, 2]},
            {"name": "calendar", "datatype": "FP32", "shape": [-1, 35, 3]},
        ],
        "outputs": [{"name": "forecast", "datatype": "FP64", "shape": [-1, 7, 2]}],
    }
    for name in ("daily", "daily/versions/1", "daily:1", "daily@forecast", "daily:1@forecast"):
        assert client.get(f"/v2/models/{name}").json() == expected
    other = client.get("/v2/models/hourly@attention").json()
    assert other["name"] == "hourly@attention"
    assert {each["name"]: each["datatype"] for each in other["outputs"]}["encoder_0_selected"] == "BOOL"


def test_the_configuration_is_in_tritons_words(client):
    told = client.get("/v2/models/daily/config").json()
    assert told == client.get("/v2/models/daily/versions/1/config").json()
    assert told["input"][0] == {"name": "history", "data_type": "TYPE_FP64", "dims": [-1, 28, 2]}
    assert told["output"] == [{"name": "forecast", "data_type": "TYPE_FP64", "dims": [-1, 7, 2]}]
    assert (told["name"], told["max_batch_size"], told["default_model_filename"]) == ("daily", 0, "forecast.onnx")


@pytest.mark.parametrize("what", ["", "/ready", "/config", "/stats"])
@pytest.mark.parametrize("name", ["x", "daily:2", "daily@x", "daily@", "daily/versions/2", "daily/versions/x"])
def test_what_is_not_served_is_404(client, name, what):
    assert "expected " in error(client.get(f"/v2/models/{name}{what}"), 404)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/x"), ("GET", "/v2/models"), ("GET", "/v2/models/a/b/c")])
def test_no_such_path_is_404(client, method, path):
    assert error(client.request(method, path), 404) == "No such path; /docs lists those there are."


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/models/daily/infer"), ("POST", "/v2/health/live"), ("GET", "/v2/repository/index")],
)
def test_another_method_is_405(client, method, path):
    assert error(client.request(method, path), 405) == "Method Not Allowed"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("systemsharedmemory/status", "shared memory"),
        ("systemsharedmemory/region/x/register", "shared memory"),
        ("cudasharedmemory/region/x/unregister", "shared memory"),
        ("trace/setting", "trace settings"),
        ("models/daily/trace/setting", "trace settings"),
        ("logging", "log settings"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_extensions_that_are_not_spoken_say_so(client, method, path, what):
    assert error(client.request(method, f"/v2/{path}"), 400).startswith(f"not supported: {what}")


def test_the_index_tells_every_version(serving, bundles, next_version):
    folder = bundles("daily", "hourly")
    broken = next_version(folder / "daily" / "1")
    (broken / "forecast.onnx").unlink()
    client = serving(folder)
    ready = {("daily", "1"): ("READY", ""), ("hourly", "1"): ("READY", ""), ("hourly@attention", "1"): ("READY", "")}
    lost = {("daily", "2"): ("UNAVAILABLE", "MissingFile: forecast.onnx is missing")}
    assert states(client) == states(client, {"ready": False}) == ready | lost
    assert states(client, {"ready": True}) == ready


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("index", b"{"),
        ("index", b"[]"),
        ("index", b'{"ready": 1}'),
        ("models/daily/load", b"x"),
        ("models/daily/load", b'{"parameters": 3}'),
        ("models/daily/load", b'{"parameters": {"config": "{}"}}'),
        ("models/daily/unload", b"[1]"),
    ],
)
def test_a_body_that_is_not_meant_changes_nothing(client, path, body):
    assert "expected" in (told := error(client.post(f"/v2/repository/{path}", content=body), 400)) or "not" in told
    assert client.get("/v2/models/daily/ready").status_code == 200


@pytest.mark.parametrize("name", ["x", "daily:1", "hourly@attention", "..", "%2e%2e", "%2Fetc"])
@pytest.mark.parametrize("what", ["load", "unload"])
def test_what_is_no_bundle_is_404(client, name, what):
    assert error(client.post(f"/v2/repository/models/{name}/{what}"), 404)
    assert client.get("/v2/models/daily/ready").status_code == 200


def test_unloaded_is_gone_everywhere_until_it_is_loaded(serving, bundles, series, sound):
    client = serving(bundles("daily", "hourly"))
    body = json.dumps({"model": "daily", "series": [series("daily")]})
    assert client.post("/forecast", content=body).status_code == 200
    assert client.post("/v2/repository/models/daily/unload", content=b'{"parameters": {}}').content == b""
    assert "models served (hourly:1)" in fault(client, sound, 404)
    assert client.post("/forecast", content=body).status_code == 404
    assert [each["name"] for each in client.get("/models").json()["models"]] == ["hourly"]
    assert 'seqcast_bundle_info{model="daily"' not in client.get("/metrics").text
    assert states(client)["daily", "1"] == ("UNAVAILABLE", "unloaded")
    assert client.get("/readyz").status_code == 200
    assert client.post("/v2/repository/models/daily/load").status_code == 200
    assert infer(client, sound).status_code == 200
    assert client.post("/forecast", content=body).status_code == 200


def test_with_nothing_loaded_it_is_not_ready(serving, bundles):
    client = serving(bundles("daily"))
    client.post("/v2/repository/models/daily/unload")
    assert client.get("/v2/health/ready").status_code == 400
    assert client.get("/v2/health/ready").json()["ready"] is False
    assert client.get("/v2/health/live").json() == {"live": True}


def test_loading_takes_the_newest_version(serving, bundles, next_version, series, sound):
    folder = bundles("daily")
    client = serving(folder, versions=1)
    next_version(folder / "daily" / "1")
    assert infer(client, sound).json()["model_version"] == "1"
    assert client.post("/v2/repository/models/daily/load", content=b"{}").status_code == 200
    assert infer(client, sound).json()["model_version"] == "2"
    assert client.forecast({"series": [series("daily")]})["version"] == 2
    assert 'seqcast_bundle_info{model="daily",task="forecast",version="2"} 1.0' in client.get("/metrics").text
    assert states(client)["daily", "1"] == ("UNAVAILABLE", "served: 2")


def test_each_of_the_versions_served_is_a_model_of_its_own(serving, bundles, next_version, replace_file, sound):
    folder = bundles("daily", "hourly")
    for _ in range(2):
        newest = next_version(max((folder / "daily").iterdir()))
    next_version(folder / "hourly" / "1")
    client = serving(folder, versions=2)
    assert client.get("/v2/models/daily").json()["versions"] == ["3", "2"]
    assert client.get("/v2/models/daily/versions/2").json() == client.get("/v2/models/daily:2").json()
    policy = client.get("/v2/models/daily:2/config").json()["version_policy"]
    assert policy == {"latest": {"num_versions": 2}}
    for name in ("daily", "daily:3", "daily/versions/3", "daily:2", "daily/versions/2"):
        expected = "2" if name.endswith("2") else "3"
        assert infer(client, sound, name).json()["model_version"] == expected
        assert client.get(f"/v2/models/{name}/ready").status_code == 200
    assert client.get("/v2/models/hourly@attention/versions/1").json()["versions"] == ["2", "1"]
    told = {each["version"]: each for each in client.get("/v2/models/daily/stats").json()["model_stats"]}
    assert {version: each["inference_stats"]["success"]["count"] for version, each in told.items()} == {"3": 3, "2": 2}
    (told,) = client.get("/v2/models/daily/versions/2/stats").json()["model_stats"]
    assert told["version"] == "2"
    assert len(client.get("/v2/models/stats").json()["model_stats"]) == 6
    assert states(client)["daily", "1"] == ("UNAVAILABLE", "served: 3, 2")
    assert {version for name, version in states(client, {"ready": True}) if name == "daily"} == {"3", "2"}
    assert "daily:3, daily:2, hourly:2, hourly:1" in fault(client, sound, 404, "daily:1")
    assert newest.name == "3"


def test_a_version_that_is_not_sound_is_passed_over(serving, bundles, next_version, sound):
    folder = bundles("daily")
    client = serving(folder)
    (next_version(folder / "daily" / "1") / "forecast.onnx").write_bytes(b"")
    assert client.post("/v2/repository/models/daily/load").status_code == 200
    assert infer(client, sound).json()["model_version"] == "1"
    assert states(client)["daily", "2"][1].startswith("WrongHash: ")


def test_if_none_is_sound_the_one_that_serves_stays(serving, bundles, sound):
    folder = bundles("daily")
    client = serving(folder)
    (folder / "daily" / "1" / "forecast.onnx").write_bytes(b"")
    told = error(client.post("/v2/repository/models/daily/load"), 400)
    assert told.startswith("no version of daily is sound: version 1: WrongHash: ")
    assert infer(client, sound).status_code == 200
    shutil.rmtree(folder / "daily")
    error(client.post("/v2/repository/models/daily/load"), 404)
    assert infer(client, sound).status_code == 200
