"""Row G12 end to end: a phone's RTCP report and its VoIP metrics pass, and are shown."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

from tests.appliance.processes import Phone, machine, media_port, rtp

NG = 42380
MUX = "a=rtcp-mux\r\na=rtcp-xr:voip-metrics\r\n"
VOICE = 0x11223344
METRICS = bytes.fromhex("11223344 0d 04 80 10 003c 1388 0054 000c ec b0 37 10 5d 7f 2b 2a 30 00 0028 003c 0078")


def sender_report() -> bytes:
    return struct.pack(">BBHIQIII", 0x80, 200, 6, VOICE, 0x12345678 << 16, 160, 1, 160)


def answer() -> bytes:
    """Receiver report on it, and the metrics of the phone."""
    report = struct.pack(">BBHIIIIIII", 0x81, 201, 7, 9, VOICE, 26 << 24 | 4, 1, 33, 0x12345678, 0)
    return report + struct.pack(">BBHIBBH", 0x80, 207, 10, 9, 7, 0, 8) + METRICS


def show(run: Path, call_id: str, *options: str) -> str:
    words = [sys.executable, "-m", "appliance.cli.main", "calls", "show", call_id, *options,
             "--socket", str(run / "control.sock")]  # fmt: skip
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout


def test_what_a_phone_reports(tmp_path: Path) -> None:
    with machine(tmp_path, NG, (42382, 42399), calls=5) as (built, ng):
        alice, bob = Phone(), Phone()
        offered = ng.ask("offer", call_id="c", from_tag="a", sdp=alice.sdp(crypto=MUX), rtcp_mux=["offer", "accept"])
        assert "a=rtcp-xr:voip-metrics" in offered["sdp"]  # XR passes, so what the phones can do does
        answered = ng.ask("answer", call_id="c", from_tag="a", to_tag="b", sdp=bob.sdp(crypto=MUX))
        assert "a=rtcp-xr:voip-metrics" in answered["sdp"]
        to_alice, to_bob = media_port(answered["sdp"]), media_port(offered["sdp"])
        alice.send(rtp(1), to_alice)
        assert bob.receive() == rtp(1)
        alice.send(sender_report(), to_alice)
        assert bob.receive() == sender_report()
        bob.send(answer(), to_bob)
        assert alice.receive() == answer()

        text = show(built.run, "c")
        row = next(line for line in text.splitlines() if " 4.3/4.2 " in line).split()
        assert row[2] == "b" and row[5:8] == ["10.2", "4", "33"]
        leg = json.loads(show(built.run, "c", "--json"))["streams"][0]["b"]
        assert leg["report"]["lost_packets"] == "4" and 0 < leg["report"]["round_trip_ms"] < 2000
        assert leg["report"]["jitter_ms"] == 33 / 8  # PCMU has 8 units in a millisecond
        assert leg["voip_metrics"]["r_factor"] == 93
        assert "Traceback" not in built.log
        alice.close()
        bob.close()
