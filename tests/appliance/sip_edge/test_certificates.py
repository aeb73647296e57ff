"""Certificates on disk: what is refused and why, and how they are replaced while the edge runs (J01, J05)."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.errors import EdgeRefused
from appliance.sip_edge import certificates, kamailio
from appliance.sip_edge.areas import tls
from appliance.sip_edge.areas.tls import Domain
from appliance.sip_edge.certificates import CertificateRefused
from appliance.sip_edge.management.certificates import Certificates, kept_fresh
from appliance.sip_edge.rpc import SOCKET
from appliance.telemetry.audit import Audit
from tests.appliance.sip_edge.certificates import Authority, Issued

DAY = 86_400


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def domain(one: Issued, **more: Any) -> Domain:
    return Domain("server:default", "default", one.chain, one.key, **more)


def test_what_a_certificate_says(authority: Authority) -> None:
    one = authority.issue("gateway", ["sip.example.org", "192.0.2.1"], days=30)
    found = certificates.read(domain(one), time.time())
    assert found.names == ("sip.example.org", "192.0.2.1")
    assert (found.subject, found.issuer) == ("CN=gateway", "CN=test authority")
    assert 29.9 < found.days_left(time.time()) <= 30 and found.warnings == () and found.chain == 1


def test_one_that_ends_soon_is_warned_of(authority: Authority) -> None:
    """Less than 14 days."""
    found = certificates.read(domain(authority.issue("gateway", days=13)), time.time())
    assert found.warnings[0].startswith(("ends in 13.0 days", "ends in 12.9 days"))


def test_a_chain_in_disorder_is_warned_of(authority: Authority) -> None:
    """RFC 8446 section 4.4.2 lets peers refuse it."""
    one, other = authority.issue("gateway"), authority.issue("other")
    one.chain.write_bytes(one.chain.read_bytes() + other.chain.read_bytes())
    assert "out of order" in certificates.read(domain(one), time.time()).warnings[0]
    one.chain.write_bytes(one.certificate.public_bytes(serialization.Encoding.PEM) + authority.file.read_bytes())
    assert certificates.read(domain(one), time.time()).warnings == ()


def _passphrase(one: Issued) -> None:
    one.key.write_bytes(one.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda one: one.chain.write_text("nonsense"), "no certificate in PEM"),
        (lambda one: one.chain.unlink(), "No such file"),
        (lambda one: one.key.write_text("nonsense"), "no private key in PEM"),
        (_passphrase, "has a passphrase.*openssl pkey"),
    ],
)
def test_files_that_are_refused(authority: Authority, damage: Callable[[Issued], object], why: str) -> None:
    one = authority.issue("gateway")
    damage(one)
    with pytest.raises(CertificateRefused, match=why):
        certificates.read(domain(one), time.time())


@pytest.mark.parametrize(("days", "since", "why"), [(-1, -3, "expired on"), (9, 3, "not valid before")])
def test_dates_that_are_refused(authority: Authority, days: float, since: float, why: str) -> None:
    with pytest.raises(CertificateRefused, match=why):
        certificates.read(domain(authority.issue("gateway", days=days, since_days=since)), time.time())


def test_a_foreign_key_is_refused(authority: Authority) -> None:
    """And the message holds nothing of a key."""
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(CertificateRefused, match="not the key of the certificate") as refused:
        certificates.read(Domain("server:default", "default", one.chain, other.key), time.time())
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("kind", ["ca", "crl"])
def test_broken_files_of_authorities_are_refused(authority: Authority, tmp_path: Path, kind: str) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    with pytest.raises(CertificateRefused, match=str(broken)):
        certificates.read(domain(authority.issue("gateway"), **{kind: broken}), time.time())


def _move(source: Path, target: Path) -> None:
    source.replace(target)


class FakeKamailio(asyncio.DatagramProtocol):
    """Answers the RPC socket; `refuses`: with an error."""

    def __init__(self, run: Path) -> None:
        self.path, self.methods, self.refuses = run / SOCKET, list[str](), False
        self.asked = asyncio.Event()

    async def __aenter__(self) -> FakeKamailio:
        loop = asyncio.get_running_loop()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        link.bind(str(self.path))
        link.setblocking(False)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=link)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()
        self.path.unlink()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = json.loads(data)
        self.methods.append(asked["method"])
        self.asked.set()
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        answer |= {"error": {"code": 500, "message": "broken"}} if self.refuses else {"result": "Ok"}
        self._transport.sendto(json.dumps(answer).encode(), addr)


class Rig:
    """Settings with one certificate, and the run directory of an edge that has it."""

    def __init__(self, authority: Authority, run: Path, **sip_tls: Any) -> None:
        self.authority, self.run = authority, run
        self.first = authority.issue("gateway", ["first.example"], file="edge")
        tables = load(environment={}).model_dump(mode="json")
        tables["sip"] |= {"certificate": self.first.chain, "key": self.first.key, "user": ""}
        self.settings = Settings(**{**tables, "sip_tls": sip_tls})
        run.mkdir(mode=0o700)
        kamailio.copy_files(run, tls.copies(tls.domains(self.settings)), "")

    def renew(self) -> Issued:
        return self.authority.issue("gateway", ["second.example"], file="edge")

    def copied(self) -> bytes:
        return (self.run / tls.copy_name(0, "certificate")).read_bytes()


@pytest.fixture
def rig(authority: Authority, tmp_path: Path) -> Rig:
    return Rig(authority, tmp_path / "run")


async def test_a_new_certificate_is_taken_over(rig: Rig, tmp_path: Path) -> None:
    """Checked, copied, told to Kamailio, recorded with its fingerprint; nothing else is left behind."""
    audit = Audit(tmp_path / "audit.jsonl")
    kept = Certificates(rig.settings, rig.run, audit=audit)
    second = rig.renew()
    async with FakeKamailio(rig.run) as edge:
        done = await kept.reload("local:alice")
    assert done.live and edge.methods == ["tls.reload"]
    assert rig.copied() == second.chain.read_bytes()
    assert done.certificates[0].names == ("second.example",)
    assert {path.suffix for path in (rig.run / "tls").iterdir()} == {".pem"}
    (record,) = audit.records(9)
    assert (record.who, record.after["default"]) == ("local:alice", done.certificates[0].fingerprint)
    assert "PRIVATE" not in (tmp_path / "audit.jsonl").read_text()


async def test_without_an_edge_it_has_them_at_its_start(rig: Rig) -> None:
    kept = Certificates(rig.settings, rig.run)
    second = rig.renew()
    assert not (await kept.reload("me")).live
    assert rig.copied() == second.chain.read_bytes()


async def test_what_cannot_be_used_changes_nothing(rig: Rig) -> None:
    kept, before = Certificates(rig.settings, rig.run), rig.copied()
    rig.authority.issue("gateway", file="edge").key.write_text("nonsense")
    async with FakeKamailio(rig.run) as edge:
        with pytest.raises(CertificateRefused, match="no private key"):
            await kept.reload("me")
    assert edge.methods == [] and rig.copied() == before
    assert kept.listed()[0].certificate is None and "no private key" in kept.listed()[0].why


async def test_what_kamailio_refuses_is_taken_back(rig: Rig) -> None:
    kept, before = Certificates(rig.settings, rig.run), rig.copied()
    rig.renew()
    async with FakeKamailio(rig.run) as edge:
        edge.refuses = True
        with pytest.raises(EdgeRefused, match="the old ones stay: broken"):
            await kept.reload("me")
    assert rig.copied() == before
    assert {path.suffix for path in (rig.run / "tls").iterdir()} == {".pem"}


async def test_changed_files_are_taken_over_by_themselves(authority: Authority, tmp_path: Path) -> None:
    """Half of a change is waited out; afterwards no copy of a key is left."""
    rig = Rig(authority, tmp_path / "run", reload_poll_s=0.02)
    async with FakeKamailio(rig.run) as edge, kept_fresh(rig.settings, rig.run):
        second = authority.issue("gateway", ["second.example"], file="next")
        _move(second.chain, rig.first.chain)  # the key has not come yet
        await asyncio.sleep(0.1)
        assert edge.methods == []
        _move(second.key, rig.first.key)
        await asyncio.wait_for(edge.asked.wait(), 5)
        assert rig.copied() == rig.first.chain.read_bytes()
        await asyncio.sleep(0.1)
        assert edge.methods == ["tls.reload"]  # once
    assert not list((rig.run / "tls").iterdir())
