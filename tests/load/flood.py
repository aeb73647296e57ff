"""A flood of seven methods from forged sources, beside calls of good ones: memory, and who is still answered."""

from __future__ import annotations

import random
import re
import secrets
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from tests.load import stacks
from tests.system.kamailio_rig import Edge, Phone, counted, running

METHODS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "ACK")
PORT = 28640
GOOD_A_SECOND = 20
GOOD_SOURCE = "127.0.8.8"


def run(place: Path, seconds: int, rate: int, sources: int) -> str:
    """`rate` datagrams a second from so many addresses; good requests all the while."""
    trunk = {"name": "good", "match": [f"{GOOD_SOURCE}/32"], "destination": "sip:127.0.0.3:28649"}
    with running(place, PORT, trunks=[trunk]) as edge:
        time.sleep(2)
        before = _memory(edge)
        words = [sys.executable, "-m", "tests.load.flood", str(seconds), str(rate), str(sources)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as attacker:
            asked = answered = 0
            limit = time.monotonic() + seconds
            with Phone(PORT, GOOD_SOURCE) as phone:
                while time.monotonic() < limit:
                    began = time.monotonic()
                    asked += 1
                    answered += phone.ask(phone.request(), patience=0.5).startswith("SIP/2.0 200")
                    time.sleep(max(0.0, 1 / GOOD_A_SECOND - (time.monotonic() - began)))
            sent = attacker.communicate()[0].strip()
        time.sleep(6)  # pike forgets
        after = _memory(edge)
        rules = {rule: counted(edge, rule) for rule in ("flood_banned", "flood_detected", "flood_still", "overload",
                                                        "no_trunk", "no_registrar", "unknown_dialog")}  # fmt: skip
        return (
            f"{sent} datagrams of {len(METHODS)} methods from {sources} sources in {seconds} s\n"
            f"good: {answered} of {asked} answered ({answered / asked:.2%})\n"
            f"resident memory {before[0]} -> {after[0]} KiB; shared memory in use {before[1]} -> {after[1]} KiB\n"
            f"decisions: {rules}"
        )


def _memory(edge: Edge) -> tuple[int, int]:
    """Of Kamailio, KiB: private and proportional shares of all processes; shared memory in use."""
    total = 0
    for one in edge.rpc("core.psx"):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one['PID']}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total, int(edge.rpc("core.shmmem")["used"]) // 1024


def attack(seconds: int, rate: int, sources: int) -> int:
    """Forge sources of 127.16.0.0/12 (raw sockets: root); how many were sent."""
    sent, limit = 0, time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        began = time.monotonic()
        while time.monotonic() < limit:
            behind = int((time.monotonic() - began) * rate) - sent
            for _ in range(min(behind, 200)):
                source = 0x7F100000 + random.randrange(sources)
                raw.sendto(_datagram(source, random.choice(METHODS)), (stacks.HOST, 0))
                sent += 1
            time.sleep(0.002)
    return sent


def _datagram(source: int, method: str) -> bytes:
    """IPv4 and UDP headers (RFC 791, RFC 768; the kernel fills in the IP checksum, UDP has none) and a request."""
    host = socket.inet_ntoa(struct.pack("!I", source))
    tag = ";tag=x" if method in ("BYE", "ACK") else ""
    body = (
        f"{method} sip:1000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@{host}>;tag=1\r\nTo: <sip:1000@127.0.0.1>{tag}\r\n"
        f"Call-ID: {secrets.token_hex(6)}\r\nCSeq: 1 {method}\r\nContact: <sip:a@{host}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    udp = struct.pack("!HHHH", 5060, PORT, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,
                       struct.pack("!I", source), socket.inet_aton(stacks.HOST))  # fmt: skip
    return head + udp


if __name__ == "__main__":
    print(attack(*map(int, sys.argv[1:4])))
