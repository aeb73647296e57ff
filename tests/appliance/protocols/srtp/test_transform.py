"""Ciphers against the RFCs' numbers (B01, B03, B05, B07, B15, B16; SR-9..SR-11)."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.protocols.srtp.kdf import SessionKeys
from appliance.protocols.srtp.transform import (
    Place,
    apply_counter_mode,
    apply_f8,
    f8_iv,
    gcm_iv,
    gcm_open,
    gcm_seal,
)
from tests.vectors import load


@pytest.mark.parametrize(
    ("file", "case"),
    [("rfc3711_appendix_b", "aes_cm_128"), ("rfc6188_section7", "aes_192_cm"), ("rfc6188_section7", "aes_256_cm")],
)
def test_counter_mode_keystream(file: str, case: str) -> None:
    """RFC 3711 B.2, RFC 6188 sections 7.1 and 7.3: first and last blocks of a keystream, index 0, SSRC 0."""
    vector = load(file)[case]
    keys = SessionKeys(bytes.fromhex(vector["session_key"]), b"", bytes.fromhex(vector["session_salt"]))
    blocks = {int(number): bytes.fromhex(block) for number, block in vector["keystream_blocks"].items()}
    keystream = apply_counter_mode(keys, Place(0, 0, bytes(12), rtcp=False), bytes(16 * (max(blocks) + 1)))
    assert {number: keystream[16 * number : 16 * number + 16] for number in blocks} == blocks


def test_f8() -> None:
    """RFC 3711 B.1 (the salt of the example has four octets)."""
    vector = {k: bytes.fromhex(v) for k, v in load("rfc3711_appendix_b")["aes_f8"].items() if k != "note"}
    header = vector["rtp_header"]
    index = int.from_bytes(vector["roc"] + header[2:4], "big")
    place = Place(int.from_bytes(header[8:12], "big"), index, header, rtcp=False)
    assert f8_iv(place) == vector["iv"]
    assert apply_f8(SessionKeys(vector["key"], b"", vector["salt"]), place, vector["payload"]) == vector["ciphertext"]


def gcm_place(vector: dict[str, Any]) -> Place:
    aad = bytes.fromhex(vector["aad"])
    if vector["title"].startswith("SRTCP"):
        index = int.from_bytes(aad[-4:], "big") & 0x7FFFFFFF
        return Place(int.from_bytes(aad[4:8], "big"), index, aad[:8], rtcp=True)
    return Place(int.from_bytes(aad[8:12], "big"), int.from_bytes(aad[2:4], "big"), aad[:12], rtcp=False)


@pytest.mark.parametrize("vector", load("rfc7714_gcm")["vectors"], ids=lambda vector: vector["section"])
def test_gcm(vector: dict[str, Any]) -> None:
    """RFC 7714 sections 16 and 17."""
    keys = SessionKeys(bytes.fromhex(vector["key"]), b"", bytes.fromhex(vector["salt"]))
    place, aad = gcm_place(vector), bytes.fromhex(vector["aad"])
    assert gcm_iv(keys, place) == bytes.fromhex(vector["iv"])
    if "ct" in vector:
        sealed = bytes.fromhex(vector["ct"])
        plain = gcm_open(keys, place, aad, sealed, 16)
        assert plain is not None and gcm_seal(keys, place, aad, plain, 16) == sealed
    else:
        plain = bytes.fromhex(vector.get("pt", ""))
        sealed = gcm_seal(keys, place, aad, plain, 16)
        assert sealed == bytes.fromhex(vector["cipher_with_tag"])
        assert gcm_open(keys, place, aad, sealed, 16) == plain
    assert gcm_open(keys, place, aad, sealed[:-1] + bytes([sealed[-1] ^ 1]), 16) is None
