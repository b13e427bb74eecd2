"""The bundles that are served: found, verified, replayed; and why the others are not."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.bundle import Bundle, bundle_versions, read_bundle
from contract.errors import BundleError, UnknownModel
from contract.manifest import Manifest
from contract.text import Vocabulary
from service.engine.session import Arrays, Device, Session
from service.tally import tally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """A bundle whose graphs are in memory and gave their golden outputs."""

    bundle: Bundle
    sessions: Mapping[str, Session]
    golden: Arrays
    card: str
    vocabularies: tuple[Vocabulary, Vocabulary] | None = None
    """Source and target, where it translates."""

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version is not served."""

    name: str
    version: int
    reason: str


class Repository:
    """Loads the newest sound version of every bundle under `root`; an older one stands in for a broken newest."""

    def __init__(self, root: Path, device: Device) -> None:
        self.root = root
        self.device: Device = device
        self.loaded: dict[str, LoadedBundle] = {}
        self.failures: list[Failure] = []

    def load(self) -> None:
        """Load all, in place of what was loaded before. What fails is in `failures`, never raised."""
        loaded: dict[str, LoadedBundle] = {}
        failures: list[Failure] = []
        for name, versions in bundle_versions(self.root).items():
            for version in versions:
                try:
                    loaded[name] = load_bundle(self.root / name / str(version), self.device)
                except BundleError as error:
                    reason = f"{type(error).__name__}: {error}"
                    failures.append(Failure(name, version, reason))
                    log.error("bundle %s version %d is not served: %s", name, version, reason)
                else:
                    log.info("bundle %s version %d is loaded", name, version)
                    break
        self.loaded, self.failures = loaded, failures

    def get(self, reference: str) -> LoadedBundle:
        """`reference` is "name" or "name:version". Raises UnknownModel."""
        name, colon, version = reference.partition(":")
        loaded = self.loaded.get(name)
        if loaded is None or (colon and version != str(loaded.manifest.version)):
            served = ", ".join(f"{each}:{bundle.manifest.version}" for each, bundle in self.loaded.items())
            raise UnknownModel(f"expected one of the models served ({served or 'none'}), came {reference!r}")
        tally().model = name
        return loaded

    def complaints(self) -> list[str]:
        """Why the service is not ready: a bundle of which no version is served, or no bundle at all."""
        failures = (each for each in self.failures if each.name not in self.loaded)
        unserved = [f"{failure.name}:{failure.version}: {failure.reason}" for failure in failures]
        if not self.loaded and not unserved:
            return [f"no bundle in {self.root}"]
        return unserved

    def examine(self) -> list[str]:
        """What is wrong with graphs of which a run has failed; golden inputs tell whether by the input alone."""
        wrong = []
        for name, loaded in self.loaded.items():
            for graph_name, graph in loaded.manifest.graphs.items():
                session = loaded.sessions[graph_name]
                try:
                    if session.suspect:
                        session.replay(graph, loaded.golden)
                except BundleError as error:
                    wrong.append(f"{name}:{loaded.manifest.version}: {type(error).__name__}: {error}")
        return wrong


def load_bundle(path: Path, device: Device) -> LoadedBundle:
    """Verify, load and replay the bundle at `path`. Raises BundleError."""
    bundle = read_bundle(path)
    sessions = {name: Session(bundle.graph(name), device) for name in bundle.manifest.graphs}
    golden = bundle.golden()
    for name, graph in bundle.manifest.graphs.items():
        sessions[name].replay(graph, golden)
    vocabularies = bundle.vocabularies() if bundle.manifest.translate is not None else None
    return LoadedBundle(bundle, sessions, golden, bundle.card(), vocabularies)
