"""Requests for a whole picture (A22, G02)."""

from __future__ import annotations

import pytest

from appliance.protocols.rtcp import pictures


@pytest.mark.row("A22", "G02")
@pytest.mark.parametrize(
    ("body", "asks"),
    [
        (b"<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive>", True),
        (b"<picture_fast_update>\r\n</picture_fast_update>", True),
        (b"<m:picture_fast_update />", True),
        (b"<media_control><vc_primitive><to_encoder><picture_freeze/></to_encoder>", False),
        (b"picture_fast_update", False),
        (b"<" * 100_000 + b"<picture_fast_update/>", False),
        (b"\xff\x00<", False),
        (b"", False),
    ],
)
def test_what_phones_write(body: bytes, asks: bool) -> None:
    """RFC 5168 section 4, whatever else a body holds."""
    assert pictures.asks_for_picture(body) is asks


@pytest.mark.row("A22", "G02")
def test_picture_loss_indication() -> None:
    """RFC 4585 section 6.3.1, behind an empty receiver report of the same SSRC."""
    assert pictures.picture_loss(0x01020304, 0x0A0B0C0D).hex() == "80c9000101020304" + "81ce0002010203040a0b0c0d"
