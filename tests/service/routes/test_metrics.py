import json
from importlib.metadata import version

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def fresh(serving, bundles):
    return serving(bundles("daily", "hourly"))


def samples(client):
    """(name, sorted labels) -> value."""
    families = parse_text(client.get("/metrics").text)
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def requests(client):
    """(route, model, status) -> count."""
    counts = {}
    for (name, labels), value in samples(client).items():
        if name == "seqcast_requests_total":
            counts[tuple(dict(labels)[label] for label in ("route", "model", "status"))] = value
    return counts


def of_model(client, model):
    """Name, without its prefix, and stage where there is one -> value."""
    told = {}
    for (name, labels), value in samples(client).items():
        labels = dict(labels)
        if labels.get("model") == model and "le" not in labels:
            told[" ".join([name.removeprefix("seqcast_"), *filter(None, [labels.get("stage")])])] = value
    return told


def test_openmetrics_is_for_those_who_accept_it(client):
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert list(parse_text(plain.text))
    open_metrics = client.get("/metrics", headers={"accept": OPENMETRICS})
    assert open_metrics.headers["content-type"].startswith(OPENMETRICS.split(";")[0])
    assert open_metrics.text.endswith("# EOF\n")
    assert list(parse_openmetrics(open_metrics.text))


def test_requests_are_counted_by_route_model_and_status(fresh, body):
    for _ in range(3):
        fresh.forecast(body)
    fresh.faults({})
    fresh.faults({**body, "model": "nope"}, 404)
    fresh.get("/models/hourly")
    fresh.get("/models/nope")
    fresh.request("DELETE", "/forecast")
    fresh.faults({**body, "horizon": 0})
    fresh.faults({**body, "horizon": 10**6})
    assert requests(fresh) == {
        ("/forecast", "hourly", "200"): 3,
        ("/forecast", "", "422"): 1,
        ("/forecast", "hourly", "422"): 2,
        ("/forecast", "", "404"): 1,
        ("/forecast", "", "405"): 1,
        ("/models/{name}", "hourly", "200"): 1,
        ("/models/{name}", "", "404"): 1,
    }
    assert requests(fresh)["/metrics", "", "200"] == 1


def test_seconds_are_observed_by_route(fresh, body):
    fresh.forecast(body)
    came = samples(fresh)
    assert came["seqcast_request_seconds_count", (("route", "/forecast"),)] == 1
    assert 0 < came["seqcast_request_seconds_sum", (("route", "/forecast"),)] < 60
    assert came["seqcast_request_seconds_bucket", (("le", "+Inf"), ("route", "/forecast"))] == 1


def test_rows_are_counted_by_model(fresh, series):
    fresh.forecast({"series": [series("hourly")] * 20})
    fresh.forecast({"series": [series("daily")]})
    fresh.faults({"series": [series("daily", rows=3)]})
    came = samples(fresh)
    assert came["seqcast_rows_total", (("model", "hourly"),)] == 20
    assert came["seqcast_rows_total", (("model", "daily"),)] == 1


def test_bundles_are_shown(fresh):
    shown = {labels for name, labels in samples(fresh) if name == "seqcast_bundle_info"}
    assert shown == {(("model", name), ("task", "forecast"), ("version", "1")) for name in ("daily", "hourly")}


def test_what_is_not_served_is_shown(serving, bundles, next_version):
    folder = bundles("daily", "hourly")
    (next_version(folder / "daily" / "1") / "forecast.onnx").unlink()
    told = samples(serving(folder))
    assert {labels for name, labels in told if name == "seqcast_bundle_unsound"} == {
        (("model", "daily"), ("version", "2"))
    }
    assert told["seqcast_ready", ()] == 1  # on the version before
    (folder / "daily" / "1" / "forecast.onnx").unlink()
    assert samples(serving(folder))["seqcast_ready", ()] == 0


def test_a_requests_time_is_told_by_stage(fresh, body, series):
    fresh.forecast({**body, "series": [series("hourly")] * 20})
    fresh.faults({**body, "horizon": 10**6})
    told = of_model(fresh, "hourly")
    stages = {name: told[f"stage_seconds_sum {name}"] for name in ("preprocess", "queue", "compute", "postprocess")}
    assert {told[f"stage_seconds_count {name}"] for name in stages} == {1}
    assert min(stages.values()) > 0
    seconds = samples(fresh)["seqcast_request_seconds_sum", (("route", "/forecast"),)]
    assert sum(stages.values()) < seconds


def test_rows_are_told_by_batch(fresh, body, series):
    fresh.forecast({**body, "series": [series("hourly")] * 20})
    told = of_model(fresh, "hourly")
    assert told["batch_rows_sum"] == 20
    assert told["batch_rows_count"] >= 3
    assert samples(fresh)["seqcast_queue_rows", (("model", "hourly"),)] == 0
    assert samples(fresh)["seqcast_queue_requests", (("model", "hourly"),)] == 0
    assert samples(fresh)["seqcast_queue_bytes", ()] == 0


def test_bytes_are_those_of_the_bodies(fresh, body):
    sent = json.dumps(body).encode()
    came = fresh.post("/forecast", content=sent).content
    told, route = samples(fresh), (("route", "/forecast"),)
    assert told["seqcast_received_bytes_total", route] == len(sent)
    assert told["seqcast_sent_bytes_total", route] == len(came)


def test_inputs_unlike_those_trained_on_are_counted(fresh, body, bundle):
    spec = bundle("hourly").manifest.forecast
    (given,) = body["series"]
    for values in given["values"].values():
        values.insert(0, 1e9)  # older than what the model sees
    given["start"], given["frequency"] = given.pop("timestamps")[0], spec.frequency
    mean, std = spec.scaler.mean[0], spec.scaler.std[0]
    given["values"][spec.columns[0]][-4:] = [mean + 4.1 * std, mean - 4.1 * std, mean + 3.9 * std, None]
    fresh.forecast({**body, "fill": "previous"})
    told = of_model(fresh, "hourly")
    assert told["input_values_total"] == spec.seq_len * len(spec.columns)
    assert told["input_outlying_values_total"] == 2
    assert told["input_missing_values_total"] == 1


def test_refusals_are_counted_by_reason(serving, bundles, body):
    client = serving(bundles("hourly"), max_body_mib=0.01)
    client.faults({})
    client.faults(b"{")
    client.faults({**body, "model": "nope"}, 404)
    client.faults(b" " * 20_000, 413)
    client.post("/forecast", content=b"a", headers={"content-type": "image/png"})
    client.post("/translate", content=b"{}")
    told = samples(client).items()
    counts = {dict(labels)["reason"]: value for (name, labels), value in told if name == "seqcast_rejections_total"}
    assert counts == {
        "FaultyRequest": 3,
        "UnknownModel": 1,
        "BodyTooLarge": 1,
        "UnknownMediaType": 1,
    }


def test_says_what_it_is_and_computes_on(fresh):
    assert samples(fresh)["seqcast_build_info", (("device", "cpu"), ("version", version("seqcast")))] == 1
    assert samples(fresh)["process_resident_memory_bytes", ()] > 1e7


def test_a_client_cannot_make_labels(fresh, body):
    def ask_for_what_there_is_not(start):
        for number in range(start, start + 5):
            fresh.get(f"/nowhere/{number}")
            fresh.get(f"/models/{number}")
            fresh.get(f"/models/{number}/sample")
            fresh.faults({**body, "model": f"m{number}"}, 404)
            fresh.request(f"VERB{number}", "/forecast")
            fresh.get(f"/static-offline-docs/{number}")

    ask_for_what_there_is_not(0)
    fresh.get("/metrics")
    before = samples(fresh).keys()
    ask_for_what_there_is_not(5)
    assert samples(fresh).keys() == before
