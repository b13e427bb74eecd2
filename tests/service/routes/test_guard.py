"""Nothing is open but what is said to be, and each route refuses in its own form."""

import json
import logging

import pytest

from service.keys import add_key
from service.routes.guard import OPEN


@pytest.fixture
def key(tmp_path):
    return add_key(tmp_path / "keys", "ours")


@pytest.fixture
def guarded(key, serving, bundles, tmp_path):
    return serving(bundles("hourly"), api_keys=tmp_path / "keys")


def routes(app):
    """(method, path) of every route of the API."""
    return {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}


def test_every_route_asks_for_a_key_but_those_that_are_open(guarded):
    refused = set()
    for method, path in routes(guarded.app):
        answer = guarded.request(method, path.replace("{name}", "hourly"), content=b"{}")
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            refused.add(path)
    assert refused == {path for _, path in routes(guarded.app)} - set(OPEN)
    assert "/forecast" in refused


def test_the_documentation_is_open(guarded):
    assert guarded.get("/docs").status_code == guarded.get("/openapi.json").status_code == 200


def test_the_documentation_says_what_asks_for_a_key(guarded, client):
    document = guarded.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    forms = {"/forecast": "Problem", "/translate": "LibreTranslateProblem", "/v2": "InferenceProblem"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) is ({"401", "403"} <= operation["responses"].keys()) is (path not in OPEN)
    for path, form in forms.items():
        (operation,) = document["paths"][path].values()
        (content,) = operation["responses"]["401"]["content"].values()
        assert content["schema"]["$ref"].rpartition("/")[2] == form
        assert ({} in operation["security"]) is (path == "/translate")
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_opens(guarded, key, body, scheme):
    for headers in ({"Authorization": f"{scheme} {key}"}, {"X-API-Key": key}):
        assert guarded.post("/forecast", content=json.dumps(body), headers=headers).status_code == 200
    # what a proxy asked for is not ours
    assert guarded.get("/models", headers={"Authorization": "Basic eDp5", "X-API-Key": key}).status_code == 200


def test_without_a_key_it_is_401_and_with_a_wrong_one_403(guarded, key):
    for headers, status in (
        ({}, 401),
        ({"Authorization": f"Basic {key}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"X-API-Key": ""}, 401),
        ({"Authorization": f"Bearer {key}x"}, 403),
        ({"X-API-Key": "\xff"}, 403),
    ):
        answer = guarded.get("/models", headers={name: value.encode("latin-1") for name, value in headers.items()})
        assert answer.status_code == answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_key_in_a_header_is_not_made_good_by_the_body(guarded, key):
    fields = {"q": "a", "source": "en", "target": "it", "api_key": key}
    assert guarded.post("/translate", json=fields, headers={"X-API-Key": "x"}).status_code == 403


def test_libretranslates_field_is_a_key_too(guarded, key):
    fields = {"q": "a", "source": "en", "target": "it"}
    for body in ({"json": {**fields, "api_key": key}}, {"data": {**fields, "api_key": key}}):
        # let in, to hear that nothing translates here
        assert guarded.post("/translate", **body).status_code == 503
    assert guarded.post("/translate", json=fields, params={"api_key": key}).status_code == 503
    assert guarded.post("/translate", json=fields, headers={"X-API-Key": key}).status_code == 503
    for given, status in (({}, 401), ({"api_key": ""}, 401), ({"api_key": 1}, 401), ({"api_key": "x"}, 403)):
        answer = guarded.post("/translate", json={**fields, **given})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert "API key" in answer.json()["error"]
    assert guarded.post("/translate", content=b"[]").status_code == 401


def test_the_log_says_whose_key_it_was(guarded, key, caplog):
    with caplog.at_level(logging.INFO, "seqcast.requests"):
        guarded.get("/models", headers={"X-API-Key": key})
    (record,) = (record for record in caplog.records if record.name == "seqcast.requests")
    assert record.key == "ours"
    assert key not in caplog.text


def test_refusals_are_counted(guarded):
    guarded.get("/models")
    assert 'seqcast_rejections_total{reason="MissingKey"} 1.0' in guarded.get("/metrics").text


def test_without_a_file_nobody_is_asked(client):
    assert client.get("/models").status_code == 200
