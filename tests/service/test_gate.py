"""What the engine promises to callers, over real sockets: the faults that other model servers are known for."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from service.engine.batching import CHUNK
from service.engine.gathering import GatheringPool
from service.gate import door_of
from tests.service.conftest import BUNDLES, GENERATORS, TRANSLATORS
from tests.service.inferring import array, binary, tensors
from tests.service.sockets import Hold

TEXTS = [" ".join(words) for words in product(["one", "two", "four", "dog", "house", "tree"], repeat=3)]


@pytest.fixture
def hold(monkeypatch):
    """hold() -> a Hold, from then on; released at the end at the latest."""
    holds = []

    def hold():
        holds.append(Hold(monkeypatch))
        return holds[-1]

    yield hold
    for each in holds:
        each.release()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(60) as threads:
        yield threads


def test_who_leaves_freezes_nobody_and_the_gauge_falls(listen, hold, forecasts, threads):
    """Ray 50046: the others of a cancelled caller's batch wait for ever. Ray 37943: the queue's gauge never falls."""
    serving, held = listen("hourly"), hold()
    first = threads.submit(serving.http.post, "/forecast", json=forecasts(2))
    serving.until(lambda: held.rows)
    leaving = [serving.leaving("/forecast", forecasts(40)) for _ in range(5)]
    serving.until(lambda: serving.lines.rows()["hourly"] == 5 * 40)
    last = threads.submit(serving.http.post, "/forecast", json=forecasts(3))
    serving.until(lambda: serving.lines.requests()["hourly"] == 7)
    assert serving.gauges() == {"hourly": 203}
    assert serving.gauges("seqcast_queue_requests") == {"hourly": 7}
    for connection in leaving:
        connection.close()
    serving.until(lambda: serving.gauges() == {"hourly": 3})
    held.release()
    assert len(first.result().json()["forecasts"]) == 2
    assert len(last.result().json()["forecasts"]) == 3
    serving.until(lambda: serving.gauges("seqcast_queue_requests") == {"hourly": 0})
    assert sum(held.rows) == 5
    told = serving.http.get("/metrics").text
    assert 'seqcast_requests_total{model="hourly",route="/forecast",status="499"} 5.0' in told
    assert 'seqcast_rejections_total{reason="ClientDisconnect"} 5.0' in told
    assert "\nseqcast_queue_bytes 0.0" in told


@pytest.mark.parametrize(
    ("path", "names", "body"),
    [
        ("/forecast", ["hourly"], lambda forecasts: forecasts(30)),
        ("/backtest", ["hourly"], None),
        ("/generate", ["syllables"], lambda _: {"count": 300}),
        ("/generate", ["syllables"], lambda _: {"score": ["ka" * 20] * 300}),
        (
            "/translate",
            ["words"],
            lambda _: {"q": TEXTS, "source": "en", "target": "it"},
        ),
        ("/v2/models/hourly/infer", ["hourly"], None),
    ],
)
def test_of_what_is_left_no_more_is_computed(listen, hold, forecasts, series, bundle, path, names, body):
    if path == "/backtest":
        content = {"model": "hourly", "series": [series("hourly", 500)]}
    elif path.startswith("/v2"):
        golden = bundle("hourly").golden()
        content = tensors(**{name: np.repeat(golden[name][:1], 30, 0) for name in ("history", "calendar")})
    else:
        content = body(forecasts)
    serving, held = listen(*names), hold()
    connection = serving.leaving(path, content)
    serving.until(lambda: held.rows)
    assert sum(serving.lines.rows().values()) > 20
    connection.close()
    serving.until(lambda: not any(serving.lines.requests().values()))
    held.release()
    assert serving.http.get("/healthz").status_code == 200
    assert sum(serving.gauges().values()) == 0
    # what had been begun may take several runs
    assert len(held.rows) < 30


def test_rows_are_counted_not_requests(listen, hold, forecasts, threads):
    """BentoML 3859."""
    serving, held = listen("hourly", max_queue_rows=100), hold()
    taken = [threads.submit(serving.http.post, "/forecast", json=forecasts(60)) for _ in range(2)]
    serving.until(lambda: serving.lines.rows()["hourly"] == 2 * 60 - CHUNK)
    refused = serving.http.post("/forecast", json=forecasts(1))
    assert refused.status_code == 429
    assert "112 rows are ahead" in refused.json()["detail"]
    held.release()
    assert [len(each.result().json()["forecasts"]) for each in taken] == [60, 60]
    assert serving.http.post("/forecast", json=forecasts(500)).status_code == 200


@pytest.mark.parametrize("gathers", [False, True])
def test_results_are_split_back_rightly(listen, bundle, threads, monkeypatch, gathers):
    """MLServer 1306. Requests of any number of rows at once each get what they get alone, on a pool as for CUDA too."""
    if gathers:
        monkeypatch.setattr("service.app.choose_pool", lambda _, *how: GatheringPool(*how))
    serving = listen("hourly", threads=2, max_queue_requests=100, cuda_gather_ms=20)
    (loaded,) = serving.app.state.seqcast.served.all
    loaded.sessions["forecast"].together = gathers
    golden, random = bundle("hourly").golden(), np.random.default_rng(1)

    def ask(request):
        body, headers = binary(request, parameters={"binary_data_output": True})
        return array(serving.http.post("/v2/models/hourly/infer", content=body, headers=headers))

    requests = []
    for count in random.integers(1, 40, 24):
        history = golden["history"][:1] * random.uniform(0.9, 1.1, (count, 1, 1))
        requests.append(tensors(history=history, calendar=np.repeat(golden["calendar"][:1], count, axis=0)))
    together = list(threads.map(ask, requests))
    for request, came in zip(requests, together, strict=True):
        assert len(came) == request["inputs"][0]["shape"][0]
        np.testing.assert_allclose(came, ask(request), rtol=1e-6)


FORMS = [
    ("/forecast", "hourly", "application/problem+json"),
    ("/backtest", "hourly", "application/problem+json"),
    ("/generate", "syllables", "application/problem+json"),
    ("/translate", "words", "application/json"),
    ("/v2/models/hourly/infer", "hourly", "application/json"),
    ("/v2/models/hourly/versions/1/infer", "hourly", "application/json"),
]


@pytest.mark.parametrize(("path", "model", "media"), FORMS)
def test_who_is_too_many_is_told_when_to_come_again(listen, path, model, media):
    serving = listen("hourly", "daily", model, max_queue_requests=1)
    ahead = serving.lines.passage()
    ahead.enter(model, 5)
    content = json.dumps({"model": model}).encode()
    refused = serving.http.post(path, content=content, headers={"X-Request-ID": "mine"})
    assert refused.status_code == 429
    assert refused.headers["content-type"] == media
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-request-id"] == "mine"
    told = refused.json()
    assert told.get("error", told.get("detail")) == f"{model}: 1 requests are ahead; expected again in 1 s"
    if media == "application/problem+json":
        assert (told["title"], told["status"]) == ("Too Many Requests", 429)
    ahead.leave()
    assert serving.http.post(path, content=content).status_code in (200, 400, 422)
    route = door_of("POST", path).path
    metrics = serving.http.get("/metrics").text
    assert f'seqcast_requests_total{{model="{model}",route="{route}",status="429"}} 1.0' in metrics
    assert 'seqcast_rejections_total{reason="QueueFull"} 1.0' in metrics
    assert f'seqcast_received_bytes_total{{route="{route}"}} {2.0 * len(content)}' in metrics


def test_when_to_come_again_follows_from_the_rows_ahead(listen, forecasts, monkeypatch):
    serving = listen("hourly", max_queue_rows=1000)
    now = 100.0
    monkeypatch.setattr(serving.lines, "_clock", lambda: now)
    ahead = serving.lines.passage()
    ahead.enter("hourly", 5000)
    now, ahead.begun = 110.0, 500
    refused = serving.http.post("/forecast", json=forecasts(1))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "90")


@pytest.mark.parametrize("length", [100, 10**7])
def test_who_is_turned_away_is_so_before_the_body_is_there(listen, length):
    serving = listen("hourly", max_queue_requests=1)
    serving.lines.passage().enter("hourly", 5)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as connection:
        connection.sendall(b"POST /forecast HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n{" % length)
        assert connection.recv(1000).startswith(b"HTTP/1.1 429 ")


def test_another_model_than_the_crowded_one_answers(listen, hold, forecasts, threads):
    serving = listen("hourly", "daily", max_queue_requests=4)
    for _ in range(4):
        serving.lines.passage().enter("hourly", 1)
    assert serving.http.post("/forecast", json=forecasts(1)).status_code == 429
    assert serving.http.post("/forecast", json=forecasts(1, "daily")).status_code == 200
    # whose model is known once its columns are: they get as far as that
    assert serving.http.post("/forecast", json={"series": forecasts(1)["series"]}).status_code == 429
    assert serving.http.post("/forecast", json={"series": forecasts(1, "daily")["series"]}).status_code == 200


def test_a_body_that_is_long_in_coming_keeps_no_place(listen, forecasts):
    serving = listen("hourly", max_queue_requests=1)
    content = json.dumps(forecasts(50)).encode()
    half = f"POST /forecast HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content[:100_000]
    with socket.create_connection(("127.0.0.1", serving.port)) as slow:
        slow.sendall(half)
        serving.until(lambda: serving.lines.size() == 100_000)
        assert serving.http.post("/forecast", json=forecasts(1)).status_code == 200
    serving.until(lambda: serving.lines.size() == 0)


def test_bodies_are_bounded_together(listen, forecasts):
    serving = listen("hourly", max_queue_mib=0.2)
    ahead = serving.lines.passage()
    ahead.hold(200_000)
    assert serving.http.post("/forecast", json=forecasts(1)).status_code == 200
    refused = serving.http.post("/forecast", json=forecasts(40))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "bodies of " in refused.json()["detail"]
    ahead.leave()
    assert serving.http.post("/forecast", json=forecasts(40)).status_code == 200


@pytest.mark.parametrize("way", ["body", "header", "query", "setting", "form", "protocol"])
def test_who_is_late_hears_so_and_is_not_computed(listen, hold, forecasts, bundle, threads, way):
    names = ["hourly", "words"] if way == "form" else ["hourly"]
    settings = {"timeout_s": 0.2} if way == "setting" else {}
    serving = listen(*names, **settings)
    table = serving.http.get("/models/hourly/sample", headers={"accept": "text/csv"}).content
    held = hold()
    if way != "setting":
        blocking = threads.submit(serving.http.post, "/forecast", json=forecasts(1))
        serving.until(lambda: held.rows)
    if way == "body":
        late = serving.http.post("/forecast", json=forecasts(30, timeout_ms=200))
    elif way == "header":
        late = serving.http.post("/forecast", json=forecasts(30, timeout_ms=10**6), headers={"x-timeout-ms": "200"})
    elif way == "query":
        params = {"model": "hourly", "timeout_ms": "200"}
        headers = {"content-type": "text/csv"}
        late = serving.http.post("/forecast", content=table, params=params, headers=headers)
    elif way == "form":
        data = {"q": TEXTS[0], "source": "en", "target": "it", "timeout_ms": "200"}
        late = serving.http.post("/translate", data=data)
    elif way == "protocol":
        golden = bundle("hourly").golden()
        content = {
            **tensors(**{name: golden[name] for name in ("history", "calendar")}),
            "parameters": {"timeout": 200_000},
        }
        late = serving.http.post("/v2/models/hourly/infer", json=content)
    else:
        late = serving.http.post("/forecast", json=forecasts(30))
    assert late.status_code == 504
    told = late.json()
    assert told.get("error", told.get("detail")) == "not answered within 200 ms of the request's arrival"
    if way != "setting":
        assert sum(serving.gauges().values()) == 0
        held.release()
        assert blocking.result().status_code == 200
        assert len(held.rows) == 1
    metrics = serving.http.get("/metrics").text
    assert 'seqcast_rejections_total{reason="TooLate"} 1.0' in metrics


def test_a_body_that_does_not_come_is_408(listen):
    serving = listen("hourly", timeout_s=0.2)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as connection:
        connection.sendall(b"POST /forecast HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
    serving.until(lambda: serving.lines.size() == 0)


def test_a_time_limit_that_is_kept_changes_nothing(listen, forecasts):
    serving = listen("hourly")
    plain = serving.http.post("/forecast", json=forecasts(2))
    assert serving.http.post("/forecast", json=forecasts(2, timeout_ms=10**9)).json() == plain.json()
    faulty = serving.http.post("/forecast", json=forecasts(1, timeout_ms=0))
    assert faulty.json()["errors"][0]["pointer"] == "/timeout_ms"


def test_a_time_limit_in_the_header_is_a_number(listen, forecasts):
    serving = listen("hourly")
    for path, status in [("/forecast", 422), ("/translate", 400), ("/v2/models/hourly/infer", 400)]:
        for came in ("", "0", "-1", "1.5", "1e3", "200ms", "\u00b2", "1000000001", "9" * 5000):
            answer = serving.http.post(path, json=forecasts(1), headers={"x-timeout-ms": came.encode("latin-1")})
            assert (answer.status_code, path, came) == (status, path, came)
            assert "expected X-Timeout-Ms of 1 to 1000000000 milliseconds, came" in answer.text
    assert serving.http.post("/forecast", json=forecasts(1), headers={"x-timeout-ms": "60000"}).status_code == 200
    assert sum(serving.gauges().values()) == 0


@pytest.mark.parametrize(
    "path", ["/forecast/x", "/v2/models/hourly", "/v2/models/a/b/infer", "/models", "/v2/models//infer"]
)
def test_what_computes_nothing_passes(path):
    assert door_of("POST", path) is None
    assert door_of("GET", "/forecast") is None


@pytest.mark.parametrize(
    ("path", "query", "start", "model"),
    [
        ("/forecast", b"", b'{"model": "hourly", "series": [', "hourly"),
        ("/forecast", b"", b'{"series": [], "model" :\n"daily:1"}', "daily"),
        ("/forecast", b"model=daily&fill=error", b"timestamp,load", "daily"),
        ("/forecast", b"model=da%69ly%3A1", b"", "daily"),
        ("/forecast", b"", b'{"series": [', ""),
        ("/forecast", b"", b'{"model": 3}', ""),
        ("/forecast", b"", b'{"model": "nope"}', ""),
        ("/forecast", b"", b'{"model": "hourly', ""),
        ("/forecast", b"model=\xff", b"", ""),
        ("/generate", b"", b"{}", "syllables"),
        ("/generate", b"", b'{"model": "hourly"}', "hourly"),
        ("/translate", b"", b"q=hello", "words"),
        ("/v2/models/hourly/infer", b"", b"", "hourly"),
        ("/v2/models/words@step/versions/1/infer", b"", b"", "words"),
        ("/v2/models/hourly:1@attention/infer", b"", b"", "hourly"),
        ("/v2/models/nope/infer", b"", b"", ""),
    ],
)
def test_the_model_is_guessed_from_the_start_of_a_request(serving, tmp_path, path, query, start, model):
    for each in (BUNDLES / "hourly", BUNDLES / "daily", GENERATORS / "syllables", TRANSLATORS / "words"):
        (tmp_path / each.name).symlink_to(each)
    served = serving(tmp_path).app.state.seqcast.served
    assert door_of("POST", path).model(query, start, served) == model
