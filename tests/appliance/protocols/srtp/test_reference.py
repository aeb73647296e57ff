"""The reference implementation: known answers of every suite, and the rules of RFC 3711 sections 3.3, 3.4, 9."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.protocols.srtp import suites
from appliance.protocols.srtp.packet import Drop
from appliance.protocols.srtp.reference import Context, Key, Parameters
from tests.vectors import load

VECTORS = load("srtp_suites")["suites"]


def suite(name: str) -> suites.Suite:
    found = suites.find(name)
    assert found is not None
    return found


def rtp(sequence: int, payload: bytes = b"payload", *, ssrc: int = 0x5001A0B2, first: int = 0x80) -> bytes:
    return bytes([first, 0]) + sequence.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + payload


def rtcp(payload: bytes = bytes(20), *, ssrc: int = 0x5001A0B2) -> bytes:
    return b"\x80\xc8\x00\x06" + ssrc.to_bytes(4, "big") + payload


def pair(name: str = "AES_CM_128_HMAC_SHA1_80", *mkis: bytes, **changes: Any) -> tuple[Context, Context]:
    """A sending and a receiving context with the same keys, one per MKI."""
    row = suite(name)
    lifetimes = {field: changes.pop(field) for field in ("rtp_lifetime", "rtcp_lifetime") if field in changes}

    def keys() -> list[Key]:
        return [
            Key(bytes([n + 1] * row.key_octets), bytes([n + 7] * row.salt_octets), mki, **lifetimes)
            for n, mki in enumerate(mkis or (b"",))
        ]

    return Context(Parameters(row, **changes), *keys()), Context(Parameters(row, **changes), *keys())


def through(sender: Context, receiver: Context, packet: bytes, *, rtcp: bool = False) -> bytes | Drop:
    sealed = sender.protect(packet, rtcp=rtcp)
    assert isinstance(sealed, bytes)
    return receiver.unprotect(sealed, rtcp=rtcp)


def vector_context(vector: dict[str, Any], **changes: Any) -> Context:
    row, keys = suite(vector["suite"]), bytes.fromhex(vector["key_salt_hex"])
    parameters = Parameters(row, initial_roc=vector["rtp"][0]["roc"], first_rtcp_index=1, **changes)
    return Context(parameters, Key(keys[: row.key_octets], keys[row.key_octets :]))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["suite"])
def test_known_answers(vector: dict[str, Any]) -> None:
    """B01..B17, A02, A11, A15, A18: protect and unprotect, SRTP over a ROC wrap and SRTCP."""
    sender, receiver = vector_context(vector), vector_context(vector)
    for kind in ("rtp", "rtcp"):
        for case in vector[kind]:
            plain, protected = bytes.fromhex(case["plain"]), bytes.fromhex(case["protected"])
            assert sender.protect(plain, rtcp=kind == "rtcp") == protected
            assert receiver.unprotect(protected, rtcp=kind == "rtcp") == plain


@pytest.mark.parametrize("name", load("srtp_suites")["freeswitch_same_policy_for_rtcp"])
def test_freeswitch_srtcp_tag(name: str) -> None:
    """B17, mission.md trap 5: the SRTP policy applied to SRTCP."""
    vector = next(vector for vector in VECTORS if vector["suite"] == name)
    context = vector_context(vector, srtcp_tag_as_srtp=True)
    expected = load("srtp_suites")["freeswitch_same_policy_for_rtcp"][name]["srtcp_freeswitch_style"]
    sealed = [context.protect(bytes.fromhex(case["plain"]), rtcp=True) for case in vector["rtcp"]]
    assert sealed == [bytes.fromhex(text) for text in expected]


@pytest.mark.parametrize("row", suites.SUITES, ids=lambda row: row.name)
@pytest.mark.parametrize("mki", [b"", b"\x01", bytes(range(128))], ids=len)
def test_expansion(row: suites.Suite, mki: bytes) -> None:
    """A11, A21: SRTP grows by tag and MKI, SRTCP by four octets more."""
    sender, receiver = pair(row.name, mki)
    for payload in (b"", b"x", bytes(160)):
        sealed = sender.protect(rtp(len(payload), payload), rtcp=False)
        assert isinstance(sealed, bytes) and len(sealed) == 12 + len(payload) + row.rtp_tag + len(mki)
        assert receiver.unprotect(sealed, rtcp=False) == rtp(len(payload), payload)
    sealed = sender.protect(rtcp(), rtcp=True)
    assert isinstance(sealed, bytes) and len(sealed) == 28 + row.rtcp_tag + len(mki) + 4
    assert receiver.unprotect(sealed, rtcp=True) == rtcp()


@pytest.mark.parametrize("row", [row for row in suites.SUITES if row.rtp_tag], ids=lambda row: row.name)
def test_any_flipped_bit_is_noticed(row: suites.Suite) -> None:
    """A03: header, payload, tag. The MKI is not authenticated: another one is another key, or none."""
    sender, receiver = pair(row.name)
    sealed = sender.protect(rtp(9, b"abc"), rtcp=False)
    assert isinstance(sealed, bytes)
    for bit in range(8 * len(sealed)):
        tampered = bytearray(sealed)
        tampered[bit // 8] ^= 1 << bit % 8
        assert receiver.unprotect(bytes(tampered), rtcp=False) in (Drop.AUTH_FAIL, Drop.MALFORMED)
    assert not receiver.sources
    assert receiver.unprotect(sealed, rtcp=False) == rtp(9, b"abc")


def test_replay() -> None:
    """A04."""
    sender, receiver = pair(window=64)
    sealed = [sender.protect(rtp(sequence), rtcp=False) for sequence in range(1, 131)]
    verdicts = [receiver.unprotect(packet, rtcp=False) for packet in (sealed[100], sealed[100], sealed[37], sealed[36])]  # type: ignore[arg-type]
    assert verdicts == [rtp(101), Drop.REPLAY, rtp(38), Drop.REPLAY_OLD]


def test_a_sender_never_uses_an_index_twice() -> None:
    """RFC 3711 section 9.1: two packets under one keystream."""
    sender, _ = pair()
    assert isinstance(sender.protect(rtp(5), rtcp=False), bytes)
    assert sender.protect(rtp(5, b"other"), rtcp=False) == Drop.TX_REPLAY


def test_forged_far_packet_moves_nothing() -> None:
    """A04, A05: a forged sequence number does not move the window or the ROC."""
    sender, receiver = pair()
    assert through(sender, receiver, rtp(60000)) == rtp(60000)
    assert receiver.unprotect(rtp(10, bytes(30)), rtcp=False) == Drop.AUTH_FAIL
    assert through(sender, receiver, rtp(60001)) == rtp(60001)
    assert receiver.sources[0x5001A0B2].rtp.newest == 60001


def test_wrap() -> None:
    """A14: over the wrap with reordering; ROC grows once."""
    sender, receiver = pair()
    order = [65530, 65532, 65531, 65535, 1, 0, 65534, 3, 2]
    sealed = {s: sender.protect(rtp(s), rtcp=False) for s in [*range(65530, 65536), *range(4)]}
    assert [receiver.unprotect(sealed[s], rtcp=False) for s in order] == [rtp(s) for s in order]  # type: ignore[arg-type]
    assert receiver.sources[0x5001A0B2].rtp.newest == 0x10003


def test_gap_of_more_than_half_a_turn() -> None:
    """A14: the estimate is a turn too low, authentication at the next turn says so; SRTCP and forgeries get nothing."""
    sender, receiver = pair()
    assert through(sender, receiver, rtp(100)) == rtp(100)
    for sequence in (20000, 40000, 60000, 14464):
        sealed = sender.protect(rtp(sequence), rtcp=False)
    assert isinstance(sealed, bytes) and receiver.unprotect(sealed, rtcp=False) == rtp(14464)
    assert receiver.sources[0x5001A0B2].rtp.newest == 0x10000 + 14464
    assert receiver.unprotect(rtp(100, bytes(30)), rtcp=False) == Drop.REPLAY_OLD


def test_resync_trials_are_limited() -> None:
    """A14: a flood of forgeries costs one verification each after the first 64, but for every 16th."""
    _, receiver = pair()
    trials = 0
    for _ in range(200):
        trials += receiver._may_resync(rtcp=False)
        assert receiver.unprotect(rtp(1, bytes(30)), rtcp=False) == Drop.AUTH_FAIL
    assert trials == 64 + 9 and not receiver._may_resync(rtcp=True)


def test_mki() -> None:
    """C06, SR-15: both keys decrypt, the sender switches, an unknown MKI is dropped."""
    sender, receiver = pair("AES_CM_128_HMAC_SHA1_80", b"\0\1", b"\0\2")
    assert through(sender, receiver, rtp(1)) == rtp(1)
    sender.select_key(b"\0\2")
    sealed = sender.protect(rtp(2), rtcp=False)
    assert isinstance(sealed, bytes) and sealed[-12:-10] == b"\0\2"
    assert receiver.unprotect(sealed, rtcp=False) == rtp(2)
    assert receiver.unprotect(sealed[:-12] + b"\0\3" + sealed[-10:], rtcp=False) == Drop.UNKNOWN_MKI


def test_lifetimes() -> None:
    """A17: a used-up key neither sends nor receives; whichever of SRTP and SRTCP ends first ends both."""
    sender, receiver = pair(rtp_lifetime=2)
    assert [through(sender, receiver, rtp(s)) for s in (1, 2)] == [rtp(1), rtp(2)]
    assert sender.protect(rtp(3), rtcp=False) == Drop.KEY_EXPIRED
    fresh, _ = pair()
    for sequence in (1, 2, 3):
        last = fresh.protect(rtp(sequence), rtcp=False)
    assert isinstance(last, bytes) and receiver.unprotect(last, rtcp=False) == Drop.KEY_EXPIRED
    assert sender.protect(rtcp(), rtcp=True) == Drop.KEY_EXPIRED
    sender, receiver = pair(rtcp_lifetime=1)
    assert through(sender, receiver, rtcp(), rtcp=True) == rtcp()
    assert sender.protect(rtcp(), rtcp=True) == sender.protect(rtp(1), rtcp=False) == Drop.KEY_EXPIRED


def test_last_index() -> None:
    """A17, A19: no index after 2^48 - 1 and 2^31 - 1."""
    sender, receiver = pair(initial_roc=0xFFFFFFFF, first_rtcp_index=2**31 - 1)
    assert through(sender, receiver, rtp(0xFFFF)) == rtp(0xFFFF)
    assert sender.protect(rtp(0), rtcp=False) == Drop.KEY_EXPIRED
    assert through(sender, receiver, rtcp(), rtcp=True) == rtcp()
    assert sender.protect(rtcp(), rtcp=True) == Drop.KEY_EXPIRED


@pytest.mark.parametrize("name", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM", "F8_128_HMAC_SHA1_32"])
def test_unencrypted(name: str) -> None:
    """A20, SDES-12, SR-11: E is 0, the payload readable, the tag still verified; the other E flag is dropped."""
    sender, receiver = pair(name, encrypt_rtp=False, encrypt_rtcp=False)
    sealed = sender.protect(rtcp(b"r" * 20), rtcp=True)
    assert isinstance(sealed, bytes) and sealed.startswith(rtcp(b"r" * 20))
    assert receiver.unprotect(sealed, rtcp=True) == rtcp(b"r" * 20)
    assert receiver.unprotect(sealed[:9] + b"x" + sealed[10:], rtcp=True) in (Drop.AUTH_FAIL, Drop.REPLAY)
    plain = sender.protect(rtp(1), rtcp=False)
    assert isinstance(plain, bytes) and plain.startswith(rtp(1)) and receiver.unprotect(plain, rtcp=False) == rtp(1)
    _, strict = pair(name)
    assert strict.unprotect(sealed, rtcp=True) == Drop.ENCRYPTION_FLAG


def test_unauthenticated() -> None:
    """SDES-13, mission.md trap 6: no SRTP tag, as AES_CM_128_NULL_AUTH has it; SRTCP stays authenticated."""
    sender, receiver = pair(authenticate_rtp=False)
    assert sender.protect(rtp(1), rtcp=False) == pair("AES_CM_128_NULL_AUTH")[0].protect(rtp(1), rtcp=False)
    sealed = sender.protect(rtcp(), rtcp=True)
    assert isinstance(sealed, bytes) and len(sealed) == 28 + 14
    assert receiver.unprotect(sealed, rtcp=True) == rtcp()
    with pytest.raises(ValueError, match="AEAD"):
        pair("AEAD_AES_128_GCM", authenticate_rtp=False)


def test_ssrcs() -> None:
    """A05, SDES-18: own state per SSRC, made by authentic packets only, and not without end."""
    sender, receiver = pair(ssrc_limit=2)
    for forged in range(100):
        assert receiver.unprotect(rtp(1, bytes(20), ssrc=forged), rtcp=False) == Drop.AUTH_FAIL
    assert not receiver.sources
    assert [through(sender, receiver, rtp(1, ssrc=n)) for n in (1, 2)] == [rtp(1, ssrc=1), rtp(1, ssrc=2)]
    assert sender.protect(rtp(1, ssrc=3), rtcp=False) == Drop.SSRC_LIMIT
    other, _ = pair()
    third = other.protect(rtp(1, ssrc=3), rtcp=False)
    assert isinstance(third, bytes) and receiver.unprotect(third, rtcp=False) == Drop.SSRC_LIMIT


@pytest.mark.parametrize("log2", [1, 4])
@pytest.mark.parametrize("name", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80"])
def test_key_derivation_rate(name: str, log2: int) -> None:
    """A08: packets of every period decrypt, reordered over the change too; without the rate they do not."""
    sender, receiver = pair(name, kdr_log2=log2)
    _, ignorant = pair(name)
    sealed = [sender.protect(rtp(s), rtcp=False) for s in range(40)]
    order = [s ^ 1 for s in range(40)]
    assert [receiver.unprotect(sealed[s], rtcp=False) for s in order] == [rtp(s) for s in order]  # type: ignore[arg-type]
    assert ignorant.unprotect(sealed[39], rtcp=False) == Drop.AUTH_FAIL  # type: ignore[arg-type]


@pytest.mark.parametrize("row", suites.SUITES, ids=lambda row: row.name)
def test_truncated_packets(row: suites.Suite) -> None:
    """Every length 0..64 of both kinds is a verdict, never an exception."""
    sender, receiver = pair(row.name, b"k")
    for kind, packet in ((False, rtp(1, bytes(40))), (True, rtcp(bytes(40)))):
        sealed = sender.protect(packet, rtcp=kind)
        assert isinstance(sealed, bytes)
        shortest = (8 + 4 + row.rtcp_tag if kind else 12 + row.rtp_tag) + 1
        for length in range(min(65, len(sealed))):
            verdict = receiver.unprotect(sealed[:length], rtcp=kind)
            assert (verdict == Drop.TOO_SHORT) == (length < shortest)
            assert isinstance(verdict, Drop)


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        (rtp(1, first=0x40), Drop.MALFORMED),  # version 1
        (rtp(1, b"abc", first=0x81), Drop.MALFORMED),  # one CSRC, three octets left
        (rtp(1, b"abc", first=0x90), Drop.MALFORMED),  # no room for the extension's own header
        (rtp(1, b"\xbe\xde\0\2" + bytes(7), first=0x90), Drop.MALFORMED),
        (rtp(1)[:11], Drop.TOO_SHORT),
    ],
)
def test_headers_that_lie(packet: bytes, verdict: Drop) -> None:
    sender, _ = pair()
    assert sender.protect(packet, rtcp=False) == verdict


def test_extension_and_csrcs_stay_readable() -> None:
    """A16: the header with CSRCs and extension is authenticated but not encrypted."""
    sender, receiver = pair()
    packet = rtp(1, b"CSRC" * 2 + b"\xbe\xde\0\1extnsecret", first=0x92)
    sealed = sender.protect(packet, rtcp=False)
    assert isinstance(sealed, bytes) and sealed.startswith(packet[: 12 + 8 + 8]) and b"secret" not in sealed
    assert receiver.unprotect(sealed, rtcp=False) == packet


def test_keys_are_not_printed() -> None:
    """SR-23."""
    shown = repr(Key(b"secretkey1234567", b"secretsalt1234"))
    assert shown.startswith("Key(mki=") and "secret" not in shown
