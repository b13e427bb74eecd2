"""The bundles that are served: found, verified, replayed; and why the others are not."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.bundle import Bundle, bundle_versions, read_bundle
from contract.errors import BundleError, UnknownModel, UnusableBundle
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
        self.loaded: Mapping[str, LoadedBundle] = {}
        self.failures: list[Failure] = []

    def load(self) -> None:
        """Load all, in place of what was loaded before. What fails is in `failures`, never raised."""
        loaded: dict[str, LoadedBundle] = {}
        failures: list[Failure] = []
        for name, versions in bundle_versions(self.root).items():
            newest, failed = self._newest(name, versions)
            failures += failed
            if newest is not None:
                loaded[name] = newest
        self.loaded, self.failures = loaded, failures

    def load_one(self, name: str) -> None:
        """Load the newest sound version of `name` that is there now, in place of the one that is served.

        Who holds the old one goes on with it. Raises UnknownModel if there is no version, and UnusableBundle if none is
        sound: then the one served stays.
        """
        versions = bundle_versions(self.root).get(name, [])
        if not versions:
            raise UnknownModel(f"expected the name of a folder of versions in {self.root.name}, came {name[:100]!r}")
        newest, failed = self._newest(name, versions)
        self.failures = [*(each for each in self.failures if each.name != name), *failed]
        if newest is None:
            reasons = "; ".join(f"version {each.version}: {each.reason}" for each in failed)
            raise UnusableBundle(f"no version of {name} is sound: {reasons}")
        self.loaded = dict(sorted({**self.loaded, name: newest}.items()))

    def unload(self, name: str) -> None:
        """Serve `name` no more. Who holds it goes on with it. Raises UnknownModel."""
        loaded = choose_bundle(self.loaded, name)
        if loaded.manifest.name != name:
            raise UnknownModel(f"expected a name without a version, came {name!r}")
        self.loaded = {each: bundle for each, bundle in self.loaded.items() if each != name}
        self.failures = [each for each in self.failures if each.name != name]
        log.info("bundle %s is unloaded", name)

    def _newest(self, name: str, versions: Sequence[int]) -> tuple[LoadedBundle | None, list[Failure]]:
        """The first that is sound, and why those before it are not."""
        failures: list[Failure] = []
        for version in versions:
            try:
                loaded = load_bundle(self.root / name / str(version), self.device)
            except BundleError as error:
                reason = f"{type(error).__name__}: {error}"
                failures.append(Failure(name, version, reason))
                log.error("bundle %s version %d is not served: %s", name, version, reason)
            else:
                log.info("bundle %s version %d is loaded", name, version)
                return loaded, failures
        return None, failures

    def get(self, reference: str) -> LoadedBundle:
        """`reference` is "name" or "name:version". Raises UnknownModel."""
        return choose_bundle(self.loaded, reference)

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


def choose_bundle(served: Mapping[str, LoadedBundle], reference: str) -> LoadedBundle:
    """Of those served by name, the one that `reference`, "name" or "name:version", means. Raises UnknownModel."""
    name, colon, version = reference.partition(":")
    loaded = served.get(name)
    if loaded is None or (colon and version != str(loaded.manifest.version)):
        names = ", ".join(f"{each}:{bundle.manifest.version}" for each, bundle in served.items())
        raise UnknownModel(f"expected one of the models served ({names or 'none'}), came {reference!r}")
    tally().model = name
    return loaded


def load_bundle(path: Path, device: Device) -> LoadedBundle:
    """Verify, load and replay the bundle at `path`. Raises BundleError."""
    bundle = read_bundle(path)
    sessions = {name: Session(bundle.graph(name), device) for name in bundle.manifest.graphs}
    golden = bundle.golden()
    for name, graph in bundle.manifest.graphs.items():
        sessions[name].replay(graph, golden)
    vocabularies = bundle.vocabularies() if bundle.manifest.translate is not None else None
    return LoadedBundle(bundle, sessions, golden, bundle.card(), vocabularies)
