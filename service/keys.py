"""API keys: a file has the hash of each with the name of who has it, and no key itself.

A line is `NAME sha256:HEX`; empty lines and those that begin with # are passed over. Whoever's line is gone is
refused from then on. Keys are 256 random bits, which nobody guesses: a slow hash, as for passwords, would only make
requests slow.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
from pathlib import Path

from contract.errors import Fault, FaultySettings

log = logging.getLogger(__name__)

_NAME = r"[A-Za-z0-9._@-]{1,64}"
_LINE = re.compile(rf"({_NAME})[ \t]+sha256:([0-9a-f]{{64}})")
_SETTING = "SEQCAST_API_KEYS"


class Keys:
    """The keys of a file, as it is at each request. Raises FaultySettings if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hashes = _read(path)
        self._seen = _version(path)

    def owner(self, key: str) -> str | None:
        """Whose key this is, told in a time that does not depend on how much of it is right."""
        self._renew()
        digest = _hash(key)
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _renew(self) -> None:
        """Where the file has become unusable the keys read last hold: a slip in it does not end the service."""
        version = _version(self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self._hashes = _read(self._path)
        except FaultySettings as error:
            log.error("the API keys stay as they were: %s", error)
        else:
            log.info("%d API keys", len(self._hashes))


def add_key(path: Path, name: str) -> str:
    """A new key for `name`, whose hash is added to the file. Raises FaultySettings."""
    if not re.fullmatch(_NAME, name):
        raise FaultySettings([Fault("NAME", f"expected 1 to 64 letters, digits and ._@-, came {name!r}")])
    if path.exists() and name in _read(path):
        raise FaultySettings([Fault("NAME", f"{name} has a key in {path}; to renew it, remove that line first")])
    key = f"seqcast_{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{_hash(key)}\n"
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            ended = not size or os.pread(file, 1, size - 1) == b"\n"
            os.write(file, (line if ended else f"\n{line}").encode())  # in one go, since a service may read meanwhile
        finally:
            os.close(file)
    except OSError as error:
        raise FaultySettings([Fault(_SETTING, f"{path} cannot be written: {error.strerror}")]) from None
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise FaultySettings([Fault(_SETTING, f"{path} cannot be read: {why}")]) from None
    hashes: dict[str, str] = {}
    faults = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            faults.append(Fault(_SETTING, f"{path}:{number}: expected NAME sha256:HEX"))
        elif match[1] in hashes:
            faults.append(Fault(_SETTING, f"{path}:{number}: a second key of {match[1]}"))
        else:
            hashes[match[1]] = match[2]
    if faults:
        raise FaultySettings(faults)
    return hashes
