"""What a callee is told of who calls (row I06)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.ksr.rules.identity import Told, header

PAI = '"Alice" <sip:alice@example.org>'
RPID = '"Alice" <sip:alice@example.org>;party=calling;screen=yes;privacy=off'


@pytest.mark.parametrize(
    ("told", "form", "line"),
    [
        (Told(pai=PAI), "pai", f"P-Asserted-Identity: {PAI}"),
        (Told(pai=PAI), "rpid", f"Remote-Party-ID: {PAI};party=calling;screen=yes;privacy=off"),
        (Told(rpid=RPID), "pai", f"P-Asserted-Identity: {PAI}"),
        (Told(pai="sip:alice@example.org;x=y"), "pai", "P-Asserted-Identity: <sip:alice@example.org>"),
        (Told(pai=PAI), "none", ""),
        (Told(pai=PAI, privacy="id"), "pai", ""),
        (Told(pai=PAI, privacy="header; user"), "pai", ""),
        (Told(pai=PAI, privacy="none"), "pai", f"P-Asserted-Identity: {PAI}"),
        (Told(rpid=RPID.replace("off", "full")), "rpid", ""),
        (Told(), "pai", ""),
    ],
)
def test_translation_and_privacy(told: Told, form: str, line: str) -> None:
    """I06."""
    assert header(told, trusted=True, form=form) == line
    assert header(told, trusted=False, form=form) == ""


@given(st.text(max_size=200), st.sampled_from(["pai", "rpid"]))
def test_whatever_arrives_is_one_header_line(text: str, form: str) -> None:
    assert "\n" not in header(Told(pai=text, rpid=text), trusted=True, form=form)
