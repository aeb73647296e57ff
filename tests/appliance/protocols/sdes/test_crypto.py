"""a=crypto lines: RFC 4568's grammar case by case, the reference's keys, and fuzz (rows C01-C06, C12; SDES-1 to 16)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.sdes.crypto import Crypto, InlineKey, InvalidCrypto, Parameters, emit, parse
from appliance.protocols.srtp import suites

VECTORS = Path(__file__).parents[3] / "vectors"
CASES = json.loads((VECTORS / "sdes_cases.json").read_text())["cases"]
KEYS = json.loads((VECTORS / "sdes_reference_keys.json").read_text())
EXAMPLES = json.loads((VECTORS / "rfc_sdp_examples.json").read_text())["examples"]

LINE = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_case(case: dict[str, Any]) -> None:
    """C01-C06: each case as `sdes_cases.json` says, and a valid one comes back from its own text."""
    value = case["line"].removeprefix("a=crypto:")
    if not case["valid"]:
        with pytest.raises(InvalidCrypto):
            parse(value)
        return
    line = parse(value)
    assert parse(emit(line)) == line
    assert parse(emit(line, pad=False)) == line
    assert (line.suite is not None) == case.get("supported", True)
    if "lifetime" in case:
        assert line.keys[0].lifetime == case["lifetime"]
    if "mki" in case:
        assert int.from_bytes(line.keys[0].mki, "big") == case["mki"]
    if "mki_len" in case:
        assert len(line.keys[0].mki) == case["mki_len"]
    if "kdr" in case:
        assert line.parameters.kdr_log2 == case["kdr"]
    if "canonical" in case:
        assert line.suite is suites.find(case["canonical"])
        assert f" {line.spelling} " in case["line"]


@pytest.mark.parametrize("row", KEYS, ids=lambda row: f"line {row['line']}")
def test_reference_key(row: dict[str, Any]) -> None:
    """C03, C12: every key printed in the reference decodes to its suite's length, but for the one damaged log line."""
    text = f"{row['tag']} {row['suite']} {'inline:' if row['inline'] else ''}{row['b64']}"
    if not row["ok"]:
        with pytest.raises(InvalidCrypto):
            parse(text)
        return
    line = parse(text)
    assert line.suite is not None
    assert len(line.keys[0].material) == row["expect"] == line.suite.master_octets
    assert emit(line, pad=row["padded"]) == text  # octet for octet in the writer's own padding


@pytest.mark.parametrize("text", [text for listed in EXAMPLES.values() for text in listed if "crypto:" in text])
def test_rfc_example(text: str) -> None:
    """The RFCs' own examples, one of them with a space behind the `;` between two keys."""
    line = parse(text.removeprefix("a=crypto:"))
    assert parse(emit(line)) == line


def test_every_spelling_and_length() -> None:
    """B09-B12, C03: each name of each suite takes exactly its key length, padded or not."""
    for suite in suites.SUITES:
        for spelling in suite.spellings:
            material = bytes(range(suite.master_octets))
            line = Crypto(1, spelling, suite, (InlineKey(material),))
            assert parse(emit(line)) == parse(emit(line, pad=False)) == line
            for wrong in (material[:-1], material + b"x"):
                with pytest.raises(InvalidCrypto, match="octets where the suite needs"):
                    parse(emit(Crypto(1, spelling, suite, (InlineKey(wrong),))))


@pytest.mark.parametrize("tag", ["", "x", "00", "-1", "1.5", "٣"])
def test_bad_tags(tag: str) -> None:
    with pytest.raises(InvalidCrypto):
        parse(LINE.replace("1", tag, 1))


def test_nine_digit_tag() -> None:
    """C02."""
    assert parse(LINE.replace("1", "999999999", 1)).tag == 999_999_999


def test_liberal_lifetime_clamps() -> None:
    """C05: the trunk switch clamps what the strict form refuses."""
    line = "3 AES_192_CM_HMAC_SHA1_80 inline:up9VO2T/rfu8V0cecA4RuG0aWgSaCC5gD/p/RdY1odg1p/0Pto0=|2^48"
    with pytest.raises(InvalidCrypto, match="lifetime"):
        parse(line)
    assert parse(line, liberal_lifetime=True).keys[0].lifetime == 1 << 31


def test_fec_key_needs_fec_of_its_own() -> None:
    """SDES-14."""
    text = LINE + " FEC_KEY=inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    with pytest.raises(InvalidCrypto):
        parse(text)
    line = parse(text, separate_fec=True)
    assert line.parameters.fec_keys[0].material != line.keys[0].material
    assert parse(emit(line), separate_fec=True) == line


def test_session_parameter_twice() -> None:
    with pytest.raises(InvalidCrypto, match="twice"):
        parse(LINE + " KDR=1 KDR=2")


def test_keys_are_not_shown() -> None:
    """H3: neither repr nor refusals hold the key."""
    line = parse(LINE)
    for secret in ("PS1u", "=-n@", str(line.keys[0].material)):
        assert secret not in repr(line)
    for broken in (LINE + "QQQQ", LINE + "|2^99", LINE.replace("inline:", "")):
        with pytest.raises(InvalidCrypto) as caught:
            parse(broken)
        assert "PS1u" not in str(caught.value)


SUITE = st.sampled_from([(spelling, suite) for suite in suites.SUITES for spelling in suite.spellings])
PARAMETERS = st.builds(
    Parameters,
    kdr_log2=st.integers(0, 24),
    unencrypted_srtp=st.booleans(),
    unencrypted_srtcp=st.booleans(),
    unauthenticated_srtp=st.booleans(),
    fec_order=st.sampled_from(["", "FEC_SRTP", "SRTP_FEC"]),
    window=st.sampled_from([0, 64, 128, 1000]),
    extensions=st.sampled_from([(), ("-x",), ("-vendor=1", "-y=z")]),
)


@st.composite
def lines(draw: st.DrawFn) -> Crypto:
    spelling, suite = draw(SUITE)
    count = draw(st.integers(1, 4))
    octets = draw(st.integers(1, 128))
    numbers = draw(st.lists(st.integers(1, min(256**octets - 1, 2**64)), min_size=count, max_size=count, unique=True))
    size = st.binary(min_size=suite.master_octets, max_size=suite.master_octets)
    materials = draw(st.lists(size, min_size=count, max_size=count, unique=True))
    lifetime = draw(st.integers(0, suite.max_rtp_lifetime))
    keys = tuple(
        InlineKey(material, lifetime, number.to_bytes(octets, "big"))
        for material, number in zip(materials, numbers, strict=True)
    )
    return Crypto(draw(st.integers(0, 999_999_999)), spelling, suite, keys, draw(PARAMETERS))


@given(lines(), st.booleans())
def test_whatever_is_written_is_read_back(line: Crypto, pad: bool) -> None:
    """C01: every line of the grammar parses and re-serialises."""
    assert parse(emit(line, pad=pad)) == line


@given(st.text(max_size=120))
def test_fuzz_text(text: str) -> None:
    """C01: any text is a line or InvalidCrypto."""
    for value in (text, "1 AES_CM_128_HMAC_SHA1_80 " + text, LINE + text, LINE + " " + text):
        with contextlib.suppress(InvalidCrypto):
            parse(value)


@given(st.sampled_from(CASES), st.integers(0, 300), st.characters())
def test_fuzz_cases_with_one_character_changed(case: dict[str, Any], at: int, character: str) -> None:
    text = case["line"].removeprefix("a=crypto:")
    at %= len(text)
    try:
        line = parse(text[:at] + character + text[at + 1 :])
    except InvalidCrypto:
        return
    assert parse(emit(line)) == line
