"""STUN messages: RFC 5769's vectors, every attribute there and back, what must be refused (D8, D10, ICE-3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.stun import attributes
from appliance.protocols.stun.integrity import long_term, short_term
from appliance.protocols.stun.message import Kind, Malformed, Message, encode, is_stun, parse
from tests.vectors import load

VECTORS = {entry["section"]: bytes.fromhex(entry["hex"]) for entry in load("rfc5769_stun")["vectors"]}
PASSWORD = short_term("VOkJxbRl1RmTxUk/WvJxBt")
ID = bytes(range(12))
REQUEST = Message(Kind.REQUEST, ID, username="theirs:ours", priority=0x6E0001FF, controlling=2**64 - 1)

FULL = Message(
    Kind.ERROR, ID, method=0xFF, mapped_address=("192.0.2.1", 1), username="マトリックス", userhash=bytes(32),
    error=(438, "Stale Nonce"), unknown_attributes=(0x7777, 1), realm="example.org", nonce="f//499k954d6OL34oL9",
    password_algorithm=(2, b""), password_algorithms=((2, b""), (1, b"abc")), xor_mapped_address=("2001:db8::1", 65535),
    alternate_domain="example.org", software="srtpgw", alternate_server=("2001:db8::2", 3478), priority=2**32 - 1,
    use_candidate=True, controlled=0, controlling=2**64 - 1,
)  # fmt: skip


def read(data: bytes) -> Message:
    message = parse(data)
    assert isinstance(message, Message), message
    return message


def body(*parts: tuple[int, bytes], kind: bytes = b"\0\1") -> bytes:
    """A message of these attributes, without integrity or fingerprint."""
    octets = bytearray()
    for code, value in parts:
        attributes.append(octets, code, value)
    return kind + len(octets).to_bytes(2, "big") + bytes.fromhex("2112a442") + ID + bytes(octets)


def test_rfc5769_request() -> None:
    """RFC 5769 section 2.1; its padding is of spaces."""
    message = read(VECTORS["2.1"])
    assert (message.kind, message.method, message.fingerprint) == (Kind.REQUEST, 1, True)
    assert (message.username, message.priority) == ("evtj:h6vY", 0x6E0001FF)
    assert (message.controlled, message.software) == (0x932FF9B151263B36, "STUN test client")
    assert message.verified(PASSWORD)
    assert not message.verified(PASSWORD[:-1])


@pytest.mark.parametrize(
    ("section", "address"),
    [("2.2", ("192.0.2.1", 32853)), ("2.3", ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
)
def test_rfc5769_responses(section: str, address: tuple[str, int]) -> None:
    message = read(VECTORS[section])
    assert message.kind is Kind.SUCCESS and message.fingerprint and message.verified(PASSWORD)
    assert message.xor_mapped_address == address


def test_rfc5769_long_term() -> None:
    """Section 2.4: no fingerprint, key of realm and password."""
    message = read(VECTORS["2.4"])
    assert message.username == "マトリックス" and message.realm == "example.org" and not message.fingerprint
    assert message.verified(long_term("マトリックス", "example.org", "TheMatrIX"))


@pytest.mark.parametrize("sha256", [False, True])
def test_every_attribute_there_and_back(sha256: bool) -> None:
    data = encode(FULL, b"key", sha256=sha256)
    message = read(data)
    assert message.fingerprint and message.verified(b"key") and not message.verified(b"kez")
    named = {row.field for row in attributes.ROWS}
    assert all(getattr(message, name) == getattr(FULL, name) for name in named)
    missing = [name for name in named if getattr(FULL, name) is None or getattr(FULL, name) is False]
    assert not missing, "rows that this test does not fill"
    assert (message.kind, message.method, message.transaction) == (FULL.kind, FULL.method, FULL.transaction)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("method", [0, 1, 0xF, 0x10, 0x80, 0xFF])
def test_kind_and_method(kind: Kind, method: int) -> None:
    message = read(encode(Message(kind, ID, method)))
    assert (message.kind, message.method) == (kind, method)


@pytest.mark.row("D8")
def test_attributes_behind_the_integrity_are_not_read() -> None:
    """RFC 8489 section 14.5: nobody vouches for a USE-CANDIDATE that somebody on the way put there."""
    signed = bytearray(encode(REQUEST, b"key", fingerprint=False))
    attributes.append(signed, 0x25, b"")
    signed[2:4] = (len(signed) - 20).to_bytes(2, "big")
    message = read(bytes(signed))
    assert message.verified(b"key") and not message.use_candidate


@pytest.mark.row("D8")
def test_unsigned_is_never_verified() -> None:
    assert not read(encode(REQUEST)).verified(b"")
    assert not read(encode(REQUEST, b"key")).verified(b"")


def test_of_both_integrities_the_stronger_counts() -> None:
    """Section 14.6: MESSAGE-INTEGRITY-SHA256 behind MESSAGE-INTEGRITY."""
    plain = body((8, bytes(20)), (0x1C, bytes(32)))
    signature = read(plain).signature
    assert signature is not None and signature.sha256


@pytest.mark.row("D10")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not STUN"),
        (VECTORS["2.1"][:19], "not STUN"),
        (b"\x40" + VECTORS["2.1"][1:], "not STUN"),
        (VECTORS["2.1"][:4] + bytes(4) + VECTORS["2.1"][8:], "not STUN"),
        (VECTORS["2.1"][:-4], "length"),
        (VECTORS["2.1"] + b"\0", "length"),
        (VECTORS["2.1"][:-1] + b"\0", "fingerprint"),
        (body((0x20, bytes.fromhex("0002a147e112a643"))), "address family"),  # IPv6 in 8 octets
        (body((0x20, bytes.fromhex("0001a147") + bytes(16))), "address family"),
        (body((0x20, bytes.fromhex("0003a147e112a643"))), "address family"),
        (body((0x20, bytes(60))), "address family"),
        (body((1, b"\0\1\0")), "address family"),
        (body((0x24, b"\0\0\0")), "number length"),
        (body((0x802A, bytes(4))), "number length"),
        (body((0x25, b"\0")), "flag with a value"),
        (body((6, b"\xff\xfe")), "text not UTF-8"),
        (body((6, b"u" * 514)), "text too long"),
        (body((9, b"\0\0\7\0")), "error code"),
        (body((9, b"\0\0\4\x64")), "error code"),
        (body((9, b"\0\0\4")), "error code"),
        (body((10, b"\0")), "list of attributes"),
        (body((8, bytes(19))), "integrity length"),
        (body((0x1C, bytes(12))), "integrity length"),
        (body((0x1E, bytes(31))), "USERHASH length"),
        (body((0x1D, b"")), "password algorithm"),
        (body((0x8002, b"\0\1\0\4")), "attribute length"),
        (body(*[(0x7000, b"")] * 65), "too many attributes"),
        (body((6, b"abcd"))[:-8] + b"\0\6\xff\xff" + b"abcd", "attribute length"),
        (encode(REQUEST, b"key")[:2] + b"\0\x54" + encode(REQUEST, b"key")[4:], "length"),
        (bytes(2) + b"\x08\x00" + bytes.fromhex("2112a442") + bytes(12 + 2048), "not STUN"),
    ],
)  # fmt: skip
def test_malformed(data: bytes, reason: str) -> None:
    assert parse(data) == Malformed(reason)


def test_something_behind_the_fingerprint() -> None:
    data = bytearray(encode(REQUEST))
    before = read(bytes(data))
    assert before.fingerprint
    data[2:4] = (len(data) - 20 + 4).to_bytes(2, "big")
    assert isinstance(parse(bytes(data) + b"\0\x25\0\0"), Malformed)


def test_unknown_attributes_are_told() -> None:
    """Comprehension-required ones once each (for 420); optional ones are nobody's concern."""
    message = read(body((0x7001, b"x"), (0x7002, b""), (0x7001, b""), (0xC057, b"\0\0\0\1")))
    assert message.not_understood == (0x7001, 0x7002)


def test_the_first_of_equal_attributes_counts() -> None:
    assert read(body((6, b"first"), (6, b"second"))).username == "first"


def test_is_stun() -> None:
    assert is_stun(VECTORS["2.1"]) and not is_stun(b"\x80" + VECTORS["2.1"][1:]) and not is_stun(b"\0\1")


def test_our_own_mistakes_raise() -> None:
    with pytest.raises(ValueError):
        encode(Message(Kind.REQUEST, b"short"))
    with pytest.raises(ValueError):
        encode(Message(Kind.REQUEST, ID, method=0x100))


def test_no_secret_in_repr() -> None:
    message = read(encode(REQUEST, b"secret"))
    assert "covered" not in repr(message) and "signature" not in repr(message)


@given(st.binary(max_size=200))
def test_nothing_raises(data: bytes) -> None:
    parse(data)
    parse(b"\0\1" + (len(data) & ~3).to_bytes(2, "big") + bytes.fromhex("2112a442") + ID + data[: len(data) & ~3])
