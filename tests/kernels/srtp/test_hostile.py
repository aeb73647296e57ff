"""What forged, damaged and short packets may do: nothing. Rows A02, A03, A05, A6, A10, A11, B6, B8."""

import mmap
import random
from typing import Any

import pytest

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp, seal_rtcp, seal_rtp
from tests.kernels.srtp.suites import AUTHENTICATED, CM, GCM, SUITES, keys, octets

pytestmark = [pytest.mark.malformed, pytest.mark.usefixtures("every_cipher")]

EVERY = pytest.mark.parametrize("name", SUITES)
MKI = b"\x07\x08"


def pair(name: str, **options: Any) -> tuple[Session, Session]:
    transform = SUITES[name]
    return (
        Session(transform, *keys(transform), send=True, **options),
        Session(transform, *keys(transform), send=False, **options),
    )


def turned(packet: bytes, bit: int) -> bytes:
    return packet[: bit // 8] + bytes([packet[bit // 8] ^ 0x80 >> bit % 8]) + packet[bit // 8 + 1 :]


@pytest.mark.parametrize("mki", [b"", MKI])
@pytest.mark.parametrize("name", AUTHENTICATED)
def test_any_bit_of_an_rtp_packet(name: str, mki: bytes) -> None:
    """A03: every single bit turned, dropped under a counter; then the packet itself still passes."""
    sender, receiver = pair(name, mki=mki)
    assert isinstance(receiver.unprotect_rtp(octets(sender.protect_rtp(rtp(99)))), bytes)
    plain = rtp(100, first=0x90, rest=b"\xbe\xde\0\1abcd", payload=b"payload of this packet")
    packet = sender.protect_rtp(plain)
    assert isinstance(packet, bytes)
    verdicts = [receiver.unprotect_rtp(turned(packet, bit)) for bit in range(8 * len(packet))]
    assert set(verdicts) <= {
        Drop.DROP_AUTH_FAIL,
        Drop.DROP_MALFORMED,
        Drop.DROP_UNKNOWN_MKI,
        Drop.DROP_REPLAY,
        Drop.DROP_REPLAY_OLD,
    }
    assert verdicts.count(Drop.DROP_UNKNOWN_MKI) == 8 * len(mki)
    assert verdicts.count(Drop.DROP_AUTH_FAIL) > 8 * 22
    status = receiver.status()
    assert status is not None
    assert (sum(status.drops.values()), status.packets, status.streams) == (len(verdicts), 1, 1)
    assert receiver.unprotect_rtp(packet) == plain


@pytest.mark.parametrize("mki", [b"", MKI])
@EVERY
def test_any_bit_of_an_rtcp_packet(name: str, mki: bytes) -> None:
    """A03, A11, A20, A21: E bit, index, MKI and tag included; the tag of SRTCP is there with every suite."""
    sender, receiver = pair(name, mki=mki)
    packet = sender.protect_rtcp(rtcp())
    assert isinstance(packet, bytes)
    for bit in range(8 * len(packet)):
        assert isinstance(receiver.unprotect_rtcp(turned(packet, bit)), Drop), bit
    status = receiver.status()
    assert status is not None
    assert (status.packets, status.streams) == (0, 0)
    assert receiver.unprotect_rtcp(packet) == rtcp()


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_forged_packet_comes_back_unchanged_for_a_second_try(name: str) -> None:
    """SR-12: a failed verification releases no plaintext into a later success: wrong ROC first, then right."""
    transform = SUITES[name]
    key, salt = keys(transform)
    sender = Session(transform, key, salt, send=True, initial_roc=1)
    receiver = Session(transform, key, salt, send=False)
    packet = sender.protect_rtp(rtp(5))
    assert isinstance(packet, bytes)
    assert receiver.unprotect_rtp(packet) == rtp(5)  # ROC 0 fails, ROC 1 succeeds on the same octets
    status = receiver.status()
    assert status is not None
    assert status.resyncs == 1


@EVERY
def test_every_length(name: str) -> None:
    """A10: 0..64 octets of real packets and of noise, RTP and RTCP, both directions; nothing is believed."""
    sender, receiver = pair(name, mki=b"\1")
    chance = random.Random(1)
    protected = sender.protect_rtp(rtp(1, payload=bytes(60)))
    report = sender.protect_rtcp(rtcp(words=14))
    assert isinstance(protected, bytes)
    assert isinstance(report, bytes)
    for length in range(65):
        for data in (
            protected[:length],
            report[:length],
            bytes([0x8F]) + chance.randbytes(length),
            bytes([0x9F]) * length,
        ):
            data = data[:length]
            assert isinstance(receiver.unprotect_rtcp(data), Drop)
            if SUITES[name].rtp_tag:
                assert isinstance(receiver.unprotect_rtp(data), Drop)
            if length < 12:
                assert sender.protect_rtp(data) == Drop.DROP_TOO_SHORT
            if length < 8:
                assert sender.protect_rtcp(data) == Drop.DROP_TOO_SHORT


def test_extension_and_csrc_lies() -> None:
    """A10: CC=15 and X=1 with length 0xFFFF on both directions."""
    sender, receiver = pair("AES_CM_128_HMAC_SHA1_80")
    for first, rest in ((0x8F, b""), (0x90, b"\xbe\xde\xff\xff"), (0x40, b""), (0x90, b"")):
        packet = rtp(1, first=first, rest=rest, payload=b"12")
        assert sender.protect_rtp(packet) == Drop.DROP_MALFORMED
        assert receiver.unprotect_rtp(packet + bytes(10)) == Drop.DROP_MALFORMED
    assert sender.protect_rtcp(b"\x40" + rtcp()[1:]) == Drop.DROP_MALFORMED


def test_room_for_the_trailer() -> None:
    """Nothing is written behind the frame: DROP_TOO_LONG, and the index is still free afterwards."""
    sender, _ = pair("AES_CM_128_HMAC_SHA1_80", mki=bytes(128))
    room = 2240 - 64
    assert sender.protect_rtp(rtp(1, payload=bytes(room - 12 - 137))) == Drop.DROP_TOO_LONG
    assert isinstance(sender.protect_rtp(rtp(1, payload=bytes(room - 12 - 138))), bytes)
    assert sender.protect_rtcp(rtcp(words=(room - 140) // 4)) == Drop.DROP_TOO_LONG
    assert sender.protect_rtp(bytes(4000)) == Drop.DROP_TOO_LONG


def test_forged_ssrcs_change_no_table() -> None:
    """A05, B6, A6: 10^5 forged SSRCs; keys, streams, windows and the lane (but for the count of failures) are octet for
    octet the same, the call goes on."""
    memory = _aligned(Session.footprint())
    key, salt = keys(CM)
    receiver = Session(CM, key, salt, send=False, memory=memory)
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(7))), bytes)
    failures = 64 + 192 + 8 * 768 + 16 * 64 + 52  # header, crypto, keys, streams; then the lane
    tables = slice(64 + 192, failures), slice(failures + 4, None)
    before = [bytes(memory[part]) for part in tables]
    for start in range(0, 100_000, 1000):
        forged = [rtp(n, ssrc=n + 1, payload=bytes(30)) for n in range(start, start + 1000)]
        assert set(receiver.unprotect_rtp_many(forged)) == {Drop.DROP_AUTH_FAIL}
    assert set(receiver.unprotect_rtcp_many([rtcp(n + 1) for n in range(1000)])) <= {
        Drop.DROP_AUTH_FAIL,
        Drop.DROP_ENCRYPTION_FLAG,
    }
    assert [bytes(memory[part]) for part in tables] == before
    assert int.from_bytes(memory[failures : failures + 4], "little") == 101_000
    assert receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(8))) == rtp(8)
    status = receiver.status()
    assert status is not None
    assert (status.streams, status.packets) == (1, 2)


def test_forged_far_future_leaves_the_index() -> None:
    """A05, B3: unauthenticated sequence numbers move neither newest index nor window."""
    key, salt = keys(CM)
    receiver = Session(CM, key, salt, send=False)
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1000))), bytes)
    for sequence in range(0, 65536, 97):
        assert isinstance(receiver.unprotect_rtp(rtp(sequence, payload=bytes(40))), Drop)
    status = receiver.status()
    assert status is not None
    assert status.ssrcs[0].rtp_newest == 1000
    assert receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1001))) == rtp(1001)


def test_another_calls_key() -> None:
    """A05."""
    receiver = Session(CM, *keys(CM, 2), send=False)
    assert receiver.unprotect_rtp(seal_rtp(CM, *keys(CM), rtp(1))) == Drop.DROP_AUTH_FAIL


@pytest.mark.parametrize("transform", [CM, GCM], ids=["cm", "gcm"])
def test_encryption_flag(transform: Transform) -> None:
    """A11, A20: authentic SRTCP whose E bit is not the negotiated one is dropped, both ways.

    UNENCRYPTED_SRTCP still has a tag."""
    key, salt = keys(transform)
    for plain in (False, True):
        receiver = Session(transform, key, salt, send=False, plain_rtcp=plain)
        wrong = seal_rtcp(transform, key, salt, rtcp(), 3, encrypt=plain)
        right = seal_rtcp(transform, key, salt, rtcp(), 3, encrypt=not plain)
        assert receiver.unprotect_rtcp(wrong) == Drop.DROP_ENCRYPTION_FLAG
        assert receiver.unprotect_rtcp(right) == rtcp()
        sender = Session(transform, key, salt, send=True, plain_rtcp=plain)
        assert sender.protect_rtcp(rtcp()) == seal_rtcp(transform, key, salt, rtcp(), 1, encrypt=not plain)


def test_plain_rtcp_on_a_secure_leg() -> None:
    """A18, A11: RTCP without a tag never passes."""
    receiver = Session(CM, *keys(CM), send=False)
    for words in range(1, 40):
        assert isinstance(receiver.unprotect_rtcp(rtcp(words=words)), Drop)


@pytest.mark.parametrize(
    ("flags", "grows", "clear"),
    [
        ({"plain_rtp": True}, 10, True),
        ({"unauthenticated_rtp": True}, 0, False),
        ({"plain_rtp": True, "unauthenticated_rtp": True}, 0, True),
    ],
)
def test_session_parameters_of_sdes(flags: dict[str, Any], grows: int, clear: bool) -> None:
    """SR-18, RFC 4568 section 6.3: UNENCRYPTED_SRTP, UNAUTHENTICATED_SRTP and both; SRTCP is untouched by them."""
    key, salt = keys(CM)
    sender = Session(CM, key, salt, send=True, **flags)
    receiver = Session(CM, key, salt, send=False, **flags)
    packet = sender.protect_rtp(rtp(9, payload=b"twelve octets"))
    assert isinstance(packet, bytes)
    assert len(packet) == 25 + grows
    assert (b"twelve octets" in packet) == clear
    assert receiver.unprotect_rtp(packet) == rtp(9, payload=b"twelve octets")
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, key, salt, rtcp(), 1)


def test_gcm_with_everything_in_the_clear() -> None:
    """RFC 7714 sections 8, 9: UNENCRYPTED_SRTP with an AEAD suite authenticates all of it."""
    sender, receiver = pair("AEAD_AES_128_GCM", plain_rtp=True)
    packet = sender.protect_rtp(rtp(9, payload=b"seen"))
    assert isinstance(packet, bytes)
    assert packet[:16] == rtp(9, payload=b"seen")
    assert receiver.unprotect_rtp(turned(packet, 100)) == Drop.DROP_AUTH_FAIL
    assert receiver.unprotect_rtp(packet) == rtp(9, payload=b"seen")


def test_ssrc_limit() -> None:
    """B6: authentic SSRCs up to the limit; one more is dropped until another has been silent for a minute."""
    key, salt = keys(CM)
    receiver = Session(CM, key, salt, send=False, ssrc_limit=4)
    receiver.now_ns = 10**9
    for ssrc in range(1, 5):
        assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1, ssrc=ssrc))), bytes)
    receiver.now_ns = 60 * 10**9
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(2, ssrc=1))), bytes)
    assert receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1, ssrc=9))) == Drop.DROP_SSRC_LIMIT
    receiver.now_ns = 62 * 10**9
    assert receiver.unprotect_rtp(rtp(1, ssrc=9, payload=bytes(40))) == Drop.DROP_AUTH_FAIL
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1, ssrc=9))), bytes)
    status = receiver.status()
    assert status is not None
    assert {ssrc.ssrc for ssrc in status.ssrcs} > {1, 9}
    assert status.streams == 4
    assert receiver.unprotect_rtp(seal_rtp(CM, key, salt, rtp(1, ssrc=1))) == Drop.DROP_REPLAY


def test_sending_ssrcs_are_never_forgotten() -> None:
    """B5, RFC 3711 section 9.1: an evicted SSRC could come back and use its indices twice."""
    sender = Session(CM, *keys(CM), send=True, ssrc_limit=2)
    for ssrc in (1, 2):
        assert isinstance(sender.protect_rtp(rtp(1, ssrc=ssrc)), bytes)
    sender.now_ns = 10**15
    assert sender.protect_rtp(rtp(1, ssrc=3)) == Drop.DROP_SSRC_LIMIT
    assert sender.protect_rtp(rtp(1, ssrc=1)) == Drop.DROP_TX_REPLAY


def _aligned(size: int) -> memoryview:
    return memoryview(mmap.mmap(-1, size))
