"""Nothing that a client can send to /v2 gives a 5xx, and every refusal says why."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.bundle import read_bundle
from tests.service.conftest import BUNDLES
from tests.service.hostile.texts import SCALARS
from tests.service.inferring import HEADER, binary, infer, tensors
from tests.service.test_fuzz import JSON, places

TRANSLATORS = BUNDLES.parent / "translators"
BOUNDED = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = st.integers(-3, 40)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["source", "caps", "target", "token", "history"]),
        "datatype": st.sampled_from(["INT64", "FP32", "FP64", "BOOL", "BYTES", "x"]),
        "shape": st.lists(SMALL | st.integers(), max_size=4),
    },
    optional={
        "data": st.lists(SMALL, max_size=60) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": SMALL | SCALARS}) | JSON,
    },
)


@pytest.fixture(scope="module")
def requests():
    """Sound ones by model, on a service that has both."""
    daily, words = (read_bundle(each / "1").golden() for each in (BUNDLES / "daily", TRANSLATORS / "words"))
    return {
        "daily": tensors(history=daily["history"], calendar=daily["calendar"]),
        "words": tensors(source=words["source"], caps=words["caps"]),
        "words@attention": tensors(source=words["source"], target=words["target"]),
    }


@pytest.fixture
def both(serving, tmp_path):
    for path in (BUNDLES / "daily", TRANSLATORS / "words"):
        (tmp_path / path.name).symlink_to(path)
    return serving(tmp_path, max_body_mib=1)


def answered(client, content, name="words", **headers):
    answer = infer(client, content, name, **headers)
    assert answer.status_code in (200, 400, 404, 413, 415), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]
    return answer


@BOUNDED
@given(content=st.binary(), head=st.none() | st.integers(-1, 30).map(str) | st.text(st.characters(codec="ascii")))
def test_any_bytes(both, content, head):
    answered(both, content, **({} if head is None or "\n" in head or "\r" in head else {HEADER: head.encode()}))


@BOUNDED
@given(content=JSON)
def test_any_json(both, content):
    answered(both, content)


@BOUNDED
@given(inputs=st.lists(TENSORS, max_size=3), rest=st.binary(max_size=80), name=st.sampled_from(["words", "words@step"]))
def test_any_tensors(both, inputs, rest, name):
    head = json.dumps({"inputs": inputs}).encode()
    answered(both, head + rest, name, **{HEADER: str(len(head))})


@BOUNDED
@given(data=st.data())
def test_a_sound_request_with_anything_in_any_place(both, requests, data):
    name = data.draw(st.sampled_from(sorted(requests)))
    body = json.loads(json.dumps({**requests[name], "outputs": [], "parameters": {"binary_data_output": False}}))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(list(places(body))))
        owner[key] = data.draw(JSON)
    answered(both, body, name)


@BOUNDED
@given(data=st.data())
def test_a_sound_binary_request_with_bytes_changed(both, requests, data):
    name = data.draw(st.sampled_from(sorted(requests)))
    body, headers = binary(requests[name], parameters={"binary_data_output": data.draw(st.booleans())})
    assert answered(both, body, name, **headers).status_code == 200
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)))
    answered(both, bytes(changed), name, **headers)
    answered(both, bytes(changed[:cut]), name, **headers)
    packed = bytearray(gzip.compress(body))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    answered(both, bytes(packed), name, **headers, **{"content-encoding": "gzip"})


@BOUNDED
@given(name=st.text(min_size=1), version=st.text(min_size=1), content=JSON)
def test_any_name(both, name, version, content):
    for path in (name, f"{name}/versions/{version}", f"words@{name}"):
        for what in ("", "/ready", "/config", "/stats"):
            assert both.get(f"/v2/models/{quoted(path)}{what}").status_code < 500
    for path in ("index", f"models/{quoted(name)}/load"):
        answer = both.post(f"/v2/repository/{path}", content=json.dumps(content))
        assert answer.status_code < 500


def quoted(text):
    return "".join(f"%{byte:02X}" if chr(byte) != "/" else "/" for byte in text.encode(errors="replace"))
