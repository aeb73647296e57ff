"""No key in a log, whatever name or line it hides in; and what is no key stays readable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telemetry.mask import MASK, mask_secrets, mask_text

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


def _masked(**fields: Any) -> dict[str, Any]:
    return dict(mask_secrets(None, "info", fields))


@pytest.mark.parametrize(
    "text",
    [
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE: {KEY}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}=;inline:{KEY}|2^31|2:4",
        f"v=0\r\nm=audio 1 RTP/SAVP 0\r\na=crypto:2 F8_128_HMAC_SHA1_80 inline:{KEY}\r\na=sendrecv\r\n",
        f"b'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\\r\\n'",
        f"a=crypto:1 AES_CM_192_HMAC_SHA1_80 {KEY}",  # trap 8: the malformed line of the reference
        f"a=key-mgmt:mikey {KEY}",
        f"k=base64:{KEY}",
        f"v=0\nk=clear:{KEY}\n",
        f"-----BEGIN EC PRIVATE KEY-----\n{KEY}\n-----END EC PRIVATE KEY-----",
    ],
)
def test_lines_that_carry_keys(text: str) -> None:
    assert KEY not in mask_text(text)
    assert MASK in mask_text(text)


def test_what_surrounds_a_key_stays() -> None:
    line = f"a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 UNENCRYPTED_SRTCP\r\na=ptime:20"
    assert mask_text(line) == "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:*** UNENCRYPTED_SRTCP\r\na=ptime:20"


@pytest.mark.parametrize(
    "name",
    ["key", "keys", "master_key", "MasterKey.key", "salt", "tls-key", "password", "secret", "psk", "access_token"],
)  # fmt: skip
def test_fields_named_like_keys(name: str) -> None:
    for value in (KEY, KEY.encode(), [KEY], {"x": KEY}, 123456):
        assert _masked(**{name: value}) == {name: MASK}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key_method", "sdes"), ("key_octets", 16), ("monkey", "banana"), ("keyframe", 1), ("from_tag", "a1"),
        ("call", "a84b4c76e66710@pc33"), ("event", "offer answered"), ("password", None),
    ],
)  # fmt: skip
def test_what_is_no_key_stays(name: str, value: Any) -> None:
    assert _masked(**{name: value}) == {name: value}


def test_deep_and_binary_values() -> None:
    found = str(_masked(request={"legs": [{"sdp": f"inline:{KEY}"}, {"master_key": KEY}]}, data=KEY.encode()))
    assert KEY not in found
    assert f"<{len(KEY)} octets>" in found


def test_endless_nesting_is_cut() -> None:
    value: Any = KEY
    for _ in range(50):
        value = [value]
    assert KEY not in str(_masked(value=value))


@given(st.text("abAB +/=|:;\r\n", max_size=20), st.sampled_from(["", "=", "==", "|2^20", "|1:4", ";x", " X", "\r\n"]))
def test_property_no_inline_key_survives(before: str, after: str) -> None:
    assert KEY not in mask_text(f"{before} inline:{KEY}{after}")
