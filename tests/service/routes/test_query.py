"""Query parameters beside a JSON body are told, not passed over."""

import json

import pytest


@pytest.mark.parametrize("path", ["/forecast", "/backtest", "/generate"])
def test_parameters_beside_json_are_faults(client, series, path):
    body = {"model": "hourly", "series": [series("hourly", rows=400)]} if path != "/generate" else {"prompt": "a"}
    answer = client.post(f"{path}?timeout_ms=1&bogus=1&timeout_ms=2", content=json.dumps(body))
    assert answer.status_code == 422
    faults = {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}
    assert faults["/timeout_ms"] == "expected as a field of the JSON body, came as a query parameter"
    assert faults["/bogus"].startswith("unknown parameter; expected none beside a JSON body, whose fields are model, ")


def test_they_are_told_beside_the_bodys_own_faults(client, body):
    body["series"][0]["values"]["load"] = None
    body["horizon"] = "1"
    answer = client.post("/forecast?levels=80&a~b=1", content=json.dumps(body))
    pointers = [fault["pointer"] for fault in answer.json()["errors"]]
    assert {"/levels", "/a~0b", "/horizon", "/series/0/values/load"} <= {*pointers}
