"""The playground's page and files: what goes along with them, and that all of them travel in the package."""

import re
import tomllib
from pathlib import Path

import pytest

from service.keys import add_key

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "service" / "playground"
FILES = [path for path in FOLDER.rglob("*") if path.is_file()]


def policy(answer):
    """Content-Security-Policy, by directive."""
    parts = (part.split() for part in answer.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("path", ["/", "/playground/main.js", "/playground/style.css"])
def test_nothing_inline_and_nothing_from_elsewhere_runs(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    told = policy(answer)
    assert {source for sources in told.values() for source in sources} == {"'none'", "'self'"}
    assert [name for name, sources in told.items() if sources == ["'none'"]] == [
        "default-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    ]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_has_no_inline_script_or_style(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


def test_what_the_page_refers_to_is_there(client):
    assets = re.findall(r'(?:src|href)="(playground/[^"]+)"', client.get("/").text)
    assert len(assets) > 5
    kinds = {client.get(f"/{asset}").headers["content-type"].partition(";")[0] for asset in assets}
    assert kinds == {"text/html", "text/css", "text/javascript", "image/svg+xml"} - {"text/html"}


def test_it_is_not_sent_again_if_it_is_as_it_was(client):
    first = client.get("/playground/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/playground/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" in again.headers


@pytest.mark.parametrize("path", ["no.js", "", "..%2fapp.py", "vendor", "%00"])
def test_there_is_nothing_but_its_files(client, path):
    assert client.get(f"/playground/{path}").status_code == 404


def test_it_opens_without_a_key(serving, bundles, tmp_path):
    add_key(tmp_path / "keys", "ours")
    guarded = serving(bundles("hourly"), api_keys=tmp_path / "keys")
    for path in ("/", "/playground/main.js"):
        assert guarded.get(path).status_code == 200
    assert guarded.get("/models").status_code == 401


def test_docs_have_their_own_rules(client):
    assert "content-security-policy" not in client.get("/docs").headers


def test_every_file_travels_in_the_wheel():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service"]
    packed = {path for pattern in data for path in (ROOT / "service").glob(pattern) if path.is_file()}
    assert packed == set(FILES)
    assert {"index.html", "main.js", "uPlot.iife.min.js", "uPlot.LICENSE"} <= {path.name for path in FILES}
