"""Some hundreds of hostile requests to a real service; benchmarks/fuzz.py sends as many thousands."""

import json
import urllib.request
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.hostile.requests import targets
from tests.service.hostile.wire import Answer, Hostile, Sender, wrong
from tests.service.test_server import BUNDLES, address, serving

PATHS = [path for path in (*BUNDLES.glob("*/"), *BUNDLES.parent.glob("[tg]*ators/*/")) if (path / "1").is_dir()]
TARGETS = [
    *(f"/{route} {kind}" for route in ("forecast", "backtest") for kind in ("JSON", "CSV", "Arrow")),
    *("/translate JSON", "/translate form", "/generate JSON", "/v2 JSON", "/v2 binary"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A connection to a service of all bundles, the strategies for it, and its process."""
    folder = tmp_path_factory.mktemp("bundles")
    for path in PATHS:
        (folder / path.name).symlink_to(path)
    with serving(folder, SEQCAST_LOG_LEVEL="error") as (process, lines):
        url = address(lines)
        host, port = url.removeprefix("http://").split(":")
        samples = {}
        for path in PATHS:
            with urllib.request.urlopen(f"{url}/models/{path.name}/sample") as answer:
                samples[path.name] = json.load(answer)
        with closing(Sender(host, int(port))) as sender:
            yield sender, targets(folder, samples), process


def test_every_target_is_tried(service):
    assert list(service[1]) == TARGETS


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_gives_an_error_of_ours_or_hangs(service, target, data):
    sender, strategies, _ = service
    request = data.draw(strategies[target])
    assert wrong(request, sender.send(request)) is None


def test_the_service_is_as_it_was(service):
    """After all of them."""
    sender, _, process = service
    assert process.poll() is None
    body = json.dumps({"model": "syllables", "prompt": "ta", "count": 2, "seed": 1}).encode()
    answer = sender.send(Hostile("/generate", body))
    assert (answer.status, len(json.loads(answer.body)["generated"])) == (200, 2)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer(500, "application/problem+json", b"{}", 0), "status 500"),
        (Answer(200, "application/json", b'{"a": NaN}', 0), "NaN is no JSON"),
        (Answer(422, "application/json", b'{"detail": "x", "errors": []}', 0), "no problem"),
        (
            Answer(
                422, "application/problem+json", b'{"detail": "x", "errors": [{"pointer": "a", "message": "b"}]}', 0
            ),
            "a fault",
        ),
        (Answer(0, "", b"", 0), "0: "),
    ],
)
def test_what_is_wrong_is_seen(answer, complaint):
    """Or the tests above could not fail."""
    assert wrong(Hostile("/forecast", b"{}"), answer).startswith(complaint)
    assert wrong(Hostile("/forecast", b"{}"), Answer(200, "application/json", b"{}", 0)) is None
