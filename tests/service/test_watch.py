import pytest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
INSANE = ["", "a b", "a" * 129, "né", 'a"b', "a;b", "<a>", "a%0ab"]


def id_of(client, headers, path="/healthz"):
    return client.get(path, headers={name: value.encode("latin-1") for name, value in headers.items()}).headers[
        "x-request-id"
    ]


@pytest.mark.parametrize("given", ["a", "A-1._:/=+@", "a" * 128])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/models/nope"])
def test_a_requests_own_id_comes_back(client, given, path):
    assert id_of(client, {"X-Request-ID": given, "traceparent": TRACEPARENT}, path) == given


@pytest.mark.parametrize("given", INSANE)
def test_an_id_that_could_do_harm_is_replaced(client, given):
    came = id_of(client, {"X-Request-ID": given})
    assert came != given
    assert len(bytes.fromhex(came)) == 16


@pytest.mark.parametrize("traceparent", [TRACEPARENT, f"01-{TRACE}-00f067aa0ba902b7-01-more"])
def test_without_an_id_the_trace_is_it(client, traceparent):
    assert id_of(client, {"traceparent": traceparent}) == TRACE
    assert id_of(client, {"traceparent": traceparent, "X-Request-ID": "a b"}) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [TRACE, f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", "é"],
)
def test_no_trace_no_id_of_it(client, traceparent):
    assert id_of(client, {"traceparent": traceparent}) != TRACE


def test_requests_without_an_id_get_different_ones(client):
    assert id_of(client, {}) != id_of(client, {})
