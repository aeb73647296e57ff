"""A flood of seven methods from forged sources, beside calls of good ones: memory, and who is still answered."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from tests.system.forged import forger
from tests.system.kamailio_rig import Edge, Phone, counted, running

METHODS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "ACK")
PORT = 28640
GOOD_A_SECOND = 20
GOOD_SOURCE = "127.0.8.8"
FORGED = IPv4Address("127.16.0.0")  # and up to a million more


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
    with forger(PORT) as forge:
        began = time.monotonic()
        while time.monotonic() < limit:
            behind = int((time.monotonic() - began) * rate) - sent
            for _ in range(min(behind, 200)):
                forge.send(FORGED + random.randrange(sources), random.choice(METHODS))
                sent += 1
            time.sleep(0.002)
    return sent


if __name__ == "__main__":
    print(attack(*map(int, sys.argv[1:4])))
