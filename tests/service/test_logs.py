import json
import logging

import pytest

from service.logs import configure_logs

FIELDS = {
    "time", "level", "logger", "message", "request_id",
    "method", "route", "status", "model", "version", "key", "duration_s", "bytes_in", "bytes_out",
}  # fmt: skip


@pytest.fixture
def lines(capsys):
    """lines(form, level) configures; lines() -> what was written to stderr since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the client's own lines

    def lines(*how):
        if how:
            configure_logs(*how)
        return capsys.readouterr().err.splitlines()

    yield lines
    root.handlers[:], root.level = before
    logging.getLogger("httpx").setLevel(logging.NOTSET)


def test_a_request_is_a_line_of_json_without_its_values(client, body, lines):
    lines("json", "info")
    sent = json.dumps(body).encode()
    answer = client.post("/forecast", content=sent, headers={"X-Request-ID": "mine", "X-Secret": "secret"})
    assert answer.status_code == 200
    (line,) = lines()
    told = json.loads(line)
    assert told.keys() == FIELDS
    assert 0 < told.pop("duration_s") < 60
    assert told.pop("time").endswith("+00:00")
    assert told.pop("message").startswith("POST /forecast 200 by hourly:1 in ")
    assert told == {
        "level": "INFO",
        "logger": "seqcast.requests",
        "request_id": "mine",
        "method": "POST",
        "route": "/forecast",
        "status": 200,
        "model": "hourly",
        "version": 1,
        "key": None,
        "bytes_in": len(sent),
        "bytes_out": len(answer.content),
    }
    assert "secret" not in line


def test_what_was_asked_for_and_is_not_there_stays_out_of_the_log(client, lines):
    lines("json", "info")
    for path in ("/secret", "/models/secret"):
        client.get(path)
    first, second = map(json.loads, lines())
    assert (first["route"], first["status"], first["model"]) == ("none", 404, None)
    assert (second["route"], second["status"]) == ("/models/{name}", 404)
    assert "secret" not in str((first, second))


def test_text_is_a_line_that_a_person_can_read(client, lines):
    lines("text", "info")
    client.get("/models", headers={"X-Request-ID": "mine"})
    (line,) = lines()
    assert " INFO seqcast.requests: GET /models 200 in " in line
    assert line.endswith(" B [mine]")


def test_probes_are_told_where_they_fail_or_all_is_told(client, serving, tmp_path, lines):
    lines("text", "info")
    for path in ("/healthz", "/readyz", "/metrics", "/playground/main.js"):
        assert client.get(path).status_code == 200
    assert lines() == []
    assert serving(tmp_path).get("/readyz").status_code == 503
    assert any(" WARNING seqcast.requests: GET /readyz 503 " in line for line in lines())
    lines("text", "debug")
    client.get("/healthz")
    assert any("GET /healthz 200" in line for line in lines())


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_has_its_requests_id(serving, bundles, body, monkeypatch, lines, form):
    client = serving(bundles("hourly"))

    async def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("service.engine.batching.RowPool.run", fail)
    lines(form, "info")
    answer = client.post("/forecast", json=body, headers={"X-Request-ID": "mine"})
    assert answer.status_code == 500
    assert answer.headers.get_list("x-request-id") == ["mine"]
    written = lines()
    if form == "json":
        bug = next(told for told in map(json.loads, written) if told["level"] == "ERROR")
        assert "ZeroDivisionError" in bug["traceback"]
        assert bug["request_id"] == "mine"
        assert next(told["status"] for told in map(json.loads, written) if "status" in told) == 500
    else:
        assert any("unexpected error at /forecast [mine]" in line for line in written)
        assert "ZeroDivisionError" in written


def test_a_line_outside_of_a_request_has_no_id(lines):
    lines("json", "info")
    logging.getLogger("service").info("up")
    (line,) = lines()
    told = json.loads(line)
    assert (told["message"], "request_id" in told) == ("up", False)
