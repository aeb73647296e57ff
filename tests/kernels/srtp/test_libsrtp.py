"""Against Debian's libsrtp2, both directions, through wraps: rows A02, B01..B17, SR-10 trap 10."""

import random

import pytest

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop
from tests.kernels.srtp.libsrtp_oracle import REPLAY_FAIL, LibSrtp, load, supports
from tests.kernels.srtp.oracle import rtcp, rtp
from tests.kernels.srtp.suites import CM, GCM, SUITES, keys, octets

LIBRARY = load()
pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason="libsrtp2-1 is not installed"),
    pytest.mark.usefixtures("every_cipher"),
]
KNOWN = [name for name, transform in SUITES.items() if supports(transform)]


def ours(transform: Transform, send: bool) -> Session:
    """Debian 12's libsrtp 2.5 has the old AES-192 derivation (trap 1 of key-management.md)."""
    return Session(transform, *keys(transform), send=send, legacy_192=transform.key_octets == 24)


def theirs(transform: Transform, send: bool) -> LibSrtp:
    assert LIBRARY is not None
    return LibSrtp(LIBRARY, transform, [(*keys(transform), b"")], send=send)


def stream(start: int, count: int, seed: int) -> list[bytes]:
    """Packets of all shapes: CSRCs, extension, empty to long payload."""
    chance = random.Random(seed)
    packets = []
    for n in range(start, start + count):
        csrcs, extension = chance.choice([(0, 0), (0, 0), (2, 0), (0, 3), (15, 1)])
        rest = chance.randbytes(4 * csrcs) + (
            b"\xbe\xde" + extension.to_bytes(2, "big") + chance.randbytes(4 * extension) if extension else b""
        )
        payload = chance.randbytes(chance.choice([1, 2, 3, 4, 15, 16, 17, 160, 1200]))
        packets.append(
            rtp(n, first=0x80 | csrcs | (0x10 if extension else 0), rest=rest, payload=payload, timestamp=160 * n)
        )
    return packets


@pytest.mark.parametrize("name", KNOWN)
def test_the_same_octets(name: str) -> None:
    """Byte for byte, over a wrap, RTP and RTCP with the same SRTCP indices."""
    transform = SUITES[name]
    sender, oracle = ours(transform, True), theirs(transform, True)
    packets = stream(65500, 80, 1)
    assert sender.protect_rtp_many(packets) == [oracle.protect_rtp(packet) for packet in packets]
    reports = [rtcp(words=n) for n in range(1, 30)]
    assert sender.protect_rtcp_many(reports) == [oracle.protect_rtcp(report) for report in reports]


@pytest.mark.parametrize("name", KNOWN)
def test_what_they_send_we_open(name: str) -> None:
    transform = SUITES[name]
    receiver, oracle = ours(transform, False), theirs(transform, True)
    packets = stream(65500, 80, 2)
    protected = [octets(oracle.protect_rtp(packet)) for packet in packets]
    order = sorted(range(80), key=lambda n: n + random.Random(n).randrange(20))
    assert receiver.unprotect_rtp_many([protected[n] for n in order]) == [packets[n] for n in order]
    assert set(receiver.unprotect_rtp_many(protected)) <= {Drop.DROP_REPLAY, Drop.DROP_REPLAY_OLD}
    report = oracle.protect_rtcp(rtcp())
    assert isinstance(report, bytes)
    assert receiver.unprotect_rtcp(report) == rtcp()


@pytest.mark.parametrize("name", KNOWN)
def test_what_we_send_they_open(name: str) -> None:
    transform = SUITES[name]
    sender, oracle = ours(transform, True), theirs(transform, False)
    packets = stream(65500, 80, 3)
    protected = sender.protect_rtp_many(packets)
    for packet, plain in zip(protected, packets, strict=True):
        assert isinstance(packet, bytes)
        assert oracle.unprotect_rtp(packet) == plain
    assert isinstance(protected[-1], bytes)
    assert oracle.unprotect_rtp(protected[-1]) == REPLAY_FAIL
    report = sender.protect_rtcp(rtcp())
    assert isinstance(report, bytes)
    assert oracle.unprotect_rtcp(report) == rtcp()


@pytest.mark.parametrize("transform", [CM, GCM], ids=["cm", "gcm"])
def test_mki(transform: Transform) -> None:
    """B9, SR-15: two keys; MKI before the tag, with AEAD after it."""
    assert LIBRARY is not None
    both = [(*keys(transform, 1), b"\0\1\2\3"), (*keys(transform, 2), b"\0\1\2\4")]
    for send in (True, False):
        oracle = LibSrtp(LIBRARY, transform, both, send=send)
        session = Session(transform, *both[0][:2], send=not send, mki=both[0][2])
        session.add_key(*both[1])
        for n in range(20):
            plain, report = rtp(65530 + n), rtcp(words=n + 1)
            if send:
                packet, protected = oracle.protect_rtp(plain, n & 1), oracle.protect_rtcp(report, n & 1)
                assert session.unprotect_rtp(octets(packet)) == plain
                assert session.unprotect_rtcp(octets(protected)) == report
            else:
                session.select_key(both[n & 1][2])
                assert oracle.unprotect_rtp(octets(session.protect_rtp(plain))) == plain
                assert oracle.unprotect_rtcp(octets(session.protect_rtcp(report))) == report
