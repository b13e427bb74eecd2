"""Bundles on disk: `<root>/<name>/<version>/` with a manifest, graphs, golden vectors and a card."""

import hashlib
import io
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.errors import FaultyManifest, MissingFile, UnusableFile, WrongHash
from contract.manifest import Manifest
from contract.text import Vocabulary

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
CARD = "card.md"
_VERSION = re.compile(r"[1-9][0-9]*")
# what numpy and zipfile raise at bytes that are no such file; RuntimeError where they are encrypted
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle: every file that its manifest lists is there and has the hash listed.

    `files` has what was verified: what is at `path` may have become another since.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)

    def graph(self, name: str) -> Path:
        return self.path / self.manifest.graphs[name].file

    def card(self) -> str:
        return self.files[CARD].decode(errors="replace")

    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """Source and target of a bundle that translates. Raises UnusableFile, and UnknownModel for another task."""
        spec = self.manifest.translate_spec
        sizes = {spec.source_tokenizer: spec.source_size, spec.target_tokenizer: spec.target_size}
        found = {file: Vocabulary(self.files[file], spec.special) for file in sizes}
        for file, size in sizes.items():
            if len(found[file]) != size:
                raise UnusableFile(f"{file}: expected {size} tokens, came {len(found[file])}")
        return found[spec.source_tokenizer], found[spec.target_tokenizer]

    def golden(self) -> dict[str, NDArray[np.generic]]:
        """The tensors of golden.npz by name: inputs and the outputs that they gave at export.

        Raises UnusableFile if that is no file of arrays.
        """
        try:
            with np.load(io.BytesIO(self.files[GOLDEN]), allow_pickle=False) as arrays:
                return dict(arrays)
        except _UNREADABLE as error:
            raise UnusableFile(f"{GOLDEN} is no file of arrays: {error}") from error


def read_bundle(path: Path) -> Bundle:
    """Raises a BundleError that says what is wrong with the bundle at `path`."""
    manifest = Manifest.from_json(_read(path / MANIFEST))
    if (manifest.name, str(manifest.version)) != (path.parent.name, path.name):
        raise FaultyManifest(
            f"expected {path.parent.name}/{path.name} as in its path, came {manifest.name}/{manifest.version}"
        )
    unlisted = {GOLDEN, CARD, *manifest.needed} - manifest.files.keys()
    if unlisted:
        raise FaultyManifest(f"expected a sha256 in files for {', '.join(sorted(unlisted))}")
    files = {}
    for file, expected in manifest.files.items():
        files[file] = _read(path / file)
        came = hashlib.sha256(files[file]).hexdigest()
        if came != expected:
            raise WrongHash(f"{file}: expected sha256 {expected}, came {came}")
    return Bundle(path, manifest, files)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFile(f"{path.name} is missing") from error
    except OSError as error:
        raise UnusableFile(f"{path.name} cannot be read: {error.strerror}") from error


def write_bundle(root: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write `files` and `manifest`, with their hashes filled in, under a name that appears only when whole.

    Raises FileExistsError if that version is there already: versions are never overwritten.
    """
    path = root / manifest.name / str(manifest.version)
    if path.exists():
        raise FileExistsError(f"{path} exists; a version is never overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    manifest = replace(manifest, files=hashes)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    try:
        for file, content in {**files, MANIFEST: manifest.to_json()}.items():
            (draft / file).write_bytes(content)
        draft.chmod(0o755)  # mkdtemp's 0700 would hide the bundle from a service under another user
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Bundle(path, manifest, dict(files))


def next_version(root: Path, name: str) -> int:
    """One above the newest version of `name` under `root`, or 1."""
    return max(bundle_versions(root).get(name, []), default=0) + 1


def bundle_versions(root: Path) -> dict[str, list[int]]:
    """The versions of each name under `root`, newest first; anything else there is passed over."""
    found: dict[str, list[int]] = {}
    for path in sorted(root.glob("*/*")):
        if path.is_dir() and _VERSION.fullmatch(path.name):
            found.setdefault(path.parent.name, []).append(int(path.name))
    return {name: sorted(versions, reverse=True) for name, versions in found.items()}
