"""Every setting of the service, read from `SEQCAST_...` variables or given as flags of `seqcast serve`."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contract.errors import Fault, FaultySettings

_PREFIX = "SEQCAST_"
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")
_LINK = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?|ENV_\w+)"
)
"""https://kubernetes.io/docs/concepts/containers/container-environment, and Docker's links of old."""


def _port(given: object) -> object:
    """Where the service that Kubernetes runs it behind is called seqcast, the variable is that one's address."""
    return _PORT if isinstance(given, str) and _ADDRESS.match(given) else given


_PORT = 8000


def _folders(given: object) -> object:
    """As in PATH."""
    return given.split(os.pathsep) if isinstance(given, str) else (given,) if isinstance(given, Path) else given


class Settings(BaseSettings):
    """Immutable once built; built in `seqcast serve` and in tests, never at import."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Annotated[int, BeforeValidator(_port)] = Field(_PORT, ge=0, le=65535, description="Port to listen on")
    bundles: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_folders)] = Field(
        (Path("bundles"),),
        description="Folder with the bundles, NAME/VERSION/, or several with colons between them, as in PATH: "
        "a name's versions are those in the first that has it",
    )
    versions: int = Field(
        2, ge=1, description="Versions of a bundle that are served, the newest sound ones; name:version asks for one"
    )
    watch_s: float = Field(
        2.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds between two looks for new versions in the folder; 0 for none",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes CUDA if it works; cuda refuses to start without it"
    )
    cuda_precision: Literal["fp32", "tf32", "fp16"] = Field(
        "fp32", description="How CUDA computes; tf32 and fp16 are faster, with ten bits of mantissa in place of 23"
    )
    cuda_memory_mib: int | None = Field(
        None, ge=1, description="Most memory of each graph on the GPU, in MiB; by default, as much as it takes"
    )
    cuda_graphs: bool = Field(
        False,
        description="Whether batches on CUDA are captured in CUDA graphs; not measured yet, and to try it "
        "with what cannot be captured may end the process",
    )
    cuda_gather_ms: float = Field(
        2,
        ge=0,
        allow_inf_nan=False,
        description="Milliseconds that rows wait on CUDA for those of other requests, to be computed with them",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads that compute; by default, as many as the CPUs that this process may use",
    )
    max_body_mib: float = Field(
        64, gt=0, allow_inf_nan=False, description="Largest request body, in MiB; more gets 413"
    )
    max_queue_requests: int = Field(
        16, ge=1, description="Requests for each thread that are taken at a time, over all models; more get 429"
    )
    max_queue_rows: int = Field(
        10_000, ge=1, description="Rows of a model that wait, from which on its requests get 429"
    )
    max_queue_mib: float = Field(
        256, gt=0, allow_inf_nan=False, description="Bodies of requests that are not answered yet, in MiB; more get 429"
    )
    timeout_s: float = Field(
        300, gt=0, allow_inf_nan=False, description="Seconds that a request may take, unless it asks for less; then 504"
    )
    max_fill_share: float = Field(
        0.25, ge=0, le=1, description="Largest share of the values that a model sees which `fill` may make up"
    )
    max_rows: int = Field(
        100_000,
        ge=1,
        description="Most rows of a series to forecast, which needs the last of them alone; not of backtests",
    )
    max_horizon_factor: int = Field(
        8,
        ge=1,
        le=1000,
        description="Longest horizon, in multiples of a model's pred_len; above 1 models are rolled on",
    )
    max_backtest_origins: int = Field(
        5000, ge=1, description="Most origins that a backtest forecasts from; of longer tables it takes fewer than all"
    )
    max_attention_values: int = Field(
        1_000_000,
        ge=0,
        description="Most weights of attention maps in an answer, over all it is for; 0 for none",
    )
    max_texts: int = Field(2000, ge=1, description="Most texts of a translation request")
    max_chars: int = Field(
        200_000,
        ge=1,
        description="Most characters of a translation request, each alternative counted as once more, "
        "or of words to score",
    )
    max_generated: int = Field(10_000, ge=1, description="Most words that a request may have drawn, or scored")
    max_text_chars: int = Field(256, ge=1, description="Longest word to score, in characters")
    keep_alive_s: int = Field(
        65, ge=1, description="Seconds before an idle connection is closed: longer than a proxy's own 60"
    )
    api_keys: Path | None = Field(
        None, description="File with the API keys that are asked for; `seqcast keys add` writes it"
    )
    shutdown_s: int = Field(
        25, ge=0, description="Seconds that requests may take to finish after SIGTERM, before they are cut off"
    )
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people, or for machines")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line")

    @property
    def device_wanted(self) -> tuple[Literal["auto", "cpu", "cuda"], Literal["fp32", "tf32", "fp16"], int | None, bool]:
        """As service.engine.session.choose_device takes it."""
        return self.device, self.cuda_precision, self.cuda_memory_mib, self.cuda_graphs

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mib * 2**20)

    @property
    def max_queue_bytes(self) -> int:
        return int(self.max_queue_mib * 2**20)


def read_settings(flags: Mapping[str, Any]) -> Settings:
    """From the environment; `flags` win over it. Raises FaultySettings with every fault."""
    faults = _unknown(os.environ)
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        faults += [
            Fault(f"{_PREFIX}{str(detail['loc'][0]).upper()}", f"{detail['msg']}, came {detail['input']!r}")
            for detail in error.errors()
        ]
    if faults:
        raise FaultySettings(faults)
    return settings


def _unknown(variables: Mapping[str, str]) -> list[Fault]:
    """Those of ours by their names, but for what Docker and Kubernetes set of a service that is called so."""
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    faults = []
    for name, value in variables.items():
        if not name.upper().startswith(_PREFIX) or name.upper() in known or _is_link(name.upper(), value):
            continue
        nearest = get_close_matches(name.upper(), known, 1, 0)
        faults.append(Fault(name, f"no such setting; the nearest is {nearest[0]}"))
    return faults


def _is_link(name: str, value: str) -> bool:
    address = name.endswith("_PORT") and _ADDRESS.match(value) is not None
    return _LINK.fullmatch(name) is not None or address or (name.endswith("_NAME") and value.startswith("/"))
