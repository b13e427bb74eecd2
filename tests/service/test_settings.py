import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import seqcast
from contract.errors import FaultySettings
from service.settings import Settings, read_settings

VARIABLES = {
    "HOST": "0.0.0.0",  # noqa: S104 a value to be read, not listened on
    "PORT": "8080",
    "BUNDLES": "/srv/own:/srv/bundles",
    "DEVICE": "cpu",
    "CUDA_PRECISION": "tf32",
    "CUDA_MEMORY_MIB": "2048",
    "CUDA_GRAPHS": "true",
    "CUDA_GATHER_MS": "0.5",
    "THREADS": "3",
    "MAX_BODY_MIB": "1.5",
    "MAX_QUEUE_REQUESTS": "4",
    "MAX_QUEUE_ROWS": "200",
    "MAX_QUEUE_MIB": "2.5",
    "TIMEOUT_S": "0.5",
    "MAX_FILL_SHARE": "0.5",
    "MAX_ROWS": "500",
    "MAX_HORIZON_FACTOR": "4",
    "MAX_BACKTEST_ORIGINS": "100",
    "MAX_ATTENTION_VALUES": "500",
    "MAX_TEXTS": "20",
    "MAX_CHARS": "5000",
    "MAX_GENERATED": "50",
    "MAX_TEXT_CHARS": "40",
    "KEEP_ALIVE_S": "30",
    "VERSIONS": "3",
    "WATCH_S": "0.5",
    "API_KEYS": "/srv/keys",
    "SHUTDOWN_S": "10",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "debug",
}
READ = {
    "host": "0.0.0.0",  # noqa: S104
    "port": 8080,
    "bundles": (Path("/srv/own"), Path("/srv/bundles")),
    "device": "cpu",
    "cuda_precision": "tf32",
    "cuda_memory_mib": 2048,
    "cuda_graphs": True,
    "cuda_gather_ms": 0.5,
    "threads": 3,
    "max_body_mib": 1.5,
    "max_queue_requests": 4,
    "max_queue_rows": 200,
    "max_queue_mib": 2.5,
    "timeout_s": 0.5,
    "max_fill_share": 0.5,
    "max_rows": 500,
    "max_horizon_factor": 4,
    "max_backtest_origins": 100,
    "max_attention_values": 500,
    "max_texts": 20,
    "max_chars": 5000,
    "max_generated": 50,
    "max_text_chars": 40,
    "keep_alive_s": 30,
    "versions": 3,
    "watch_s": 0.5,
    "api_keys": Path("/srv/keys"),
    "shutdown_s": 10,
    "log_format": "json",
    "log_level": "debug",
}


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """variables(NAME=value): set SEQCAST_NAME; no others are."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEQCAST_{name.upper()}", raising=False)
    return lambda **values: [monkeypatch.setenv(f"SEQCAST_{name}", value) for name, value in values.items()]


def test_listens_on_this_machine_alone_unless_told():
    settings = read_settings({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.bundles == (Path("bundles"),)
    assert settings.device == "auto"


def test_every_setting_is_a_variable(variables):
    assert set(VARIABLES) == {name.upper() for name in Settings.model_fields}
    variables(**VARIABLES)
    assert read_settings({}).model_dump() == READ


def test_every_setting_is_in_the_documentation():
    """To renew: put the rows of a failure there."""
    text = (Path(seqcast.__file__).parent / "docs" / "operations.md").read_text()
    rows = [line for line in text.partition("## Settings\n")[2].splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `SEQCAST_{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


def shown(default):
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else ":".join(map(str, default)) if isinstance(default, tuple) else default


def test_a_flag_wins_over_its_variable(variables):
    variables(**VARIABLES)
    settings = read_settings({"port": 9000, "device": "auto"})
    assert settings.model_dump() == {**READ, "port": 9000, "device": "auto"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", ""),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("DEVICE", "tpu"),
        ("CUDA_GRAPHS", "perhaps"),
        ("CUDA_GATHER_MS", "-1"),
        ("THREADS", "0"),
        ("THREADS", "1.5"),
        ("THREADS", "1025"),
        ("MAX_BODY_MIB", "0"),
        ("MAX_BODY_MIB", "inf"),
        ("MAX_BODY_MIB", "nan"),
        ("MAX_QUEUE_REQUESTS", "0"),
        ("MAX_QUEUE_ROWS", "0"),
        ("MAX_QUEUE_MIB", "0"),
        ("TIMEOUT_S", "0"),
        ("TIMEOUT_S", "inf"),
        ("MAX_FILL_SHARE", "-0.1"),
        ("MAX_FILL_SHARE", "1.1"),
        ("MAX_FILL_SHARE", "nan"),
        ("MAX_HORIZON_FACTOR", "0"),
        ("MAX_HORIZON_FACTOR", "1001"),
        ("KEEP_ALIVE_S", "0"),
        ("SHUTDOWN_S", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_faulty_variable_is_named_with_what_came(variables, name, value):
    variables(**{name: value})
    with pytest.raises(FaultySettings) as caught:
        read_settings({})
    (fault,) = caught.value.faults
    assert fault.pointer == f"SEQCAST_{name}"
    assert re.search(rf"should be .*, came {value!r}$", fault.message)


def test_every_fault_is_told_at_once(variables):
    variables(PORT="http", THREADS="none", DEVICE="tpu")
    with pytest.raises(FaultySettings) as caught:
        read_settings({"keep_alive_s": -1})
    pointers = {fault.pointer for fault in caught.value.faults}
    assert pointers == {"SEQCAST_PORT", "SEQCAST_THREADS", "SEQCAST_DEVICE", "SEQCAST_KEEP_ALIVE_S"}


def test_settings_do_not_change_once_read():
    with pytest.raises(ValidationError, match="frozen"):
        read_settings({}).port = 1


def test_serve_gives_the_flags_that_were_given(monkeypatch, variables):
    served = []
    monkeypatch.setattr("service.server.serve", served.append)
    variables(HOST="::1", PORT="1")
    assert seqcast.main(["serve", "--port", "0", "--bundles", "elsewhere"]) == 0
    assert served == [read_settings({"port": 0, "bundles": Path("elsewhere"), "host": "::1"})]


def test_serve_with_faulty_settings_ends_with_a_message(variables, capsys):
    variables(PORT="http", DEVICE="tpu")
    assert seqcast.main(["serve"]) == 1
    first, second = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("seqcast serve: SEQCAST_PORT: Input should be a valid integer")
    assert second == "SEQCAST_DEVICE: Input should be 'auto', 'cpu' or 'cuda', came 'tpu'"


@pytest.mark.parametrize(
    ("name", "nearest"), [("API_KEY", "API_KEYS"), ("MAX_BODY_MB", "MAX_BODY_MIB"), ("LOGLEVEL", "LOG_LEVEL"), ("", "")]
)
def test_a_misspelt_variable_is_a_fault(variables, name, nearest):
    variables(**{name: "1", "PORT": "http"})
    with pytest.raises(FaultySettings) as raised:
        read_settings({})
    faults = {fault.pointer: fault.message for fault in raised.value.faults}
    assert set(faults) == {f"SEQCAST_{name}", "SEQCAST_PORT"}
    assert faults[f"SEQCAST_{name}"].startswith(f"no such setting; the nearest is SEQCAST_{nearest}")


def test_what_orchestrators_set_of_a_service_called_so_is_no_setting(variables):
    variables(
        PORT="tcp://10.0.0.1:8000",
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="8000",
        SERVICE_PORT_HTTP="8000",
        PORT_8000_TCP="tcp://10.0.0.1:8000",
        PORT_8000_TCP_ADDR="10.0.0.1",
        API_PORT="tcp://10.0.0.1:8000",
        API_SERVICE_HOST="10.0.0.1",
        API_PORT_8000_TCP_PROTO="tcp",
        ENV_PYTHON_VERSION="3.11",
        NAME="/web/seqcast",
    )
    assert read_settings({}).port == 8000
    assert read_settings({"port": 9000}).port == 9000
