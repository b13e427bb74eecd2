"""The bundles that are served: found, verified, replayed; and why the others are not."""

import logging
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from contract.bundle import NOT_THERE, Bundle, Contents, look_through, printable, read_bundle
from contract.errors import BundleError, GraphFailed, UnknownModel, UnusableBundle, UnusableFile
from contract.graphs import Graph
from contract.manifest import Manifest
from contract.quoting import shown
from contract.text import Vocabulary
from service.engine.gathering import warm
from service.engine.session import CPU, Arrays, Device, Session
from service.tally import tally

log = logging.getLogger(__name__)

Stamp = tuple[Path, frozenset[tuple[str, int, int, int]]]
"""A version's folder, and name, size and times of change of each file in it: while they stay, so does what was made."""
Versions = Mapping[str, Mapping[int, Stamp]]
"""By name, newest first."""

_MEMORY = Path("/dev/shm")  # noqa: S108 a folder of mkdtemp's in it


@dataclass(frozen=True, slots=True, eq=False)
class LoadedBundle:
    """A bundle whose graphs are in memory and gave their golden outputs."""

    manifest: Manifest
    sessions: Mapping[str, Session]
    golden: Arrays
    card: str
    vocabularies: tuple[Vocabulary, Vocabulary] | None = None
    """Source and target, where it translates."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version in the folder is not sound."""

    name: str
    version: int
    reason: str

    def __str__(self) -> str:
        return f"{self.name}:{self.version}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Served:
    """What is served and what is not, at a moment. Never altered: a request ends with what it began with."""

    lack: Sequence[str]
    """Why there is no bundle in any folder, if so."""
    loaded: Mapping[str, Sequence[LoadedBundle]] = field(default_factory=dict)
    """By name, newest version first, at least one of each."""
    failures: Sequence[Failure] = ()
    expected: frozenset[str] = frozenset()
    """Names without which the service is not ready: those that were there when it started."""

    @property
    def newest(self) -> list[LoadedBundle]:
        """One of each name."""
        return [versions[0] for versions in self.loaded.values()]

    @property
    def all(self) -> list[LoadedBundle]:
        return [loaded for versions in self.loaded.values() for loaded in versions]

    def get(self, reference: str) -> LoadedBundle:
        """`reference` is "name", of which the newest version is meant, or "name:version". Raises UnknownModel."""
        name, colon, version = reference.partition(":")
        for loaded in self.loaded.get(name, ()):
            if not colon or version == str(loaded.manifest.version):
                tally().chose(name, loaded.manifest.version)
                return loaded
        names = ", ".join(f"{each.manifest.name}:{each.manifest.version}" for each in self.all)
        raise UnknownModel(f"expected one of the models served ({names or 'none'}), came {shown(reference)}")

    def complaints(self) -> list[str]:
        """Why the service is not ready: a bundle that was there from the start and is not served, or none is at all.

        One that came later and is not sound must not take the others out of service.
        """
        if not self.loaded:
            return [*map(str, self.failures)] or [*self.lack] or ["every bundle was unloaded"]
        unserved = self.expected - self.loaded.keys()
        return [str(failure) for failure in self.failures if failure.name in unserved]

    def examine(self) -> list[str]:
        """What is wrong with graphs of which a run has failed; golden inputs tell whether by the input alone."""
        wrong = []
        for loaded in self.all:
            for graph_name, graph in loaded.manifest.graphs.items():
                session = loaded.sessions[graph_name]
                try:
                    if session.suspect:
                        session.replay(graph, loaded.golden)
                except BundleError as error:
                    manifest = loaded.manifest
                    wrong.append(f"{manifest.name}:{manifest.version}: {type(error).__name__}: {error}")
        return wrong


@dataclass(frozen=True, slots=True)
class Look:
    """What was in the folders at a look."""

    versions: Versions = field(default_factory=dict)
    filled: frozenset[Path] = frozenset()
    """Folders that have a bundle."""
    passed_over: Sequence[str] = ()
    """What is in the way of versions, or may be meant as one, and why it is none."""
    lack: Sequence[str] = ()
    """Why there is no bundle in any folder, if so."""


class Repository:
    """Loads the newest `keep` sound versions of every bundle under `roots`.

    What was loaded is served until what comes in its place is sound. It is changed by one thread at a time.
    """

    def __init__(self, roots: Sequence[Path], device: Device, keep: int = 1) -> None:
        self.roots = roots
        self.device = device
        self.keep = keep
        self.served = Served([f"no bundle in {joined(roots)}"])
        self.found = Look()
        """Of the last look, for other threads to tell."""
        self.at = ""
        """The folder that is read, or was last."""
        self._seen = Look()
        self._tried: dict[tuple[str, int], Stamp] = {}
        self._unloaded: dict[str, int] = {}  # by name, the newest version that was there
        self._complained = ""

    def load(self) -> None:
        """Load all that is there at the start. What fails is in `served.failures`, never raised."""
        self._seen = self._look()
        versions = self._seen.versions
        self.served = Served(self._seen.lack, expected=frozenset(versions))
        self._serve({name: self._choose(name, versions, versions) for name in versions})

    def load_one(self, name: str) -> None:
        """Load the newest versions of `name` anew, as they are in the folder now.

        Raises UnknownModel if there is no version, and UnusableBundle if none is sound: then what is served stays.
        """
        found = self._look().versions
        if name not in found:
            folders = " or ".join(root.name for root in self.roots)
            raise UnknownModel(f"expected the name of a folder of versions in {folders}, came {shown(name)}")
        self._unloaded.pop(name, None)
        self._forget(name)
        chosen, failures = self._choose(name, found, found, afresh=True)
        self._serve({name: (chosen or self.served.loaded.get(name, ()), failures)})
        if not chosen:
            reasons = "; ".join(f"version {each.version}: {each.reason}" for each in failures)
            raise UnusableBundle(f"no version of {name} is sound: {reasons}")

    def unload(self, name: str) -> None:
        """Serve `name` no more, until it is loaded again or a newer version comes. Raises UnknownModel."""
        loaded = self.served.get(name)
        if loaded.manifest.name != name:
            raise UnknownModel(f"expected a name without a version, came {shown(name)}")
        self._unloaded[name] = max(loaded.manifest.version, *self._look().versions.get(name, ()))
        self._forget(name)
        self._serve({name: ((), ())})

    def follow(self) -> None:
        """Look for versions that came, changed or went since the last look, and serve what is there now.

        A version is tried once its files are as they were at the last look, and again only when they have changed.
        """
        try:
            found = self._look()
        except OSError as error:
            self._complain(f"{error.filename} cannot be read: {error.strerror}")
            return
        emptied = self._seen.filled - found.filled
        if emptied and self.served.loaded:
            # a volume that is gone for a while rather than all withdrawn, for which there is unload
            self._complain(f"no bundle is left in {joined(emptied)}: those in memory are served on")
            return
        self._complained = ""
        seen, self._seen = self._seen.versions, found
        names = {*found.versions, *self.served.loaded, *(failure.name for failure in self.served.failures)}
        self._serve({name: self._choose(name, found.versions, seen) for name in sorted(names)})

    def _look(self) -> Look:
        """Tells once what is passed over. Raises OSError."""
        self.at = joined(self.roots)
        before, self.found = self.found.passed_over, look(self.roots)
        for each in self.found.passed_over:
            if each not in before:
                log.warning(each)
        return self.found

    def _choose(
        self, name: str, found: Versions, seen: Versions, *, afresh: bool = False
    ) -> tuple[list[LoadedBundle], list[Failure]]:
        """The newest sound versions of `name`, and why others are not; `afresh` whatever is in memory."""
        loaded = {} if afresh else {each.manifest.version: each for each in self.served.loaded.get(name, ())}
        failed = {each.version: each for each in self.served.failures if each.name == name}
        now, before = found.get(name, {}), seen.get(name, {})
        chosen: list[LoadedBundle] = []
        failures: list[Failure] = []
        for version in sorted({*now, *loaded}, reverse=True):
            if len(chosen) == self.keep or version <= self._unloaded.get(name, 0):
                break
            was, failure, stamp = loaded.get(version), failed.get(version), now.get(version)
            if stamp == before.get(version):
                if stamp is None:
                    continue
                if stamp != self._tried.get((name, version)):
                    was, failure = self._try(name, version, stamp, was)
            if was is not None:
                chosen.append(was)
            if failure is not None:
                failures.append(failure)
        if failures and not chosen:
            chosen = list(loaded.values())  # removed, or hidden by one's own, but nothing sound is in their place
        if chosen:
            self._unloaded.pop(name, None)
        self._forget(name, {each.manifest.version for each in chosen} | {each.version for each in failures})
        return chosen, failures

    def _try(
        self, name: str, version: int, stamp: Stamp, was: LoadedBundle | None
    ) -> tuple[LoadedBundle | None, Failure | None]:
        """What to serve as this version, and what is wrong with it in the folder."""
        self._tried[name, version] = stamp
        self.at = str(stamp[0])
        try:
            bundle = read_bundle(stamp[0])
            if was is not None and was.manifest == bundle.manifest:
                return was, None  # touched, and by every hash the same
            loaded = load_verified(bundle, self.device)
        except Exception as error:  # what a file brings about must not keep the others from being served
            if not isinstance(error, BundleError):
                log.exception("unexpected error at bundle %s version %d", name, version)
            reason = f"{type(error).__name__}: {error}"
            if was is not None:
                reason = f"{reason}; what was loaded before is served on"
            log.error("bundle %s version %d is not served: %s", name, version, reason)
            return was, Failure(name, version, reason)
        log.info("bundle %s version %d is loaded", name, version)
        return loaded, None

    def _serve(self, changed: Mapping[str, tuple[Sequence[LoadedBundle], Sequence[Failure]]]) -> None:
        """These in place of what was served of each name."""
        loaded = {**self.served.loaded, **{name: chosen for name, (chosen, _) in changed.items()}}
        failures = [each for each in self.served.failures if each.name not in changed]
        failures += [each for _, failed in changed.values() for each in failed]
        anew = replace(
            self.served,
            lack=self.found.lack,
            loaded={name: loaded[name] for name in sorted(loaded) if loaded[name]},
            failures=sorted(failures, key=lambda each: (each.name, -each.version)),
            expected=self.served.expected - self._unloaded.keys(),
        )
        for manifest in (each.manifest for each in self.served.all):
            if not any(each.manifest.version == manifest.version for each in anew.loaded.get(manifest.name, ())):
                log.info("bundle %s version %d is served no more", manifest.name, manifest.version)
        if anew != self.served:
            self.served = anew

    def _forget(self, name: str, kept: Container[int] = ()) -> None:
        """Try all versions of `name` but those `kept` again."""
        self._tried = {key: stamp for key, stamp in self._tried.items() if key[0] != name or key[1] in kept}

    def _complain(self, complaint: str) -> None:
        """Once."""
        if complaint != self._complained:
            log.error(complaint)
        self._complained = complaint


def look(roots: Sequence[Path]) -> Look:
    """The versions that are in the folders: all of a name from the first of `roots` that has it. Raises OSError.

    So one's own bundle hides a shipped one of its name, whatever the versions of either.
    """
    contents = {root: look_through(root) for root in roots}
    found: dict[str, dict[int, Stamp]] = {}
    for root in reversed(roots):
        for name, versions in contents[root].versions.items():
            found[name] = {version: _stamp(root / name / str(version)) for version in versions}
    filled = frozenset(root for root, each in contents.items() if each.versions)
    passed_over = [told for root, each in contents.items() for told in _passed_over(root, each)]
    return Look(dict(sorted(found.items())), filled, passed_over, [] if found else _lack(contents))


def _passed_over(root: Path, contents: Contents) -> Sequence[str]:
    """A folder that is not there may come, and is as good as an empty one."""
    if contents.closed in ("", NOT_THERE):
        return contents.passed_over
    return [f"{joined([root])} {contents.closed}"]


def _lack(contents: Mapping[Path, Contents]) -> list[str]:
    told = [f"{joined([root])} {each.closed}" for root, each in contents.items() if each.closed]
    empty = [root for root, each in contents.items() if not each.closed]
    return told + ([f"no bundle in {joined(empty)}"] if empty else [])


def joined(roots: Iterable[Path]) -> str:
    """As the setting has them."""
    return printable(os.pathsep.join(map(str, roots)))


def _stamp(path: Path) -> Stamp:
    """Without files if it cannot be read: to try tells why."""
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return path, frozenset()
    return path, frozenset((name, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for name, each in found)


def load_bundle(path: Path, device: Device) -> LoadedBundle:
    """Verify, load and replay the bundle at `path`. Raises BundleError."""
    return load_verified(read_bundle(path), device)


def load_verified(bundle: Bundle, device: Device) -> LoadedBundle:
    """Load and replay. Raises BundleError."""
    manifest, golden = bundle.manifest, bundle.golden()
    vocabularies = bundle.vocabularies() if manifest.translate is not None else None
    if manifest.quantized:
        device = CPU  # CUDA has no kernels for such graphs
    with _copy(bundle) as folder:
        sessions = {name: Session(folder / graph.file, device) for name, graph in manifest.graphs.items()}
    for name, graph in manifest.graphs.items():
        sessions[name].replay(graph, golden)
        if sessions[name].together:
            _warm(sessions[name], graph, golden, f"bundle {manifest.name} version {manifest.version}: {graph.file}")
    return LoadedBundle(manifest, sessions, golden, bundle.card(), vocabularies)


def _warm(session: Session, graph: Graph, golden: Arrays, told: str) -> None:
    """Raises UnusableFile."""
    try:
        wrong = warm(session, {each.name: golden[each.name] for each in graph.inputs}, session.tolerance(graph))
    except GraphFailed as error:
        raise UnusableFile(f"{graph.file} cannot run in batches: {error}") from error
    for each in [session.uncaptured and f"no CUDA graphs: {session.uncaptured}", *wrong]:
        if each:
            log.warning("%s: %s", told, each)
    rows = ", ".join(map(str, session.bound)) or "none"
    log.info("%s: batches in %s, by rows: %s", told, "CUDA graphs" if session.captures else "buffers", rows)


@contextmanager
def _copy(bundle: Bundle) -> Iterator[Path]:
    """A folder with the files of a bundle's graphs as they were verified.

    ONNX Runtime maps weights: whoever rewrote those in the bundle's own folder would end the process, or alter answers.
    """
    with ExitStack() as stack:
        for parent in (None, _MEMORY):
            try:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="seqcast-", dir=parent)))
                for file in bundle.manifest.needed:
                    (folder / file).write_bytes(bundle.files[file])
                break
            except OSError as error:
                lack = error
        else:
            log.warning("no space for a copy of %s, which must not be written to: %s", bundle.path, lack.strerror)
            folder = bundle.path
        yield folder
