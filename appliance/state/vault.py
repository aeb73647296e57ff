"""Seals call records: AES-256-GCM under a key that never leaves this host's RAM-backed run directory.

The seal is the checksum too: a record that was changed, cut, or belongs to another name does not open.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS = 32
_NONCE_OCTETS = 12
_VERSION = b"\x01"


class Unsealable(Exception):
    """The record is damaged, or was sealed with another key or for another name."""


class UnsafeKeyFile(Exception):
    """The key file is not a regular file of ours with mode 0600 (security-and-faults H5)."""


class Vault:
    """Seals and opens small records. Nonces are random; 2^32 records of one key are safe (NIST SP 800-38D section 8.3),
    and the key is renewed with every boot because its directory is."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, name: bytes) -> bytes:
        nonce = os.urandom(_NONCE_OCTETS)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, name)

    def open(self, sealed: bytes, name: bytes) -> bytes:
        """Unsealable."""
        if sealed[:1] != _VERSION or len(sealed) < 1 + _NONCE_OCTETS + 16:
            raise Unsealable("not a sealed record")
        nonce, body = sealed[1 : 1 + _NONCE_OCTETS], sealed[1 + _NONCE_OCTETS :]
        try:
            return self._cipher.decrypt(nonce, body, name)
        except InvalidTag:
            raise Unsealable("seal broken") from None


def load_key(path: Path) -> bytes:
    """The key in this file; it is made when there is none. UnsafeKeyFile, OSError.

    A file of the wrong length is no key (a crash while it was made, or damage): it is replaced, and records sealed
    with what it was are reported as unsealable.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make_key(path)
    except OSError as error:
        raise UnsafeKeyFile(f"{path}: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise UnsafeKeyFile(f"{path}: must be a file of user {os.geteuid()} with mode 0600")
        key = os.read(descriptor, KEY_OCTETS + 1)
    finally:
        os.close(descriptor)
    return key if len(key) == KEY_OCTETS else _make_key(path)


def _make_key(path: Path) -> bytes:
    """Written beside and renamed, so that a crash leaves either no key or a whole one."""
    key = os.urandom(KEY_OCTETS)
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(key)
        os.fsync(file.fileno())
    fresh.replace(path)
    return key
