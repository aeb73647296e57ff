"""Who is behind NAT (row K09)."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.rules.nat import unreachable


@pytest.mark.parametrize(
    ("contact", "source", "behind"),
    [
        ("192.168.1.5", "203.0.113.7", True), ("10.0.0.5", "10.0.0.9", False), ("203.0.113.9", "203.0.113.7", False),
        ("100.64.0.1", "203.0.113.7", True), ("fd00::5", "2001:db8::7", True), ("fd00::5", "fd00::9", False),
        ("phone.example", "203.0.113.7", False), ("", "203.0.113.7", False),
    ],
)  # fmt: skip
def test_private_contact_from_a_public_source(contact: str, source: str, behind: bool) -> None:
    """K09."""
    assert unreachable(contact, source) is behind
