"""What a body would be read into is bounded before it is; a client that asks meanwhile waits for none of it."""

import asyncio
import gzip
import json

import pytest

from service.routes.bounds import SERIES, TEXTS, check_bounds

MANY = 300_000
BODIES = [
    ("/generate", b'{"0": 0' + b"".join(b',"%x"\n :0' % index for index in range(MANY)) + b"}", "names in its objects"),
    ("/generate", b'{"score":[' + b"{}," * MANY + b"{}]}", "objects and lists"),
    ("/generate", b'{"score":[' + b'"",' * (2**22 + 1) + b'""]}', "values in a list"),
    ("/forecast", b'{"series":[{"values":{"a":[1],"b":[' + b"1," * 2**20 + b'1],"c":[1]}}]}', "values in a list"),
    ("/backtest", b'{"series":[{"values":{"a":[1],"b":[' + b"1," * (2**22 + 1), "values in a list"),
    ("/translate", b'{"q":[' + b"[]," * MANY + b"[]]}", "objects and lists"),
    ("/forecast", b'{"series":[' + b"{}," * 10**6 + b"{}]}", "objects and lists"),
    ("/forecast", b'{"series":[{"values":{' + b'"a":[],' * 10**6 + b'"b":[]}}]}', "names in its objects"),
    ("/backtest", b'{"series":[' + b"[ ]," * 10**6 + b"[]]}", "objects and lists"),
]


@pytest.mark.parametrize(("path", "body", "what"), BODIES, ids=lambda value: str(value)[:20])
def test_a_body_of_too_much_is_not_read(client, path, body, what):
    answer = client.post(path, content=gzip.compress(body, 1), headers={"content-encoding": "gzip"})
    assert answer.status_code in (400, 422)
    messages = [fault["message"] for fault in answer.json()["errors"]]
    assert any(f" {what}, came " in message and message.startswith("expected at most") for message in messages)


@pytest.mark.parametrize("bounds", [SERIES, TEXTS])
def test_what_is_just_not_too_much_is_read(bounds):
    asyncio.run(check_bounds(b'{"a":[' + b'{"b":0},' * (bounds.lists - 3) + b"{}]}", bounds))


def test_thousands_of_series_and_a_long_text_are_not_too_much(client, series):
    body = json.dumps({"model": "hourly", "series": [series("hourly")] * 1000}, indent=1)
    assert len(client.post("/forecast", content=body).json()["forecasts"]) == 1000
    body = json.dumps({"q": '[{"a":' * 30_000, "source": "en", "target": "it"})
    assert "expected at most" not in client.post("/translate", content=body).text


def test_brackets_without_an_end_are_no_numbers(client):
    data = b"[" * 10**6 + b"1" + b"]" * 10**6
    body = b'{"inputs":[{"name":"history","datatype":"FP64","shape":[1,96,3],"data":%b}]}' % data
    answer = client.post("/v2/models/hourly/infer", content=body)
    assert answer.status_code == 400
    assert "bytes without a comma" in answer.json()["error"]
