"""docs/operations.md, the dashboard and the composition agree with what they tell of."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
COMPOSITION = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
GRAFANA = ROOT / "docker" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "seqcast.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def section(title):
    return PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_alert_is_told():
    assert re.findall(r"^\| `(\w+)` \|", section("Alerts"), re.MULTILINE) == ALERTS


def test_every_variable_of_the_composition_is_told():
    told = section("In containers")
    used = set(re.findall(r"\$\{(\w+):-", (ROOT / "docker-compose.yml").read_text()))
    assert {name for name in used if f"`{name}`" not in told} == set()


def test_the_dashboard_asks_the_data_source_that_is_provisioned():
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    asking = [each for panel in PANELS for each in (panel, *panel["targets"])] + DASHBOARD["templating"]["list"]
    assert [each["datasource"] for each in asking] == len(asking) * [{"type": source["type"], "uid": source["uid"]}]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert COMPOSITION["services"][host]["ports"] == [f"127.0.0.1:${{PROMETHEUS_PORT:-{port}}}:{port}"]
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]


def test_the_dashboard_is_where_grafana_looks():
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "seqcast.yml").read_text())["providers"]
    service = COMPOSITION["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert mounts["./docker/grafana/dashboards"] == provider["options"]["path"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/seqcast.json"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panels_say_what_they_show(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        by = re.match(r"\w+ by \(([\w, ]+)\)", target["expr"])
        if panel["type"] in ("timeseries", "state-timeline") and by:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named == set(by[1].split(", ")), "lines that look the same"


def test_panels_do_not_overlap():
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert {x for x, _ in taken} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_services_do_not_collide_and_are_contained():
    ports = [port for service in COMPOSITION["services"].values() for port in service.get("ports", ())]
    numbers = [re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\d+", port)[1] for port in ports]
    assert len(numbers) == len(set(numbers)) == 4
    for name, service in COMPOSITION["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name
    (gpu,) = COMPOSITION["services"]["api-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert gpu == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
