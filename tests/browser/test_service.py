"""The view Service shows the bundles, their cards, and what /metrics says."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.browser


@pytest.fixture
def page(open_page):
    page = open_page("service")
    page.wait_for_selector("#service-bundles details")
    return page


def routes(page):
    """Cells of the table, by route."""
    rows = page.locator("#service-routes tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return {route: cells for route, *cells in rows}


def counted(api, route):
    """Answered, refused and failed requests of a route."""
    families = {family.name: family for family in text_string_to_metric_families(api.get("/metrics").text)}
    by_status = {}
    for sample in families["seqcast_requests"].samples:
        if sample.name == "seqcast_requests_total" and sample.labels["route"] == route:
            first = sample.labels["status"][0]
            by_status[first] = by_status.get(first, 0) + int(sample.value)
    return [str(each) for each in (sum(by_status.values()), by_status.get("4", 0), by_status.get("5", 0))]


def test_every_version_of_every_bundle_is_listed(page, api):
    served = api.get("/models").json()["models"]
    assert any(len(each["versions"]) == 2 for each in served)
    expected = [f"{each['name']} version {version} · {each['task']}" for each in served for version in each["versions"]]
    page.wait_for_selector("#service-bundles summary:has-text('nats a character')")
    shown = page.locator("#service-bundles summary").evaluate_all(
        "lines => lines.map(line => [...line.childNodes].map(each => each.textContent).join(' '))"
    )
    assert [" · ".join(line.split(" · ")[:2]) for line in shown] == expected
    assert page.inner_text("#service-ready") == "The service is ready."
    scores = api.get("/models/etth1-informer").json()["metrics"]["scores"]
    told = f"MSE {scores['model']['mse']:.3f}, ridge {scores['ridge']['mse']:.3f}"
    assert told in next(line for line in shown if line.startswith("etth1-informer"))


def test_a_card_has_the_metrics_beside_the_baselines(page, api):
    page.click("#service-bundles summary:has-text('etth1-informer')")
    card = page.locator("#service-bundles details[open] .card")
    card.wait_for()
    cells = (
        card.locator("table")
        .first.locator("tr")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    )
    scores = api.get("/models/etth1-informer").json()["metrics"]["scores"]
    assert cells[0] == ["", "MSE", "MAE"]
    assert cells[1:] == [[name, f"{each['mse']:.3f}", f"{each['mae']:.3f}"] for name, each in scores.items()]
    told = api.get("/models/etth1-informer").json()["card"]
    assert card.locator("h4").all_inner_texts() == re.findall(r"^#+ (.*)$", told.partition("```")[0], re.MULTILINE)
    assert card.locator("pre").inner_text().strip() == told.split("```")[1].removeprefix("toml").strip()


def test_a_hostile_card_is_text(page):
    page.click("#service-bundles summary:has-text('zz-hostile')")
    card = page.locator("#service-bundles details[open] .card")
    card.wait_for()
    assert card.locator("h4").inner_text() == "<script>alert(3)</script>"
    assert card.locator("th").first.inner_text() == "<img src=x onerror=alert(4)>"
    assert card.locator("td").inner_text() == "<i>"
    assert not page.locator("main img, main script, main i").count()


def test_counts_and_latency_are_those_of_the_metrics(page, api):
    before = routes(page).get("/forecast", ["0"])[0]
    sample = api.get("/models/etth1-linear/sample").json()
    for _ in range(5):
        assert api.post("/forecast", content=json.dumps(sample)).status_code == 200
    assert api.post("/forecast", content=b"{}").status_code == 422
    answered = str(int(before.replace(",", "")) + 6)
    page.wait_for_selector(f"#service-routes tr:has(th:text-is('/forecast')) td:nth-child(2):text-is('{answered}')")
    cells = routes(page)["/forecast"]
    assert cells[:3] == counted(api, "/forecast")
    # a rate, and quantiles between the histogram's bounds
    assert float(cells[3]) > 0
    assert 0 < float(cells[4]) <= float(cells[5])
    tiles = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    assert tiles["rows waiting"] == "0"
    assert tiles["refused, since start"] == str(refusals(api))
    page.wait_for_selector("#service-latency canvas")
    assert page.inner_text("#service-queue-reading") == "queue 0"
    assert re.fullmatch(r"p50 [\d.,]+p99 [\d.,]+", page.text_content("#service-latency-reading"))


def refusals(api):
    (family,) = (
        family
        for family in text_string_to_metric_families(api.get("/metrics").text)
        if family.name == "seqcast_rejections"
    )
    return int(sum(sample.value for sample in family.samples if sample.name.endswith("_total")))


def test_metrics_are_read_as_prometheus_reads_them(page):
    quantile = """async ([share, counts]) => {
      const { quantile } = await import("/playground/prometheus.js");
      return quantile(share, new Map(counts.map(([bound, count]) => [Number(bound), count])));
    }"""
    for share, counts, expected in (
        (0.5, {0.1: 0, 1.0: 10, 5.0: 10}, 0.55),
        (0.9, {0.1: 4, 1.0: 8, 5.0: 10}, 3.0),
        (0.99, {0.1: 4, 1.0: 8, "Infinity": 10}, 1.0),
        (0.5, {0.1: 0, 1.0: 0}, None),
        (0.25, {0.1: 4, 1.0: 4}, 0.025),
    ):
        told = page.evaluate(quantile, [share, [[str(bound), count] for bound, count in counts.items()]])
        assert told == (None if expected is None else pytest.approx(expected))
    parse = """async text => (await import("/playground/prometheus.js")).parse(text)"""
    text = '# HELP a b\nx_total{route="/a\\"b\\\\c\\nd",status="200"} 3.0\ny 1e-05\nz_bucket{le="+Inf"} 7\n'
    assert page.evaluate(parse, text) == [
        {"name": "x_total", "labels": {"route": '/a"b\\c\nd', "status": "200"}, "value": 3},
        {"name": "y", "labels": {}, "value": 1e-05},
        {"name": "z_bucket", "labels": {"le": "+Inf"}, "value": 7},
    ]
