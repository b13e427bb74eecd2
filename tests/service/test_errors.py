"""Everything that goes wrong leaves as a problem (RFC 9457), and tells nothing of the inside."""

import logging

import pytest

from contract.errors import ExportRefused


def check_problem(answer, status, title):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": problem["detail"],
        "errors": [],
    }
    return problem["detail"]


@pytest.mark.parametrize("path", ["/nowhere", "/forecast/x", "/models/hourly/card", "/%00", "/redoc"])
def test_no_such_path_is_404(client, path):
    check_problem(client.get(path), 404, "Not Found")


def test_who_is_lost_is_shown_to_the_docs(client):
    assert check_problem(client.get("/nowhere"), 404, "Not Found") == "No such path; /docs lists those there are."


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/forecast", "POST"),
        ("PUT", "/forecast", "POST"),
        ("OPTIONS", "/forecast", "POST"),
        ("BREW", "/forecast", "POST"),
        ("POST", "/models", "GET"),
        ("DELETE", "/models/hourly", "GET"),
        ("POST", "/healthz", "GET"),
        ("OPTIONS", "/metrics", "GET"),
    ],
)
def test_another_method_is_405_and_says_which_are_allowed(client, method, path, allowed):
    answer = client.request(method, path)
    check_problem(answer, 405, "Method Not Allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "/forecast", "/models", "/models/hourly", "/healthz", "/metrics", "/docs", "/nowhere"]
)
def test_head_is_answered_as_get_is(client, path):
    head, get = client.request("HEAD", path), client.get(path)
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("error", [ZeroDivisionError("a secret"), ExportRefused("a secret")])
def test_a_bug_is_500_logged_and_tells_nothing(serving, bundles, body, monkeypatch, caplog, error):
    client = serving(bundles("hourly"))

    async def fail(*_):
        raise error

    monkeypatch.setattr("service.engine.batching.RowPool.run", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.post("/forecast", json=body)
    detail = check_problem(answer, 500, "Internal Server Error")
    assert detail == f"An unexpected error; the service's log tells more of request {answer.headers['x-request-id']}."
    assert "unexpected error at /forecast" in caplog.text
    assert "a secret" in caplog.text
