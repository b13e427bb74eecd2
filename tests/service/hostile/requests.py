"""Requests to every route that takes a body, each nearly right in its own way."""

import gzip
import json
import struct
import zlib
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

import numpy as np
from hypothesis import strategies as st

from contract.bundle import read_bundle
from service.routes.backtest import QUERY
from service.routes.query import FORECAST
from tests.service.hostile.tables import arrow_tables, csv_tables
from tests.service.hostile.texts import LITERALS, SMALL, STAMPS, TEXTS, garbled, mutated, written
from tests.service.hostile.wire import JSON, Hostile
from tests.service.inferring import HEADER, binary, tensors

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_TYPES = [
    JSON,
    CSV,
    ARROW,
    FORM,
    MULTIPART,
    f"{MULTIPART}; boundary=b",
    "",
    "text/plain",
    "application/x+json",
    "x",
    ";",
    "text/csv; charset=utf-16",
]
_BOMB = gzip.compress(bytes(2**27), 1)  # twice the largest body
_ODD = [
    "",
    "*/*",
    "text/csv",
    ARROW,
    "application/json;q=nan",
    "text/csv;q=1e999,application/json;q=-1",
    "," * 1000,
    "\xff",
    "gzip;q=1",
    "deflate",
]


def targets(folder: Path, samples: dict[str, dict]) -> dict[str, st.SearchStrategy[Hostile]]:
    """Strategies by route and kind of body, for a service of the bundles in `folder` with these samples by name."""
    hourly, daily = samples["hourly"], samples["daily"]
    long = {**daily, "series": [_longer(daily["series"][0], 4)]}
    lasting = _longer(daily["series"][0], 40, "s")
    spoiled = {**lasting, "timestamps": [*lasting["timestamps"][:-1], "2018-02-30T00:00:00"]}
    forecasts = [
        hourly,
        {**daily, "series": daily["series"] * 2, "fill": "interpolate"},
        {**hourly, "horizon": 30, "levels": [], "fill": "seasonal", "history": True, "timeout_ms": 10_000},
        {**daily, "series": [lasting]},
        {**daily, "series": [spoiled]},
        {**hourly, "levels": [80, 95], "attention": {"kinds": ["encoder"], "layers": [0], "heads": [0]}},
        {
            "series": [
                {"id": "x", "start": "2018-06-22T20:00:00", "frequency": "h", "values": hourly["series"][0]["values"]}
            ]
        },
    ]
    backtests = [{**long, "share": 0.3, "stride": 3}, {**long, "fill": "previous"}]
    texts = [
        samples["words"],
        {**samples["words"], "q": ["One cat.", "TWO DOGS?"], "alternatives": 2, "scores": True, "attention": True},
    ]
    words = [
        samples["syllables"],
        {**samples["syllables"], "prompt": "ta", "top_k": 3, "count": 3},
        {"score": ["talive", "é"]},
    ]
    tables = {
        "daily": (daily["series"][0], "model=daily"),
        "hourly": (hourly["series"][0], "model=hourly"),
        "lasting": (lasting, "model=daily"),
    }
    return {
        "/forecast JSON": _json("/forecast", forecasts),
        "/forecast CSV": st.one_of(_csv("/forecast", *each) for each in (*tables.values(), (spoiled, "model=daily"))),
        "/forecast Arrow": st.one_of(_arrow("/forecast", *each) for each in tables.values()),
        "/backtest JSON": _json("/backtest", backtests),
        "/backtest CSV": _csv("/backtest", long["series"][0], "model=daily&share=0.3&stride=5"),
        "/backtest Arrow": _arrow("/backtest", long["series"][0], "model=daily&share=0.3&stride=5"),
        "/translate JSON": _json("/translate", texts),
        "/translate form": _form(texts),
        "/generate JSON": _json("/generate", words),
        "/v2 JSON": _tensors(folder, _json),
        "/v2 binary": _tensors(folder, _binary),
    }


def _longer(series, times, unit="D"):
    """Its values again and again, a day for each, written to the day or to the second."""
    values = {name: column * times for name, column in series["values"].items()}
    days = np.datetime64("2018-01-31") + np.arange(len(next(iter(values.values()))))
    return {"timestamps": days.astype(f"M8[{unit}]").astype(str).tolist(), "values": values}


@st.composite
def _sent(draw, path, body, media, **headers):
    """On its way: encoded, of another type than it says, longer or shorter than it says."""
    headers = {"content-type": media, **headers}
    if draw(st.integers(0, 9)) == 0:
        headers["content-type"] = draw(st.sampled_from(_TYPES))
    for name in ("accept", "accept-encoding"):
        if draw(st.integers(0, 9)) == 0:
            headers[name] = draw(st.sampled_from(_ODD))
    length = None
    match draw(st.integers(0, 39)):
        case 0:
            headers["content-encoding"] = draw(
                st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\xff", "identity"])
            )
        case 1 | 2:
            body, headers["content-encoding"] = gzip.compress(body, 1), "gzip"
        case 3:
            body, headers["content-encoding"] = draw(garbled(zlib.compress(body, 1), LITERALS[:3])), "deflate"
        case 4 if draw(st.booleans()):
            body, headers["content-encoding"] = _BOMB, "gzip"
        case 5:
            length = draw(st.sampled_from([0, 1, len(body) // 2, len(body) + 1, 10**9, 10**30]))
        case 6:
            length = -1
    return Hostile(path, body, headers, length)


@st.composite
def _json(draw, path, sounds, **headers):
    sound = draw(st.sampled_from(sounds))
    kind = draw(st.integers(0, 9))
    value = draw(SMALL) if kind == 0 else draw(mutated(sound)) if kind < 9 else sound
    body = draw(written(value))
    if draw(st.integers(0, 3)) == 0:
        body = draw(garbled(body, LITERALS))
    return draw(_sent(path, body, JSON, **headers))


_QUERIES = st.tuples(
    st.sampled_from([*FORECAST.fields, *FORECAST.columns, *QUERY.fields, "x"]),
    st.sampled_from(
        [
            *TEXTS,
            "1",
            "24",
            "25",
            "0.5",
            "0",
            "1e9",
            "9" * 30,
            "80,95",
            "true",
            '{"layers":[0]}',
            "[" * 3000,
            "timestamp",
            "interpolate",
        ]
    )
    | st.sampled_from(STAMPS),
)


@st.composite
def _queried(draw, query):
    more = draw(st.lists(_QUERIES, max_size=3)) if draw(st.booleans()) else []
    told = [f"{name}={quote_from_bytes(text.encode('utf-8', 'surrogatepass'))}" for name, text in more]
    return "&".join([*([query] if draw(st.integers(0, 9)) else []), *told])


@st.composite
def _csv(draw, path, series, query):
    stamps = series["timestamps"]
    rows = [
        ["timestamp", *series["values"]],
        *map(list, zip(stamps, *(map(str, column) for column in series["values"].values()), strict=True)),
    ]
    return draw(_sent(f"{path}?{draw(_queried(query))}", draw(csv_tables(rows)), CSV))


@st.composite
def _arrow(draw, path, series, query):
    body = draw(arrow_tables(series["timestamps"], series["values"]))
    return draw(_sent(f"{path}?{draw(_queried(query))}", body, ARROW))


@st.composite
def _form(draw, sounds):
    fields = draw(mutated(draw(st.sampled_from(sounds))))
    fields = fields if isinstance(fields, dict) else {"q": fields}
    pairs = [
        (name, text if isinstance(text, str) else json.dumps(text))
        for name, each in fields.items()
        for text in (each if isinstance(each, list) else [each])
    ]
    if draw(st.booleans()):
        body = "&".join(
            f"{quote(name, errors='replace')}={quote(text, errors='replace')}" for name, text in pairs
        ).encode()
        media, tokens = FORM, [b"&", b"=", b"%", b"%ff", b"%00", b"&" * 20_000, b"+", b"{", b"q=x&" * 3000]
    else:
        parts = (f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in pairs)
        body = ("".join(parts) + "--b--\r\n").encode("utf-8", "replace")
        media = f"{MULTIPART}; boundary=b"
        tokens = [
            b"--b",
            b"--b--",
            b"\r\n",
            b"\r\n\r\n",
            b'; filename="x"',
            b"\xff",
            b"Content-Transfer-Encoding: base64\r\n",
            b"--b\r\n" * 5000,
        ]
    if draw(st.booleans()):
        body = draw(garbled(body, tokens))
    query = draw(st.sampled_from([""] * 4 + ["?q=x", "?q=%ff", "?alternatives=1&alternatives=2", "?" + "q=&" * 11_000]))
    return draw(_sent("/translate" + query, body, media))


def _tensors(folder, kind):
    """To each graph whose golden inputs its bundle has."""
    requests = {}
    for path in sorted(folder.glob("*/1")):
        bundle = read_bundle(path)
        golden = bundle.golden()
        for name, graph in bundle.manifest.graphs.items():
            inputs = [each.name for each in graph.inputs]
            if inputs and all(each in golden for each in inputs):
                requests[f"{path.parent.name}@{name}"] = tensors(**{each: golden[each] for each in inputs})
    return st.one_of(
        kind(f"/v2/models/{name}/infer", [sound, {**sound, "outputs": []}]) for name, sound in requests.items()
    )


@st.composite
def _binary(draw, path, sounds):
    body, headers = binary(draw(st.sampled_from(sounds)), parameters={"binary_data_output": draw(st.booleans())})
    length = int(headers[HEADER])
    head, rest = json.loads(body[:length]), body[length:]
    match draw(st.integers(0, 3)):
        case 0:
            rest = draw(
                garbled(
                    rest,
                    [struct.pack("<d", each) for each in (float("nan"), float("inf"), 1e308, -0.0)]
                    + [b"\xff" * 8, bytes(8)],
                )
            )
        case 1:
            head = draw(mutated(head))
        case 2:
            for each in head["inputs"]:
                each["parameters"]["binary_data_size"] += draw(st.sampled_from([0, 0, 1, -1, 8, 2**62, -(2**63)]))
        case 3:
            each = draw(st.sampled_from(head["inputs"]))
            each["shape"] = draw(st.lists(st.sampled_from([0, 1, 2, -1, 28, 2**31, 2**62, 2**63]), max_size=5))
    text = draw(written(head))
    told = draw(st.sampled_from([len(text)] * 6 + [0, len(text) - 1, len(text) + 1, len(body), 10**18]))
    told = (
        draw(st.sampled_from(["", "-1", "1e3", "\xb2", " 5", "9" * 5000]))
        if draw(st.integers(0, 9)) == 0
        else str(told)
    )
    return draw(_sent(path, text + rest, "application/octet-stream", **{HEADER: told}))
