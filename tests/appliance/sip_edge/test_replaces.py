"""Dialogs that are named in another one, as strings (row K04; RFC 3891)."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.rules import replaces
from appliance.sip_edge.ksr.rules.masking import Mask
from appliance.sip_edge.ksr.rules.replaces import Replaced

pytestmark = pytest.mark.row("K04")

NOW, EARLIER = Mask("of now"), Mask("of before")
MASKS = (NOW, EARLIER)
PLAIN = "a1@10.0.0.1"


def under(mask: Mask) -> str:
    return f"{mask.call_id}{mask.encode(PLAIN)}"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a@b;to-tag=1;from-tag=2", Replaced("a@b", "1", "2")),
        ("a@b ; From-Tag=2; early-only ;to-tag = 1", Replaced("a@b", "1", "2")),
        ("a@b;to-tag=1", None),
        ("a@b;to-tag=;from-tag=2", None),
        (";to-tag=1;from-tag=2", None),
        ("", None),
    ],
)
def test_read(value: str, wanted: Replaced | None) -> None:
    assert replaces.read(value) == wanted


def test_both_names() -> None:
    assert replaces.bare(under(NOW), MASKS) == replaces.bare(under(EARLIER), MASKS) == PLAIN
    assert replaces.bare(PLAIN, MASKS) == PLAIN
    assert replaces.bare(f"{NOW.call_id}no mask!", MASKS) == f"{NOW.call_id}no mask!"
    assert replaces.masked(PLAIN, MASKS) == under(NOW)
    assert replaces.other_side(f"{PLAIN};to-tag=1;x", MASKS) == f"{under(NOW)};to-tag=1;x"
    assert replaces.other_side(f"{under(EARLIER)};to-tag=1", MASKS) == f"{PLAIN};to-tag=1"


@pytest.mark.parametrize("masks", [MASKS, ()])
def test_in_a_refer_to(masks: tuple[Mask, ...]) -> None:
    """Escapes and all else stay; the address in a dialog's name is no address to clean."""
    value = "<sip:bob@10.0.0.2?Subject=x&replaces=a1%4010.0.0.1%3Bto-tag%3D1&Y=10.0.0.2>;p=1"
    changed = replaces.in_refer_to(value, masks, lambda text: text.replace("10.0.0.2", "192.0.2.1"))
    name = f"{under(NOW)}%3Bto-tag%3D1" if masks else "a1%4010.0.0.1%3Bto-tag%3D1"
    assert changed == f"<sip:bob@192.0.2.1?Subject=x&replaces={name}&Y=192.0.2.1>;p=1"
    assert replaces.in_refer_to("<sip:bob@10.0.0.2>", masks, str.upper) == "<SIP:BOB@10.0.0.2>"
