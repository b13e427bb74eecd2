"""Bodies that are too large, no JSON, or no text."""

import gzip
import json
import zlib

import pytest

from service.settings import Settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON: EOF while parsing a value"),
        (b"   ", "expected JSON: EOF while parsing a value"),
        (b"{", "expected JSON: EOF while parsing an object"),
        (b"series=1", "expected JSON: expected value"),
        (b"{'series': []}", "expected JSON: key must be a string"),
        (b'{"series": []} x', "expected JSON: trailing characters"),
        (b'{"series": [1,]}', "expected JSON: trailing comma"),
        (b"[" * 100_000, "expected JSON: recursion limit exceeded"),
        (b'{"a":' * 100_000, "expected JSON: recursion limit exceeded"),
        (b'{"model": "\xff\xfe"}', "expected JSON: invalid unicode code point"),
        ("{}".encode("utf-16"), "expected JSON: expected value"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "expected JSON: expected value"),
        (b"\x00", "expected JSON: expected value"),
        (b'{"model": "a\x00b"}', "expected JSON: "),
        (rb'{"series": [{"id": "\ud800", "values": {}}]}', "expected JSON: "),
        (rb'{"series": [{"values": {"\udc00": [1]}}]}', "expected JSON: "),
        (rb'{"series": [{"values": {"a": [1]}, "\udc00\ud800": 1}]}', "expected JSON: "),
        (b'{"horizon": ' + b"1" * 5000 + b"}", "expected JSON: number out of range"),
        (b'{"horizon": 01}', "expected JSON: "),
        (b"\x1f\x8b\x08\x00", "expected JSON: expected value"),
    ],
)
def test_what_is_no_json_is_a_fault_of_the_whole(client, content, message):
    faults = client.faults(content)
    assert set(faults) == {""}
    assert faults[""].startswith(message)


def test_a_byte_order_mark_is_skipped_as_in_csv(client, body):
    answer = client.post("/forecast", content=b"\xef\xbb\xbf" + json.dumps(body).encode())
    assert (answer.status_code, answer.json()) == (200, client.forecast(body))


@pytest.mark.parametrize("content", ["[]", "null", "true", "1", '"x"', "[{}]", "NaN"])
def test_json_that_is_no_object_is_a_fault_of_the_whole(client, content):
    assert client.faults(content.encode()) == {"": f"expected an object, came {content}"}


def test_deep_nesting_short_of_the_limit_is_shown_shortened(client, body):
    text = json.dumps(body).replace('"one"', "[" * 150 + "]" * 150)
    assert client.faults(text.encode()) == {"/series/0/id": f"Input should be a valid string; came {'[' * 57}..."}


@pytest.mark.parametrize("text", ["a\0b", "\U0001f600", "\x1b[31m", "'\"\\", "", "日本語", "\u2028", "~1/~0"])
def test_any_text_is_echoed_or_named(client, body, text):
    body["series"][0]["id"] = text
    assert client.forecast(body)["forecasts"][0]["id"] == text
    body["series"][0]["values"][text] = [1.0] * 96
    pointer = "/series/0/values/" + text.replace("~", "~0").replace("/", "~1")
    assert client.faults(body) == {pointer: "unknown column; expected load, temp, wind/gust~max"}


@pytest.fixture
def limited(serving, bundles):
    return serving(bundles("daily"), max_body_mib=0.01)


def in_chunks(content):
    async def chunks():
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return chunks()


LIMIT = int(0.01 * 2**20)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(limited, series, chunked):
    content = json.dumps({"series": [series("daily")]}).encode()
    for padded, status in ((content.ljust(LIMIT), 200), (content.ljust(LIMIT + 1), 413)):
        answer = limited.post("/forecast", content=in_chunks(padded) if chunked else padded)
        assert answer.status_code == status
    came = "more" if chunked else LIMIT + 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"expected a body of at most {LIMIT} bytes, came {came}"


@pytest.mark.parametrize("declared", ["99999999999999999999999", "10486"])
def test_a_length_over_the_limit_is_refused_before_the_body_is_read(limited, declared):
    async def unread():
        raise AssertionError("the body was read")
        yield b""

    answer = limited.post("/forecast", content=unread(), headers={"content-length": declared})
    assert answer.status_code == 413


@pytest.mark.parametrize("declared", ["-1", "x", "²", "5"])
def test_a_wrong_length_does_no_harm(limited, series, declared):
    content = json.dumps({"series": [series("daily")]}).encode()
    answer = limited.post("/forecast", content=content, headers={"content-length": declared.encode()})
    assert answer.status_code == 200


def test_the_limit_is_in_mib():
    assert Settings(max_body_mib=1.5).max_body_bytes == 1_572_864


def _bare(content):
    """deflate without zlib's header and sum, as some send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _bare)],
)
def test_bodies_are_unpacked_wherever_one_comes(serving, bundles, body, series, coding, pack):
    """Up to the limit that a plain one has."""
    small = serving(bundles("hourly"), max_body_mib=0.1)
    text = json.dumps(body).encode()
    table = "\n".join(["date,load,temp,wind/gust~max", *(",".join(map(str, row)) for row in _rows(series("hourly")))])
    for route, content, media in (("/forecast", text, "application/json"), ("/forecast", table.encode(), "text/csv")):
        headers = {"content-type": media, "accept": "application/json"}
        plain = small.post(route, content=content, headers=headers)
        assert plain.status_code == 200, plain.text
        answer = small.post(route, content=pack(content), headers={**headers, "content-encoding": coding})
        assert answer.json()["forecasts"][0]["values"] == plain.json()["forecasts"][0]["values"]
    for route in ("/forecast", "/backtest", "/generate", "/translate", "/v2/repository/index"):
        for content, name, statuses in (
            (pack(b" " * 200_000), coding, (413,)),
            (text, coding, (400, 422)),
            (pack(text)[:-1], coding, (400, 422)),
            (text, "br", (415,)),
        ):
            answer = small.post(route, content=content, headers={"content-encoding": name})
            assert answer.status_code in statuses, (route, name, answer.text)


def _rows(series):
    return zip(series["timestamps"], *series["values"].values(), strict=True)
