"""What inference requests took, as Triton counts it: times in nanoseconds, cumulative."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from service.inference.model import GraphModel

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
"""There is no cache: its counts stay 0."""


@dataclass(slots=True)
class _Counts:
    """Of one graph of one version."""

    count: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    ns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    rows: int = 0
    executions: int = 0
    last_ms: int = 0

    def add(self, part: str, ns: int) -> None:
        self.count[part] += 1
        self.ns[part] += ns


class Statistics:
    """Since the service started, of every version that it served."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Counts] = defaultdict(_Counts)

    def succeeded(self, model: GraphModel, *, rows: int, executions: int, **ns: int) -> None:
        """`ns` by part: success is the whole, the others what it was spent on."""
        counts = self._counts[model.name, model.version]
        for part, took in ns.items():
            counts.add(part, took)
        counts.rows += rows
        counts.executions += executions
        counts.last_ms = time.time_ns() // 1_000_000

    def failed(self, model: GraphModel, ns: int) -> None:
        self._counts[model.name, model.version].add("fail", ns)

    def of(self, model: GraphModel) -> dict[str, Any]:
        """As one of `model_stats`."""
        counts = self._counts.get((model.name, model.version), _Counts())
        return {
            "name": model.name,
            "version": model.version,
            "last_inference": counts.last_ms,
            "inference_count": counts.rows,
            "execution_count": counts.executions,
            "inference_stats": {part: {"count": counts.count[part], "ns": counts.ns[part]} for part in PARTS},
            "batch_stats": [],
        }
