"""A real Chromium before a running service. Debian's browser is driven: nothing is downloaded."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root has no use of
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SEQCAST_")}

HOSTILE = ["<img src=x onerror=alert(1)>", 'a,"b"/c~d</script>', "${x}`'\\"]
"""Names of columns that are nothing but names."""


@pytest.fixture(scope="package")
def chromium():
    """The browser, once for all tests here."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def serving(folder, **variables):
    """A service on a free port -> its address."""
    command = [sys.executable, "-m", "seqcast", "serve", "--port", "0", "--bundles", str(folder)]
    environment = {**ENVIRONMENT, "SEQCAST_LOG_LEVEL": "warning", **variables}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://[\d.:]+", process.stdout.readline())[0]
        finally:
            process.terminate()
            process.communicate(timeout=30)


def copied(folder, source, name, change, card=None, version=1):
    """A bundle under another name or version, with what `change` makes of its manifest, and another card."""
    target = shutil.copytree(source / "1", folder / name / str(version))
    manifest = json.loads((target / "manifest.json").read_text())
    manifest |= {"name": name, "version": version}
    change(manifest)
    if card is not None:
        (target / "card.md").write_text(card)
        manifest["files"]["card.md"] = hashlib.sha256(card.encode()).hexdigest()
    (target / "manifest.json").write_text(json.dumps(manifest))


def hostile(manifest):
    """Every text that the page may show is made to hurt."""
    manifest["forecast"]["columns"] = manifest["forecast"]["scaler"]["columns"] = HOSTILE
    manifest["forecast"]["units"] = dict.fromkeys(HOSTILE, "<b onclick=alert(2)>kW</b>")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """The bundles that ship, one in two versions, one with hostile texts, and a second translator."""
    folder = tmp_path_factory.mktemp("served")
    for bundle in (ROOT / "bundles").iterdir():
        (folder / bundle.name).symlink_to(bundle)
    (folder / "words").symlink_to(ROOT / "tests" / "translators" / "words")
    for version in (1, 2):
        copied(folder, ROOT / "tests" / "bundles" / "monthly", "monthly", lambda manifest: None, version=version)
    card = "# <script>alert(3)</script>\n\n| <img src=x onerror=alert(4)> | b |\n|---|---|\n| **x** | `<i>` |\n"
    copied(folder, ROOT / "tests" / "bundles" / "hourly", "zz-hostile", hostile, card)
    return folder


@pytest.fixture(scope="session")
def service(bundles):
    """The address of a service of these."""
    # of maps so few that a text of some sentences has more
    with serving(bundles, SEQCAST_MAX_ATTENTION_VALUES="60000") as url:
        yield url


@pytest.fixture(scope="session")
def api(service):
    """The same service, asked without a browser."""
    with httpx.Client(base_url=service, timeout=30) as client:
        yield client


@pytest.fixture
def open_page(chromium, service):
    """open_page(view, url=..., **context) -> a page; the test fails if a script of it or its policy complained."""
    contexts, complaints = [], []

    def opened(view="forecast", url=service, viewport=(1280, 900), **how):
        width, height = viewport
        context = chromium.new_context(viewport={"width": width, "height": height}, **how)
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        # that an answer was refused is the browser's own line, and often what a test is about
        page.on(
            "console",
            lambda message: (
                message.type == "error"
                and "Failed to load resource" not in message.text
                and complaints.append(message.text)
            ),
        )
        page.on("request", lambda request: abroad(request.url, url) and complaints.append(f"asked {request.url}"))
        page.complaints = complaints  # for a test that provokes some
        page.goto(f"{url}/#{view}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def abroad(asked, url):
    return not asked.startswith((f"{url}/", f"blob:{url}/", "data:"))


@pytest.fixture
def page(open_page):
    """The page as it opens."""
    return open_page()
