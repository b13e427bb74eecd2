"""POST /v2/models/{name}/infer: all that is refused."""

import gzip
import json

import pytest

from tests.service.inferring import HEADER, binary, fault, infer, tensors


def spoiled(sound, change):
    request = json.loads(json.dumps(sound))
    change(request)
    return request


def first(**fields):
    return lambda request: request["inputs"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("inputs"), "inputs: required, but missing"),
        (lambda r: r.update(inputs=[]), "inputs: List should have at least 1 item"),
        (lambda r: r.update(inputs=[{}] * 101), "inputs: List should have at most 100 items"),
        (lambda r: r["inputs"].append(3), "inputs/2: expected an object, came 3"),
        (lambda r: r["inputs"].pop(), "inputs: expected calendar, which is missing"),
        (lambda r: r["inputs"].append(r["inputs"][0]), "inputs/2/name: expected each input once, came history again"),
        (first(name="x"), 'inputs/0/name: expected one of history, calendar, came "x"'),
        (first(datatype="FP32"), 'inputs/0/datatype: expected FP64, came "FP32"'),
        (first(datatype="BYTES"), 'inputs/0/datatype: expected FP64, came "BYTES"'),
        (first(datatype="BF16"), 'inputs/0/datatype: expected FP64, came "BF16"'),
        (first(datatype="fp64"), 'came "fp64", which the protocol does not have'),
        (first(shape=[2, 28]), "inputs/0/shape: expected [-1, 28, 2], -1 being any length from 1 on, came [2, 28]"),
        (first(shape=[0, 28, 2], data=[]), "inputs/0/shape: expected [-1, 28, 2]"),
        (first(shape=[-1, 28, 2]), "inputs/0/shape: expected [-1, 28, 2]"),
        (first(shape=[2.0, 28, 2]), "inputs/0/shape/0: Input should be a valid integer"),
        (first(shape=[2**62, 28, 2]), "inputs/0/data: expected "),
        (first(shape=[10**30, 28, 2]), "inputs/0/shape/0: "),
        (first(shape=[1, 28, 2]), "inputs/0/data: expected 56 values for shape [1, 28, 2], came 112"),
        (
            first(shape=[1, 28, 2], data=[0] * 56),
            "inputs: expected as many rows of each input, came 1 of history",
        ),
        (first(data=None), "inputs/0/data: expected a list, came null"),
        (first(data="abc"), 'inputs/0/data: expected a list, came "abc"'),
        (first(data=["a"] * 112), 'inputs/0/data: expected numbers within FP64, came "a"'),
        (first(data=[True] * 112), "inputs/0/data: expected numbers within FP64, came true"),
        (
            first(parameters={"binary_data_size": 896}),
            "inputs/0/data: expected none beside binary_data_size, came both",
        ),
        (first(parameters={"binary_data_size": -1}), "parameters/binary_data_size: expected bytes from 0 on, came -1"),
        (first(parameters={"binary_data_size": True}), "expected bytes from 0 on, came true"),
        (first(parameters={"shared_memory_region": "x"}), "not supported: shared memory"),
        (first(shape=None), "inputs/0/shape: Input should be a valid list"),
        (first(more=1), "inputs/0/more: unknown field"),
        (lambda r: r.update(id=3), "id: Input should be a valid string"),
        (lambda r: r.update(input=[]), "input: unknown field"),
        (lambda r: r.update(outputs=[{"name": "x"}]), 'outputs/0/name: expected one of forecast, came "x"'),
        (lambda r: r.update(outputs=[{"name": "forecast"}] * 2), "outputs/1/name: expected each output once"),
        (lambda r: r.update(outputs=[3]), "outputs/0: expected an object, came 3"),
        (
            lambda r: r.update(outputs=[{"name": "forecast", "parameters": {"binary_data": 1}}]),
            "outputs/0/parameters/binary_data: expected true or false, came 1",
        ),
        (
            lambda r: r.update(outputs=[{"name": "forecast", "parameters": {"classification": 2}}]),
            "outputs/0/parameters/classification: not supported: classification",
        ),
        (lambda r: r.update(parameters={"sequence_id": 4}), "parameters/sequence_id: not supported: sequences"),
        (lambda r: r.update(parameters={"timeout": "4"}), "parameters/timeout: expected microseconds up to 10"),
        (lambda r: r.update(parameters={"timeout": True}), "parameters/timeout: expected microseconds up to 10"),
        (lambda r: r.update(parameters={"timeout": -1}), "parameters/timeout: expected microseconds up to 10"),
        (lambda r: r.update(parameters={"timeout": 10**30}), "parameters/timeout: expected microseconds up to 10"),
        (lambda r: r.update(parameters={"binary_data_output": "yes"}), 'expected true or false, came "yes"'),
    ],
)
def test_what_is_wrong_is_told(client, sound, change, message):
    assert message in fault(client, spoiled(sound, change))


def test_every_fault_is_told(client, sound):
    def change(request):
        request["inputs"][0].update(datatype="INT8", shape=[1])
        request["inputs"][1]["data"][1][5] = None
        request["outputs"] = [{"name": "no"}]
        request["parameters"] = {"priority": 1}

    told = fault(client, spoiled(sound, change)).split("; ")
    assert [each.partition(":")[0] for each in told] == [
        "parameters/priority",
        "inputs/0/datatype",
        "inputs/0/shape",
        "inputs/1/data",
        "inputs",
        "outputs/0/name",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body, head: (body[:-1], head), "inputs/1/parameters/binary_data_size: expected at most the "),
        (lambda body, head: (body + b"x", head), "bytes behind the JSON, as binary_data_size says, came 1 more"),
        (lambda body, head: (body, len(body) + 1), "header Inference-Header-Content-Length: expected the JSON's bytes"),
        (lambda body, head: (body, -1), "header Inference-Header-Content-Length: "),
        (lambda body, head: (body, head - 1), "expected JSON: "),
        (lambda body, head: (body[:head], None), "inputs/0/parameters/binary_data_size: expected at most the 0 bytes"),
        (lambda body, head: (body, None), "expected JSON: "),
        (lambda body, head: (body[:head] + b"\xff" * (len(body) - head), head), "finite numbers, came NaN as value 0"),
    ],
)
def test_wrong_lengths_of_binary_parts_are_told(client, sound, change, message):
    body, headers = binary(sound)
    body, head = change(body, int(headers[HEADER]))
    assert message in fault(client, body, **({} if head is None else {HEADER: str(head)}))


def test_a_size_that_is_not_the_shapes_is_told(client, sound):
    body, headers = binary(sound)
    grown = body.replace(b'"shape": [2, 28, 2]', b'"shape": [3, 28, 2]')
    told = fault(client, grown, **headers)
    assert "inputs/0/data: expected 1344 bytes for shape [3, 28, 2] of FP64, came 896" in told


@pytest.mark.parametrize(
    ("content", "coding", "message"),
    [
        (b"{}", "gzip", "expected a body in gzip"),
        (b"", "gzip", "expected one body in gzip, came a part of one"),
        (gzip.compress(b"{}")[:-3], "gzip", "came a part of one"),
        (gzip.compress(b"{}") * 2, "gzip", "came more behind its end"),
        (gzip.compress(b"{}"), "deflate", "expected a body in deflate"),
    ],
)
def test_what_is_not_compressed_as_it_says_is_refused(client, content, coding, message):
    assert message in fault(client, content, **{"content-encoding": coding})


def test_another_coding_is_415(client, sound):
    assert "expected a Content-Encoding of gzip" in fault(client, sound, 415, **{"content-encoding": "br"})


@pytest.fixture
def limited(serving, bundles):
    return serving(bundles("daily"), max_body_mib=0.01)


@pytest.mark.parametrize("packed", [gzip.compress(b" " * 100_000_000), gzip.compress(b"[" * 10_486)])
def test_a_body_that_grows_over_the_limit_is_413(limited, packed):
    if len(packed) > 10_000:
        packed = packed[:10_000]
    assert "once decompressed" in fault(limited, packed, 413, **{"content-encoding": "gzip"})


def test_a_body_over_the_limit_is_413(limited):
    assert fault(limited, b" " * 10_486, 413) == "expected a body of at most 10485 bytes, came 10486"


def test_an_answer_over_the_limit_is_refused_before_it_is_computed(serving, bundles, bundle):
    client = serving(bundles("hourly"), max_body_mib=0.2)
    golden = bundle("hourly").golden()
    body, headers = binary(tensors(history=golden["history"], calendar=golden["calendar"]))
    told = fault(client, body, name="hourly@attention", **headers)
    assert told.startswith("inputs: expected rows whose answer has at most 209715 bytes, came some with up to ")
    assert infer(client, body, "hourly", **headers).status_code == 200


@pytest.mark.parametrize("name", ["x", "daily:2", "daily@x", "daily@", "@", "daily@attention", "x@forecast", "%00"])
def test_what_is_not_served_is_404(client, sound, name):
    assert "expected " in fault(client, sound, 404, name)


@pytest.mark.parametrize("version", ["2", "01", "-1", "x", "9" * 5000])
def test_another_version_is_404(client, sound, version):
    told = fault(client, sound, 404, f"daily/versions/{version}")
    assert "expected one of the models served (daily:1, " in told
