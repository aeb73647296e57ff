"""Certificates: a fresh one for each call, the same one for a trunk (DTLS-19; security-and-faults H5)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from appliance.handshakes import certificates as module
from appliance.handshakes.certificate_file import UnusableCertificate, load
from appliance.handshakes.certificates import CertificatePool, Certificates
from appliance.protocols.dtls import contexts
from tests.appliance.handshakes.test_processes import until

pytestmark = pytest.mark.row("DTLS-19")


async def test_the_pool() -> None:
    """Filled beforehand and again; nobody gets one that another had; empty, it still gives."""
    pool = CertificatePool(4)
    await pool.start()
    await until(lambda: len(pool) == 4)
    taken = [pool.take() for _ in range(10)]
    await until(lambda: len(pool) == 4)
    taken += [pool.take() for _ in range(4)]
    assert len({made.certificate for made in taken}) == len({made.key for made in taken}) == 14
    await pool.stop()
    assert len(pool) == 0 and pool.take().certificate


async def test_old_ones_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = CertificatePool(2)
    await pool.start()
    await until(lambda: len(pool) == 2)
    waiting = [certificate for _, certificate in pool._ready]
    monkeypatch.setattr(module, "FRESH", timedelta(0))
    assert pool.take() not in waiting
    await pool.stop()


def test_a_trunk_keeps_its_own(tmp_path: Path) -> None:
    """Over a restart; another trunk has another; the file is ours alone and OpenSSL takes what is in it."""
    folder = tmp_path / "dtls"
    first = Certificates(CertificatePool(), folder)
    own = first.of("carrier")
    assert first.of("carrier") is own
    assert Certificates(CertificatePool(), folder).of("carrier") == own
    assert first.of("other") != own != first.of("")
    assert sorted(path.name for path in folder.iterdir()) == ["carrier.pem", "other.pem"]
    assert (folder / "carrier.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    context = contexts.context((), False)
    assert context is not None and contexts.connection(context, own).get_certificate() is not None


@pytest.mark.parametrize("damage", ["mode", "empty", "cut", "another key", "link"])
def test_files_that_are_not_used(tmp_path: Path, damage: str) -> None:
    """Nor replaced: another certificate would be another identity."""
    path, other = tmp_path / "a.pem", tmp_path / "b.pem"
    load(path), load(other)
    text = path.read_text()
    if damage == "mode":
        path.chmod(0o640)
    elif damage == "empty":
        path.write_text("")
    elif damage == "cut":
        path.write_text(text[: len(text) // 2])
    elif damage == "another key":
        path.write_text(other.read_text()[: text.index("-----BEGIN CERT")] + text[text.index("-----BEGIN CERT") :])
    else:
        path.unlink()
        path.symlink_to(other)
    before = path.read_bytes()
    with pytest.raises((UnusableCertificate, OSError)):
        load(path)
    assert path.read_bytes() == before
