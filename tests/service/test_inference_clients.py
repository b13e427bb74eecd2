"""tritonclient and KServe's InferenceRESTClient, as they are, against a service on a port."""

import asyncio
import json
import os
import subprocess
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from contract.bundle import read_bundle
from tests.service.test_server import address, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what gevent says of itself
    import tritonclient.http as triton
    import tritonclient.http.aio as triton_aio
    from tritonclient.utils import InferenceServerException

BUNDLES = Path(__file__).parents[1] / "bundles"
SHIPPED = Path(__file__).parents[2] / "bundles"
TRANSLATORS = Path(__file__).parents[1] / "translators"
KSERVE = Path(__file__).parents[2] / ".venv-kserve" / "bin" / "python"
CODINGS = [None, "gzip", "deflate"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of each task."""
    folder = tmp_path_factory.mktemp("bundles")
    for path in (BUNDLES / "daily", BUNDLES / "hourly", TRANSLATORS / "words", SHIPPED / "names-wavenet"):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with serving(folder) as (_, lines):
        yield address(lines)


@pytest.fixture
def client(url):
    with triton.InferenceServerClient(url.removeprefix("http://"), concurrency=4) as client:
        yield client


@pytest.fixture(scope="module")
def golden(folder):
    return {path.name: read_bundle(folder / path.name / "1").golden() for path in folder.iterdir()}


def inputs(metadata, vectors, *, binary=True, module=triton):
    made = []
    for each in metadata["inputs"]:
        array = vectors[each["name"]]
        made.append(module.InferInput(each["name"], list(array.shape), each["datatype"]))
        made[-1].set_data_from_numpy(array, binary_data=binary)
    return made


def assert_golden(result, metadata, vectors):
    for each in metadata["outputs"]:
        came, expected = result.as_numpy(each["name"]), vectors[each["name"]]
        assert came.shape == expected.shape
        np.testing.assert_allclose(came, expected, rtol=1e-3, atol=1e-4, err_msg=each["name"])


def test_the_server_and_its_models(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "seqcast"
    index = client.get_model_repository_index()
    names = {each["name"]: each["state"] for each in index}
    assert {"daily", "hourly", "hourly@attention", "words", "words@encode", "words@step", "names-wavenet"} <= set(names)
    assert set(names.values()) == {"READY"}
    for each in index:
        assert client.is_model_ready(each["name"])
        assert client.is_model_ready(each["name"], each["version"])
        metadata = client.get_model_metadata(each["name"])
        assert metadata == client.get_model_metadata(each["name"], "1")
        assert client.get_model_config(each["name"]) == client.get_model_config(each["name"], "1")
        assert [one["name"] for one in client.get_model_config(each["name"])["output"]] == [
            one["name"] for one in metadata["outputs"]
        ]
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("daily", "2")


@pytest.mark.parametrize("binary", [True, False])
def test_every_graph_gives_its_golden_answer(client, golden, binary):
    for each in client.get_model_repository_index():
        vectors = golden[each["name"].partition("@")[0]]
        metadata = client.get_model_metadata(each["name"])
        given = inputs(metadata, vectors, binary=binary)
        for request, response in zip(CODINGS, reversed(CODINGS), strict=True):
            codings = {"request_compression_algorithm": request, "response_compression_algorithm": response}
            assert_golden(client.infer(each["name"], given, **codings), metadata, vectors)
            outputs = [triton.InferRequestedOutput(one["name"], binary_data=binary) for one in metadata["outputs"]]
            result = client.infer(each["name"], given, "1", outputs, request_id="mine", **codings)
            assert_golden(result, metadata, vectors)
            assert (result.get_response()["id"], result.get_response()["model_version"]) == ("mine", "1")


def test_asked_at_once_each_gets_its_own(url, golden):
    """Graphs and datatypes mixed; asynchronous and from threads."""
    names = ["daily", "hourly", "hourly@attention", "words", "words@encode", "names-wavenet"]
    vectors = {name: golden[name.partition("@")[0]] for name in names}

    def ask(name):
        with triton.InferenceServerClient(url.removeprefix("http://"), concurrency=2) as client:
            metadata = client.get_model_metadata(name)
            asked = [client.async_infer(name, inputs(metadata, vectors[name])) for _ in range(5)]
            for each in asked:
                assert_golden(each.get_result(), metadata, vectors[name])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, names * 2))


def test_the_asynchronous_client(url, golden):
    async def ask():
        async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("daily")
            metadata = await client.get_model_metadata("daily")
            given = inputs(metadata, golden["daily"], module=triton_aio)
            asked = (
                client.infer("daily", given, request_compression_algorithm=one, response_compression_algorithm=one)
                for one in CODINGS * 4
            )
            for result in await asyncio.gather(*asked):
                assert_golden(result, metadata, golden["daily"])
            statistics = await client.get_inference_statistics("daily")
            assert statistics["model_stats"][0]["inference_stats"]["success"]["count"] >= 12
            with pytest.raises(InferenceServerException, match="expected history, which is missing"):
                await client.infer("daily", given[1:])

    asyncio.run(ask())


def test_statistics(client, golden):
    before = client.get_inference_statistics("hourly", "1")["model_stats"][0]["inference_stats"]
    metadata = client.get_model_metadata("hourly")
    for _ in range(3):
        client.infer("hourly", inputs(metadata, golden["hourly"]))
    with pytest.raises(InferenceServerException):
        client.infer("hourly", inputs(metadata, golden["hourly"])[:1])
    after = client.get_inference_statistics("hourly")["model_stats"][0]["inference_stats"]
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert after[part]["count"] - before[part]["count"] == 3
        assert after[part]["ns"] > before[part]["ns"]
    assert after["fail"]["count"] - before["fail"]["count"] == 1
    assert {each["name"] for each in client.get_inference_statistics()["model_stats"]} >= {"hourly", "words"}


def test_loading_and_unloading(folder, golden):
    with serving(folder) as (_, lines):
        client = triton.InferenceServerClient(address(lines).removeprefix("http://"))
        metadata = client.get_model_metadata("daily")
        client.unload_model("daily")
        assert not client.is_model_ready("daily")
        with pytest.raises(InferenceServerException, match="models served"):
            client.infer("daily", inputs(metadata, golden["daily"]))
        client.load_model("daily")
        assert client.is_model_ready("daily")
        with pytest.raises(InferenceServerException, match="not supported: a bundle is loaded as it is in its folder"):
            client.load_model("daily", config="{}")
        with pytest.raises(InferenceServerException, match='came "nothing"'):
            client.load_model("nothing")
        client.close()


def test_models_are_swapped_while_requests_run(folder, golden):
    """None fails that asks for what stays."""
    with serving(folder) as (_, lines):
        url = address(lines).removeprefix("http://")
        stop = threading.Event()

        def ask():
            with triton.InferenceServerClient(url) as client:
                metadata, count = client.get_model_metadata("daily"), 0
                while not stop.is_set() or not count:
                    assert_golden(client.infer("daily", inputs(metadata, golden["daily"])), metadata, golden["daily"])
                    count += 1
                return count

        with ThreadPoolExecutor(2) as threads, triton.InferenceServerClient(url) as client:
            asking = [threads.submit(ask) for _ in range(2)]
            for _ in range(3):
                client.load_model("daily")
                client.unload_model("hourly")
                client.load_model("hourly")
            stop.set()
            assert all(each.result() for each in asking)


UNSUPPORTED = {
    "shared memory": [
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_system_shared_memory("x", "/x", 8),
        lambda client: client.unregister_system_shared_memory("x"),
        lambda client: client.unregister_system_shared_memory(),
        lambda client: client.get_cuda_shared_memory_status("x"),
        lambda client: client.register_cuda_shared_memory("x", b"x", 0, 8),
        lambda client: client.unregister_cuda_shared_memory(),
    ],
    "trace settings": [
        lambda client: client.get_trace_settings(),
        lambda client: client.get_trace_settings("daily"),
        lambda client: client.update_trace_settings("daily", {"trace_rate": "1"}),
    ],
    "log settings": [
        lambda client: client.get_log_settings(),
        lambda client: client.update_log_settings({"log_verbose_level": 1}),
    ],
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_other_extensions_say_that_they_are_not_supported(client, what):
    for call in UNSUPPORTED[what]:
        with pytest.raises(InferenceServerException, match=f"not supported: {what}") as caught:
            call(client)
        assert caught.value.status() == "400"


def test_what_a_request_asks_of_other_extensions_is_refused(client, golden):
    given = inputs(client.get_model_metadata("daily"), golden["daily"])
    shared = triton.InferInput("history", [2, 28, 2], "FP64")
    shared.set_shared_memory("region", 896)
    for how, message in (
        ({"inputs": given, "sequence_id": 7, "sequence_start": True}, "parameters/sequence_id: not supported"),
        ({"inputs": given, "priority": 1}, "parameters/priority: not supported"),
        (
            {"inputs": given, "outputs": [triton.InferRequestedOutput("forecast", class_count=3)]},
            "outputs/0/parameters/classification: not supported",
        ),
        ({"inputs": [shared, given[1]]}, "inputs/0/parameters/shared_memory_region: not supported"),
        ({"inputs": [given[0], given[0]]}, "expected each input once, came history again"),
        ({"inputs": given, "model_version": "7"}, "expected one of the models served"),
    ):
        with pytest.raises(InferenceServerException, match=message):
            client.infer("daily", **how)


def test_a_timeout_is_in_microseconds(client, golden):
    given = inputs(client.get_model_metadata("daily"), golden["daily"])
    with pytest.raises(InferenceServerException, match=r"not answered within 0.001 ms"):
        client.infer("daily", given, timeout=1)
    assert client.infer("daily", given, timeout=60_000_000).as_numpy("forecast") is not None


@pytest.mark.skipif(not KSERVE.exists(), reason="no KServe client: make .venv-kserve/.client")
def test_kserve(url, golden, tmp_path):
    """In a process of its own: KServe needs packages that are older than the service's."""
    np.savez(tmp_path / "golden.npz", **golden["hourly"])
    driver = Path(__file__).with_name("kserve_calls.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    told = subprocess.run(
        [KSERVE, driver, url, tmp_path / "golden.npz"], capture_output=True, text=True, check=False, env=environment
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout.splitlines()[-1]) == {
        "live": True,
        "ready": True,
        "models": [True, True, False],
        "worst": [0.0] * 3,
        "attention": 0.0,
        "refused": "inputs: expected calendar, which is missing",
        "together": 20,
    }
