"""Clients without a network, request bodies, and bundles to break."""

import asyncio
import copy
import hashlib
import json
import shutil
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import settings

from contract.bundle import MANIFEST, read_bundle
from service.app import create_app
from service.settings import Settings
from service.translator import Translators
from tests.service.sockets import listening

BUNDLES = Path(__file__).parents[1] / "bundles"
GENERATORS, TRANSLATORS = BUNDLES.parent / "generators", BUNDLES.parent / "translators"
START = np.datetime64("2018-06-22T20:00", "ms")

# no deadline: others share the machine; derandomized: a red run is the commit's doing, not the dice's
settings.register_profile("seqcast", deadline=None, derandomize=True)
settings.load_profile("seqcast")


class Client:
    """The application behind httpx's synchronous verbs, started and stopped by `with`."""

    def __init__(self, app):
        self.app = app
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()

    def __enter__(self):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://seqcast")
        self._runner.run(self._open.enter_async_context(self.app.router.lifespan_context(self.app)))
        self._runner.run(self._open.enter_async_context(self.http))
        return self

    def __exit__(self, *_):
        self._runner.run(self._open.aclose())
        self._runner.close()

    def run(self, coroutine):
        """On the loop that the application runs on."""
        return self._runner.run(coroutine)

    def request(self, method, url, **how):
        return self.run(self.http.request(method, url, **how))

    def get(self, url, **how):
        return self.request("GET", url, **how)

    def post(self, url, **how):
        return self.request("POST", url, **how)

    def forecast(self, body):
        """The answer's JSON, which must be a success."""
        answer = self.post("/forecast", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def faults(self, body, status=422):
        """Pointer -> message of a refusal, or messages, joined; `body` is JSON, or bytes as they are."""
        answer = self.post("/forecast", content=body if isinstance(body, bytes) else json.dumps(body))
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, problem["status"]) == (status, status), answer.text
        faults = {}
        for fault in problem["errors"]:
            faults.setdefault(fault["pointer"], []).append(fault["message"])
        return {pointer: "; ".join(messages) for pointer, messages in faults.items()}


@pytest.fixture(scope="session")
def client():
    """Serves all the tiny bundles: hourly, quarter-hourly, daily, weekly, monthly."""
    with Client(create_app(Settings(bundles=BUNDLES, watch_s=0))) as client:
        yield client


@pytest.fixture
def serving():
    """serving(folder, **settings) -> a client of a service of its own, that loads what it is told to alone."""

    def served(folder, watch_s=0, **settings):
        return stack.enter_context(Client(create_app(Settings(bundles=folder, watch_s=watch_s, **settings))))

    with ExitStack() as stack:
        yield served


@pytest.fixture(scope="session")
def bundle():
    """bundle("hourly") -> the Bundle."""
    return lambda name: read_bundle(BUNDLES / name / "1")


@pytest.fixture
def bundles(tmp_path):
    """bundles("hourly", "daily") -> a folder with copies of them."""

    def copied(*names):
        for name in names:
            shutil.copytree(BUNDLES / name, tmp_path / "bundles" / name)
        return tmp_path / "bundles"

    return copied


@pytest.fixture
def edit_manifest():
    """edit_manifest(path, change): let `change` alter the manifest's data in place."""

    def edit(path, change):
        manifest = json.loads((path / MANIFEST).read_text())
        change(manifest)
        (path / MANIFEST).write_text(json.dumps(manifest))

    return edit


@pytest.fixture
def replace_file(edit_manifest):
    """replace_file(path, file, content): another content, whose hash the manifest then lists."""

    def replace(path, file, content):
        (path / file).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        edit_manifest(path, lambda manifest: manifest["files"].update({file: digest}))

    return replace


@pytest.fixture
def next_version(edit_manifest):
    """next_version(path) -> a copy of the bundle's version at `path`, one higher."""

    def copied(path):
        version = int(path.name) + 1
        newer = shutil.copytree(path, path.parent / str(version))
        edit_manifest(newer, lambda manifest: manifest.update(version=version))
        return newer

    return copied


@pytest.fixture(scope="session")
def table(bundle):
    """table("hourly", rows=None, seed=0) -> times (L,) and values (L, C) like those that the bundle was trained on."""

    def made_up(name, rows=None, seed=0):
        spec = bundle(name).manifest.forecast
        rows = rows or spec.seq_len
        times = np.concatenate([[START], spec.step.following(np.array([START]), rows - 1)])
        noise = np.random.default_rng(seed).normal(size=(rows, len(spec.columns)))
        return times, spec.scaler.unscale(noise).round(3)

    return made_up


@pytest.fixture(scope="session")
def series(bundle, table):
    """series("hourly", rows=None, seed=0, **fields) -> one of a request's series, as JSON has it."""

    def made_up(name, rows=None, seed=0, **fields):
        times, values = table(name, rows, seed)
        columns = dict(zip(bundle(name).manifest.forecast.columns, values.T.tolist(), strict=True))
        return {"timestamps": np.datetime_as_string(times, unit="s").tolist(), "values": columns, **fields}

    return made_up


@pytest.fixture
def body(series):
    """A sound request of one hourly series, to spoil."""
    return {"model": "hourly", "series": [copy.deepcopy(series("hourly", id="one"))]}


@pytest.fixture
def translating(serving, tmp_path):
    """translating(*translators, **settings) -> a client of a service with these alone, which need no model."""

    def served(*translators, **settings):
        client = serving(tmp_path, **settings)
        state = client.app.state.seqcast
        client.app.state.seqcast = replace(state, translators=Translators(translators, state.settings))
        return client

    return served


@pytest.fixture
def listen(bundles):
    """listen(*names, **settings) -> a Listening with these bundles, of any kind, and one thread unless told."""

    def serving(*names, **settings):
        names = dict.fromkeys(names)
        for path in (*GENERATORS.iterdir(), *TRANSLATORS.iterdir()):
            target = bundles() / path.name
            if path.name in names and not target.exists():
                target.parent.mkdir(exist_ok=True)
                target.symlink_to(path)
        folder = bundles(*(name for name in names if (BUNDLES / name).exists()))
        return stack.enter_context(listening(folder, **{"threads": 1, **settings}))

    with ExitStack() as stack:
        yield serving


@pytest.fixture
def forecasts(series):
    """forecasts(count, model="hourly", **fields) -> a request of so many series."""

    def made(count, model="hourly", **fields):
        return {"model": model, "series": [series(model)] * count, **fields}

    return made
