"""Nothing that a client can send to /translate gives a 5xx, an unknown token, or a text that has lost something."""

import json
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.translating import translator

TEXTS = (
    st.text()
    | st.text(st.sampled_from("aB.,:!?\"'’é(Ł😀👨\u200d\ufe0f\u0301\u202e\x00\x1f\x85\u2028@#/-19 \n\r\t"))
    | st.lists(st.sampled_from(["Hello world.", "THE CAT", "The Old Man", "\n", " ", "😀", "Łódź", "10:30"])).map(
        " ".join
    )
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["en", "it"])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
NAMES = ["q", "source", "target", "format", "alternatives", "api_key", "model", "scores", "attention"]
BOUNDED = settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def client(translating):
    return translating(translator())


def answered(client, **how):
    answer = client.post("/translate", **how)
    assert answer.status_code in (200, 400), answer.text
    told = answer.json()
    if answer.status_code == 400:
        assert told["error"]
        assert all(fault["message"] for fault in told["errors"])
    return answer


@BOUNDED
@given(content=st.binary(), kind=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]))
def test_any_bytes(client, content, kind):
    answered(client, content=content, headers={"content-type": kind})


@BOUNDED
@given(content=st.binary())
def test_any_multipart(client, content):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answered(client, content=content, headers=headers)
    part = b'--b\r\ncontent-disposition: form-data; name="q"\r\n\r\n'
    answered(client, content=part + content + b"\r\n--b--\r\n", headers=headers)


@BOUNDED
@given(fields=st.dictionaries(st.sampled_from(NAMES), VALUES), query=st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_any_fields(client, fields, query):
    sound = {"q": "Hello", "source": "en", "target": "it"}
    answered(client, content=json.dumps({**sound, **fields}), params=query)
    answered(client, data={**sound, **query})


@BOUNDED
@given(texts=st.lists(TEXTS, max_size=4), alternatives=st.integers(0, 2))
def test_any_texts(client, texts, alternatives):
    body = {"q": texts, "source": "en", "target": "it", "alternatives": alternatives, "scores": True}
    answer = answered(client, content=json.dumps(body))
    if answer.status_code == 200:
        told = answer.json()
        assert len(told["translatedText"]) == len(told.get("alternatives", texts)) == len(told["scores"]) == len(texts)
        for text, translated in zip(texts, told["translatedText"], strict=True):
            assert kept(translated) == kept(text)


def kept(text):
    """The line breaks and the signs that no model here knows: all still there, and in their order."""
    return [
        char
        for char in text
        if char in "\n\r\u2028\x85()" or (unicodedata.category(char) in ("So", "Cc") and char != "\t")
    ]
