"""Sealing of records and the key file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.state.vault import UnsafeKeyFile, Unsealable, Vault, load_key


def test_seal_and_open() -> None:
    vault = Vault(os.urandom(32))
    sealed = vault.seal(b"secret", b"name")
    assert b"secret" not in sealed and vault.open(sealed, b"name") == b"secret"
    assert vault.seal(b"secret", b"name") != sealed


@pytest.mark.parametrize("change", ["flip", "cut", "empty", "name", "key", "version"])
def test_whatever_was_changed_does_not_open(change: str) -> None:
    """F17: no damage passes for a record, and none raises anything else."""
    vault, other = Vault(bytes(32)), Vault(bytes([1]) * 32)
    sealed = vault.seal(b"record", b"name")
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    data = {"flip": flipped, "cut": sealed[:-1], "empty": b"", "version": b"\x02" + sealed[1:]}.get(change, sealed)
    with pytest.raises(Unsealable):
        (other if change == "key" else vault).open(data, b"other" if change == "name" else b"name")


def test_key_file_is_made_once_with_0600(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    assert len(key) == 32 and load_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_damaged_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    assert len(load_key(path)) == 32 and path.stat().st_size == 32


@pytest.mark.parametrize("fault", ["mode", "link", "folder"])
def test_unsafe_key_files_are_refused(tmp_path: Path, fault: str) -> None:
    """H5: wrong mode, a symbolic link, a directory: a clear message and no key."""
    path = tmp_path / "key"
    if fault == "folder":
        path.mkdir()
    else:
        target = tmp_path / "target" if fault == "link" else path
        target.write_bytes(bytes(32))
        target.chmod(0o600 if fault == "link" else 0o640)
        if fault == "link":
            path.symlink_to(target)
    with pytest.raises(UnsafeKeyFile, match="key"):
        load_key(path)
