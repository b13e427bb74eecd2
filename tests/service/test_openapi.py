"""The document at /openapi.json, and /docs, which must work without a network."""

import asyncio
import re
import threading
import time

import pytest
import uvicorn

from service.app import create_app
from service.routes.backtest import QUERY
from service.routes.media import ARROW
from service.routes.query import FORECAST
from service.routes.translate import PARAMETERS
from service.server import _Server as Server
from service.settings import Settings
from service.turnstile import Turnstile

V2_MODEL = ("", "/ready", "/config", "/stats", "/infer")
PATHS = {
    "/forecast",
    "/generate",
    "/backtest",
    "/translate",
    "/languages",
    "/models",
    "/models/{name}",
    "/models/{name}/sample",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/stats",
    *(f"/v2/models/{{name}}{version}{what}" for version in ("", "/versions/{version}") for what in V2_MODEL),
    "/v2/repository/index",
    "/v2/repository/models/{name}/load",
    "/v2/repository/models/{name}/unload",
}


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def nodes(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_has_every_path(document):
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == PATHS


def test_every_reference_leads_somewhere(document):
    references = {node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node}
    assert {"#/components/schemas/ForecastRequest", "#/components/schemas/Series"} <= references
    for reference in references:
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_operation_is_told_apart_and_answers_something(document):
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    for operation in operations:
        assert "200" in operation["responses"]
        assert all(answer["description"] for answer in operation["responses"].values())


@pytest.mark.parametrize(
    ("path", "schema", "query"), [("/forecast", "ForecastRequest", FORECAST), ("/backtest", "BacktestRequest", QUERY)]
)
def test_requests_and_answers_are_described(document, path, schema, query):
    operation = document["paths"][path]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": f"#/components/schemas/{schema}"}
    assert set(operation["requestBody"]["content"]) == {"application/json", "text/csv", ARROW}
    answered = {"application/json", "text/csv", *([ARROW] if path == "/forecast" else [])}
    assert set(operation["responses"]["200"]["content"]) == answered
    named = [parameter["name"] for parameter in operation["parameters"]]
    assert named == [*query.fields, *query.columns, "X-Timeout-Ms"]
    for status in ("404", "413", "415", "422", "503"):
        assert set(operation["responses"][status]["content"]) == {"application/problem+json"}
    schemas = document["components"]["schemas"]
    assert schemas[schema]["required"] == ["series"]
    assert schemas["Series"]["required"] == ["values"]
    for each in (schema, "Series"):
        assert schemas[each]["additionalProperties"] is False


def test_is_the_same_when_asked_again(client, document):
    assert client.get("/openapi.json").json() == document


def test_docs_refer_to_no_other_host(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(?:https?:)?//\w", page.text)
    assets = set(re.findall(r'(?:src|href)="([^"#]+)"', page.text))
    assert any(asset.endswith(".js") for asset in assets)
    for asset in assets:
        assert client.get(asset).status_code == 200, asset


def test_a_translation_is_described_for_each_form_of_its_fields(document):
    operation = document["paths"]["/translate"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}
    schemas = document["components"]["schemas"]
    fields = schemas["TranslateRequest"]["properties"]
    named = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"]
    assert named == list(PARAMETERS.fields) == list(fields)
    assert set(schemas["TranslateRequest"]["examples"][0]) <= set(fields)
    for status in ("400", "413", "415", "503"):
        assert set(operation["responses"][status]["content"]) == {"application/json"}
    assert set(schemas["LibreTranslateProblem"]["required"]) > {"error"}


def test_it_is_made_beside_the_loop_at_the_start(bundles, capsys):
    """Before anybody asks for it, who would hold up all others meanwhile."""
    app = create_app(Settings(bundles=bundles("hourly"), port=0))
    turnstile = Turnstile.before(app)
    server = Server(uvicorn.Config(app, port=0, http=turnstile, log_config=None), app, turnstile)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    end = time.monotonic() + 60
    while app.openapi_schema is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    server.should_exit = True
    thread.join()
    assert "/forecast" in app.openapi_schema["paths"]
    assert capsys.readouterr().out.startswith("seqcast answers at ")
