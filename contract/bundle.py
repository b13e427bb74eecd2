"""Bundles on disk: `<root>/<name>/<version>/` with a manifest, graphs, golden vectors and a card."""

import errno
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.errors import FaultyManifest, MissingFile, UnusableFile, WrongHash
from contract.manifest import NAME, Manifest
from contract.text import Vocabulary

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
CARD = "card.md"
LARGEST_MANIFEST = 2**26
"""Bytes: a thousand times that of a dozen columns."""
NOT_THERE = "is not there"
_VERSION = re.compile(r"[1-9][0-9]{0,14}")  # up to what every reader of JSON holds exactly
_NO_BUNDLES = {"lost+found", "__pycache__"}
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
    manifest = Manifest.from_json(_read(path / MANIFEST, LARGEST_MANIFEST))
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


def _read(path: Path, most: int | None = None) -> bytes:
    """A regular file's bytes: a pipe or a device would be waited for, or give bytes without end."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnusableFile(f"{path.name} cannot be read: it is no regular file")
            if most is not None and found.st_size > most:
                raise UnusableFile(f"{path.name} cannot be read: expected up to {most} bytes, came {found.st_size}")
            return file.read()
    except FileNotFoundError as error:
        raise MissingFile(f"{path.name} is missing") from error
    except IsADirectoryError as error:
        raise UnusableFile(f"{path.name} cannot be read: it is no regular file") from error
    except OSError as error:
        raise UnusableFile(f"{path.name} cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise UnusableFile(f"{path.name} cannot be read: it is larger than the memory") from error


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


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a folder of bundles."""

    versions: Mapping[str, Sequence[int]]
    """Of each name, newest first."""
    passed_over: Sequence[str]
    """Folders that may be meant as versions and cannot be served, each with why."""
    closed: str = ""
    """Why the folder cannot be looked through, as it follows on its name."""


def bundle_versions(root: Path) -> Mapping[str, Sequence[int]]:
    """The versions of each name under `root`, newest first; anything else there is passed over. Raises OSError."""
    return look_through(root).versions


def look_through(root: Path) -> Contents:
    """Files, and what tools and file systems put beside, are not told of. Raises OSError for a folder in `root`."""
    versions: dict[str, list[int]] = {}
    passed_over: list[str] = []
    try:
        names = _folders(root)
    except FileNotFoundError:
        return Contents({}, [], NOT_THERE)
    except NotADirectoryError:
        return Contents({}, [], "is no folder")
    except OSError as error:
        return Contents({}, [], f"cannot be read: {error.strerror}")
    for name in names:
        try:
            inner = _folders(root / name)
        except (FileNotFoundError, NotADirectoryError):  # since a moment ago
            continue
        except PermissionError as error:
            passed_over.append(f"{printable(name)} cannot be read: {error.strerror}")
            continue
        numbers = [each for each in inner if _VERSION.fullmatch(each)]
        if not NAME.fullmatch(name):
            if numbers:
                passed_over.append(f"{printable(name)} is passed over: expected a name of {NAME.pattern}")
            continue
        if numbers:
            versions[name] = sorted(map(int, numbers), reverse=True)
        passed_over += [
            f"{name}/{printable(each)} is passed over: expected a version such as 12, of up to 15 digits"
            for each in inner
            if each not in numbers and (numbers or os.path.lexists(root / name / each / MANIFEST))
        ]
    return Contents(versions, passed_over)


def _folders(path: Path) -> list[str]:
    """Names of the folders in `path`, in order, but for hidden ones, such as drafts and what rsync is at."""
    with os.scandir(path) as entries:
        found = [each.name for each in entries if not each.name.startswith(".") and _is_folder(each)]
    return sorted(set(found) - _NO_BUNDLES)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one that can be got at; a link may go in circles."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES, errno.ENOTDIR):
            return False
        raise


def printable(name: str) -> str:
    """A name of the file system, which may be of any bytes, as text to show."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
