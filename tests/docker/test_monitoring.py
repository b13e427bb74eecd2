"""What watches the service: Prometheus's configuration, its alerts, and Grafana's dashboard."""

import json
from math import isnan

import httpx
import pytest
import yaml

from tests.docker.conftest import PROMETHEUS, ROOT, docker, until

pytestmark = pytest.mark.docker

ALERTS = yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
CASES = ROOT / "tests" / "docker" / "alerts_test.yml"
GRAFANA = ROOT / "docker" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "seqcast.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SILENT = {'ALERTS{alertstate="firing"}', "seqcast_rejections_total", "seqcast_bundle_unsound"}
"""What there is none of while all is well."""


def promtool(*arguments, **how):
    configuration = f"{ROOT / 'docker' / 'prometheus'}:/etc/prometheus:ro"
    volumes = ("--volume", configuration, "--volume", f"{CASES}:/alerts_test.yml:ro")
    return docker("run", "--rm", "--interactive", *volumes, "--entrypoint=promtool", PROMETHEUS, *arguments, **how)


@pytest.mark.parametrize(
    "command", ["check config /etc/prometheus/prometheus.yml", "check rules /etc/prometheus/alerts.yml"]
)
def test_promtool_has_nothing_to_say(command):
    assert "SUCCESS" in promtool(*command.split())


def test_alerts_fire_where_they_should():
    assert "SUCCESS" in promtool("test", "rules", "/alerts_test.yml")
    tried = {
        case["alertname"]
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tried == {rule["alert"] for rule in ALERTS}


def test_rules_are_evaluated_and_have_nothing_to_say_of_a_service_that_is_well(used):
    for rule in ALERTS:
        used.query(rule["expr"])
    (group,) = httpx.get(f"{used.prometheus}/api/v1/rules", timeout=10).json()["data"]["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == {rule["alert"]: "ok" for rule in ALERTS}
    until("nothing fires, nor is about to", lambda: not used.query("ALERTS"))


@pytest.mark.parametrize(
    ("panel", "expression"), [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
)
def test_panels_have_something_to_show(used, panel, expression):
    found = used.query(expression.replace("$__rate_interval", "1m").replace("$model", ".*"))
    if " or vector(0)" in expression or not any(name in expression for name in SILENT):
        assert not all(isnan(value) for _, value in found), "nothing, or gaps alone"


def test_metrics_are_as_prometheus_would_have_them(used):
    """Of a service that has answered requests of every kind."""
    metrics = used.get("/metrics").content.decode()
    assert promtool("check", "metrics", input=metrics) == ""
