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
    """(route, status) -> count."""
    counts = {}
    for (name, labels), value in samples(client).items():
        if name == "seqcast_requests_total":
            counts[dict(labels)["route"], dict(labels)["status"]] = value
    return counts


def test_openmetrics_is_for_those_who_accept_it(client):
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert list(parse_text(plain.text))
    open_metrics = client.get("/metrics", headers={"accept": OPENMETRICS})
    assert open_metrics.headers["content-type"].startswith(OPENMETRICS.split(";")[0])
    assert open_metrics.text.endswith("# EOF\n")
    assert list(parse_openmetrics(open_metrics.text))


def test_requests_are_counted_by_route_and_status(fresh, body):
    for _ in range(3):
        fresh.forecast(body)
    fresh.faults({})
    fresh.faults({**body, "model": "nope"}, 404)
    fresh.get("/models/hourly")
    fresh.get("/models/nope")
    fresh.request("DELETE", "/forecast")
    assert requests(fresh) == {
        ("/forecast", "200"): 3,
        ("/forecast", "422"): 1,
        ("/forecast", "404"): 1,
        ("/forecast", "405"): 1,
        ("/models/{name}", "200"): 1,
        ("/models/{name}", "404"): 1,
    }
    assert requests(fresh)["/metrics", "200"] == 1


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
