"""Next hops that are names (P11, J01)."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.load import examine

TEXT = """
[sip]
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "tcp:127.0.0.2:5060"]
[[trunks]]
name = "pbx"
match = ["127.0.0.3/32"]
destination = "sip:{to}"
[[trunks]]
name = "carrier"
match = ["127.0.0.4/32"]
destination = "sip:127.0.0.3"
uri = "sip:SBC.example.net;transport=tcp"
{more}
"""
LEAVES = "trunks[0].destination: calls to sbc.example.net leave by tcp:127.0.0.1:5060"
NOBODY = "trunks[0].destination: no trunk has other.example.net in its uri: calls go there in plain RTP, "
NOBODY += "by the default interface"


@pytest.mark.row("P11", "J01")
@pytest.mark.parametrize(
    ("to", "more", "wanted"),
    [
        ("sbc.example.net;transport=tcp", "", LEAVES),
        ("sbc.example.net.;Transport=TCP", "", LEAVES.replace(".net ", ".net. ")),
        ("sbc.example.net;transport=tcp", 'listen = "tcp:127.0.0.2:5060"', ""),
        ("sbc.example.net;transport=tcp", 'sockets = ["tcp:127.0.0.2:5060"]', ""),
        ("sbc.example.net", "", ""),  # over UDP the kernel's route decides
        ("other.example.net", "", NOBODY),
        ("127.0.0.9", "", ""),
        ("[::1]", "", ""),
    ],
)
def test_names(tmp_path: Path, to: str, more: str, wanted: str) -> None:
    file = tmp_path / "srtpgw.toml"
    file.write_text(TEXT.format(to=to, more=more))
    said = [f"{one.key}: {one.message}" for one in examine([file], environment={}).faults]
    assert [line for line in said if "destination" in line] == ([wanted] if wanted else [])
