"""STUN as the worker reads and writes it, beside RFC 5769's samples and aioice, an independent implementation."""

from __future__ import annotations

import random
import zlib
from typing import Any

import aioice.stun
import pytest

from kernels.wire import stun
from tests import vectors
from tests.kernels.checks import (
    CONTROLLING,
    ERROR,
    FINGERPRINT,
    INTEGRITY,
    OUR_PASSWORD,
    PRIORITY,
    REQUEST,
    SUCCESS,
    UNKNOWN,
    USE_CANDIDATE,
    USERNAME,
    attribute,
    check,
    error_code,
    message,
    read,
)
from tests.kernels.guarded import INPUTS, SEED, Exact, Guarded, damaged

pytestmark = pytest.mark.malformed

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
SAMPLES = {sample["section"]: sample for sample in vectors.load("rfc5769_stun")["vectors"]}


@pytest.mark.parametrize("section", ["2.1", "2.2", "2.3"])
def test_samples_verify(section: str) -> None:
    """RFC 5769: structure, integrity under the password and no other, fingerprint."""
    data = bytearray.fromhex(SAMPLES[section]["hex"])
    parsed = stun.parse(data)
    assert parsed is not None
    kind, user, integrity, fingerprint, _, unknown = parsed
    assert (kind, user) == ((REQUEST, b"evtj:h6vY") if section == "2.1" else (SUCCESS, None))
    assert (integrity, fingerprint, unknown) == (True, True, ())
    assert stun.fingerprint_ok(data)
    assert stun.signed(data, PASSWORD)
    assert not stun.signed(data, PASSWORD + b"x")
    assert data == bytes.fromhex(SAMPLES[section]["hex"])  # the length that the signature is made over was put back


@pytest.mark.parametrize("plain", [False, True])
def test_crc_of_every_length(plain: bool) -> None:
    """RFC 8489 section 14.7, beside zlib: by carry-less multiplication and without it, whatever the alignment."""
    data = random.Random(SEED).randbytes(700)
    for octets in range(600):
        start = octets % 17
        part = data[start : start + octets]
        assert stun.crc32(memoryview(data)[start : start + octets], plain) == zlib.crc32(part), octets
    assert stun.crc32(b"123456789", plain) == 0xCBF43926


def test_sample_with_long_term_credentials() -> None:
    """RFC 5769 section 2.4: no fingerprint, and REALM and NONCE are what an ICE agent need not understand."""
    parsed = stun.parse(bytes.fromhex(SAMPLES["2.4"]["hex"]))
    assert parsed is not None
    assert parsed[1] == "マトリックス".encode()
    assert parsed[2:] == (True, False, False, (0x0015, 0x0014))


@pytest.mark.parametrize("octet", range(108))
def test_every_octet_of_a_signed_message_counts(octet: int) -> None:
    """D8: one bit anywhere before the signature's end, and it is no signature; in the fingerprint, no fingerprint."""
    data = bytearray.fromhex(SAMPLES["2.1"]["hex"])
    data[octet] ^= 0x10
    assert not (stun.parse(data) and stun.fingerprint_ok(data) and stun.signed(data, PASSWORD))


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8:1234:5678:11:2233:4455:6677"])
def test_success_response(host: str) -> None:
    """RFC 8489 section 14.2: as aioice reads and verifies it."""
    request = check(nominate=True)
    data = bytearray(request) + bytearray(100)
    answer = stun.succeed(data, host, 32853, OUR_PASSWORD.encode())
    assert answer is not None
    parsed = aioice.stun.parse_message(answer)
    assert parsed.check_message_integrity(OUR_PASSWORD.encode())
    assert parsed.message_class == aioice.stun.Class.RESPONSE
    assert parsed.transaction_id == request[8:20]
    assert parsed.attributes["XOR-MAPPED-ADDRESS"] == (host, 32853)
    assert set(parsed.attributes) == {"XOR-MAPPED-ADDRESS", "MESSAGE-INTEGRITY", "FINGERPRINT"}


def test_requests_of_aioice_are_understood() -> None:
    request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    request.attributes["USERNAME"] = "gate:peer"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 2**63
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(OUR_PASSWORD.encode())
    request.add_fingerprint()
    data = bytearray(bytes(request))
    assert stun.parse(data) == (REQUEST, b"gate:peer", True, True, True, ())
    assert stun.signed(data, OUR_PASSWORD.encode())


@pytest.mark.parametrize(("code", "signed"), [(400, False), (401, False), (420, True)])
def test_error_responses(code: int, signed: bool) -> None:
    """RFC 8489 sections 6.3.1, 9.1.3, 14.8; unsigned ones are hardly longer than the shortest request."""
    request = check((0x0031, b"????"), (0x0032, b"1"), (0x0033, b""))
    data = bytearray(request) + bytearray(80)
    answer = stun.refuse(data, len(request), code, OUR_PASSWORD.encode() if signed else None)
    assert answer is not None
    assert error_code(answer) == code
    found = read(answer)[1]
    assert (INTEGRITY in found) == signed
    if signed:
        assert stun.signed(bytearray(answer), OUR_PASSWORD.encode())
        assert found[UNKNOWN] == bytes.fromhex("003100320033")
    else:
        assert len(answer) == 36


def test_answers_need_their_room() -> None:
    request = check()
    with Exact(request) as exact:
        room = len(request)
        fits = stun.succeed(exact, "192.0.2.1", 9, b"x" * 22)
        assert (fits is not None) == (room >= 64)
    for octets in range(20, 64):
        with Exact(request[:octets]) as exact:
            assert stun.succeed(exact, "192.0.2.1", 9, b"x" * 22) is None
            assert stun.refuse(exact, octets, 401, None) is None


def test_long_passwords() -> None:
    """Of up to 256 characters (RFC 8839 section 5.4): longer than a block of SHA-1."""
    for octets in (22, 63, 64, 65, 256):
        password = "p" * octets
        assert stun.signed(bytearray(check(password=password)), password.encode())


REFUSED = {
    "no STUN": bytes(20),
    "an old cookie": message(REQUEST, [], None)[:4] + bytes(16),
    "another method": message(0x0003, [], None),
    "another class and method": message(0x0101 | 0x0020, [], None),
    "first bits": bytes([0x40]) + message(REQUEST, [], None)[1:],
    "a length that is no multiple of four": message(REQUEST, [], None)[:-8] + b"\x00",
    "a short signature": message(REQUEST, [(INTEGRITY, bytes(19))], None),
    "a long signature": message(REQUEST, [(INTEGRITY, bytes(24))], None),
    "two signatures": message(REQUEST, [(INTEGRITY, bytes(20))], OUR_PASSWORD),
    "a fingerprint in front": message(REQUEST, [(FINGERPRINT, bytes(4))], OUR_PASSWORD),
    "an attribute after the signature": check(after=[(PRIORITY, bytes(4))]),
    "USE-CANDIDATE after the signature": check(after=[(USE_CANDIDATE, b"")]),
    "anything after the signature": check(after=[(0x8FFF, b"harmless")]),
    "an attribute after the fingerprint": message(REQUEST, [(FINGERPRINT, bytes(4)), (PRIORITY, bytes(4))], None),
    "a name without end": message(REQUEST, [(USERNAME, b"n" * 510)], OUR_PASSWORD),
    "an empty name": message(REQUEST, [(USERNAME, b"")], OUR_PASSWORD),
    "a long priority": message(REQUEST, [(PRIORITY, bytes(8))], OUR_PASSWORD),
    "a nomination with a value": message(REQUEST, [(USE_CANDIDATE, b"yes!")], OUR_PASSWORD),
}


@pytest.mark.row("D8", "D10")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    assert stun.parse(REFUSED[name]) is None


def test_what_may_stand_between() -> None:
    """Signature, SHA-256 signature, fingerprint: in this order (RFC 8489 section 14.5)."""
    assert stun.parse(check(after=[(0x001C, bytes(32))])) is not None
    assert stun.parse(check((0x001C, bytes(32)))) is None


def test_the_first_of_two_names_counts() -> None:
    """RFC 8489 section 14."""
    parsed = stun.parse(check((USERNAME, b"other:name")))
    assert parsed is not None
    assert parsed[1] == b"gate:peer"


# -- memory: nothing beyond the length is read, whatever the message promises ---------------------------------------


def judge(data: Any) -> None:
    """Everything that reads, on a buffer that ends with the message."""
    parsed = stun.parse(data)
    before = bytes(data)
    if parsed is not None and parsed[2]:
        stun.signed(data, b"k" * 22)
    if parsed is not None and parsed[3]:
        stun.fingerprint_ok(data)
    assert bytes(data) == before


@pytest.mark.row("D10", "A11")
def test_every_length_and_every_attribute_length() -> None:
    """D10: cut anywhere; header and each attribute in turn promise everything from 0 to more than there is."""
    guarded = Guarded()
    whole = check((CONTROLLING, bytes(8)), nominate=True)
    for length in range(len(whole) + 1):
        cut = bytearray(whole[:length])
        judge(guarded.tail(bytes(cut)))
        if length >= 20:
            cut[2:4] = (length - 20).to_bytes(2)
            judge(guarded.tail(bytes(cut)))
    places = range(20, len(whole) - 3, 4)
    for at in places:
        for size in (*range(40), 0xFFFC, 0xFFFD, 0xFFFF):
            lying = bytearray(whole)
            lying[at + 2 : at + 4] = size.to_bytes(2)
            judge(guarded.tail(bytes(lying)))


@pytest.mark.row("D10")
def test_noise_and_damage() -> None:
    """10^5 seeded: random octets behind a header that is right, real messages damaged; then answers where they lie."""
    chance, guarded = random.Random(SEED), Guarded()
    for _ in range(INPUTS // 2):
        body = chance.randbytes(4 * chance.randrange(0, 30))
        kind = chance.choice((1, 0x11, 0x101, 0x111))
        judge(guarded.tail(kind.to_bytes(2) + len(body).to_bytes(2) + bytes.fromhex("2112a442") + bytes(12) + body))
    for data in damaged(check(nominate=True), INPUTS // 2):
        judge(guarded.tail(data))
        parsed = stun.parse(data)
        if parsed is not None:
            with Exact(data, 40) as exact:
                stun.refuse(exact, len(data), 420, b"k" * 22)
            with Exact(data, 40) as exact:
                stun.succeed(exact, "2001:db8::1", 5, b"k" * 22)


@pytest.mark.row("D10")
def test_address_attributes_are_not_read() -> None:
    """D10: an IPv6 family with a value of 8 octets (FreeSWITCH 03485e1f4c), and every other size, in a response."""
    for octets in range(24):
        data = message(SUCCESS, [(0x0020, b"\x00\x02" + bytes(octets))], OUR_PASSWORD)
        assert stun.parse(data) is not None
        judge(Guarded().tail(data))
    assert stun.parse(message(ERROR, [(0x0009, b"")], None)) is not None
    assert attribute(1, b"abc") == b"\x00\x01\x00\x03abc\x00"
