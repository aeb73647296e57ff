"""SIPp as a generator of many calls: no message traces, its own statistics read back."""

from __future__ import annotations

import base64
import csv
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.protocols.srtp.suites import find
from appliance.sip_edge.sipp import SCENARIOS

SUITE = "AES_CM_128_HMAC_SHA1_80"
CALLER, CALLEE = "127.0.0.2", "127.0.0.3"
RINGS_MS = 50
MEDIA_PORTS = 500  # that the SDP names, in turn; nobody opens them


@dataclass(frozen=True)
class Outcome:
    """Of one run."""

    offered: int
    good: int
    failed: int
    seconds: float
    retransmissions: int

    @property
    def rate(self) -> float:
        """Good calls a second."""
        return self.good / self.seconds if self.seconds else 0.0


@contextmanager
def callee(place: Path, port: int) -> Iterator[None]:
    """Answers every call with SRTP."""
    suite = find(SUITE)
    assert suite is not None
    text = (SCENARIOS / "callee.xml").read_text()
    text = text.replace("@suites@", "|".join(suite.spellings))
    text = text.replace("@inline@", base64.b64encode(os.urandom(suite.master_octets)).decode())
    # Two processes of a proxy may swap a 180 and a 200 sent at one moment, and SIPp then loses the route set.
    text = text.replace('<send retrans="500">', f'<pause milliseconds="{RINGS_MS}"/><send retrans="500">', 1)
    words = _command(place / "callee", text, CALLEE, port)
    with subprocess.Popen(words, cwd=place / "callee", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def calls(place: Path, target: str, rate: int, seconds: int, hold_ms: int, *, patience_s: int = 40) -> Outcome:
    """Offer `rate` calls a second for so long, each up for `hold_ms`, and wait for their ends."""
    folder = place / f"caller-{rate}"
    words = _command(folder, (SCENARIOS / "caller.xml").read_text(), CALLER, 0)
    words += ["-r", str(rate), "-m", str(rate * seconds), "-l", str(rate * (seconds + patience_s)), "-d", str(hold_ms),
              "-timeout", f"{seconds + patience_s}s", "-key", "number", "1000", "-trace_stat", "-fd", "1",
              "-stf", "stat.csv", "-recv_timeout", "32000", target]  # fmt: skip
    subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return _outcome(folder / "stat.csv", seconds)


def _command(folder: Path, scenario: str, local: str, port: int) -> list[str]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "scenario.xml").write_text(scenario)
    ports = [f"{20000 + 2 * number};" for number in range(MEDIA_PORTS)]
    (folder / "ports.csv").write_text("\n".join(["SEQUENTIAL", *ports]) + "\n")
    words = ["sipp", "-sf", "scenario.xml", "-inf", "ports.csv", "-i", local, "-t", "u1", "-mi", local, "-nostdin"]
    return [*words, "-mp", "19000", *(["-p", str(port)] if port else [])]


def _outcome(path: Path, seconds: int) -> Outcome:
    rows = list(csv.DictReader(path.read_text().splitlines(), delimiter=";"))
    last = rows[-1]
    good, failed = int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])
    return Outcome(int(last["TotalCallCreated"]), good, failed, float(seconds), int(last["Retransmissions(C)"]))
