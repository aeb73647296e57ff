"""Placing calls in the lab with SIPp, and reading what both ends saw."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.protocols.srtp import suites
from appliance.sip_edge import sipp
from tests.system import lab as labs

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
SIP, MEDIA = 5060, 20000


@dataclass
class Call:
    """A caller in access, a callee in core (or none: ""). Directories hold the traces (and with them keys).

    A scenario may use @inline@ (its side's key of `suite`)."""

    lab: labs.Lab
    suite: str = "AES_CM_128_HMAC_SHA1_80"
    caller: Path | str = "caller.xml"
    callee: Path | str = "callee.xml"
    length_ms: int = 500
    calls: int = 1
    rate: int = 10
    timeout_s: int = 20
    here: str = labs.ADDRESS["access"]  # the caller's address
    there: str = labs.ADDRESS["core"]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        row = suites.find(self.suite)
        assert row is not None
        self.key, self.caller_key = (os.urandom(row.master_octets) for _ in range(2))
        self.place = self.lab.directory / f"call-{os.urandom(4).hex()}"

    @property
    def callee_place(self) -> Path:
        return self.place / "callee"

    @property
    def caller_place(self) -> Path:
        return self.place / "caller"

    def start(self) -> Call:
        self.place.mkdir(mode=0o700)
        keys = (base64.b64encode(key).decode() for key in (self.key, self.caller_key))
        own, callers = ({"suites": self.suite, "inline": key} for key in keys)
        ports = [MEDIA + 4 * place for place in range(self.calls)]
        common = sipp.Side("", "", SIP, "", ports, calls=self.calls, rate=self.rate, timeout_s=self.timeout_s)
        callee = replace(common, scenario=self.callee, local=self.there, media=self.there, values=own)
        caller = replace(common, scenario=self.caller, local=self.here, media=self.here, values=callers,
                         length_ms=self.length_ms, remote=f"{labs.GATEWAY['access']}:{SIP}",
                         keys={"number": "9999999999"})  # fmt: skip
        if self.callee:
            self._run("core", callee, self.callee_place)
            labs.wait_for(lambda: listening("core", SIP, self.there), 5, "the callee's SIPp did not start")
        self._run("access", caller, self.caller_place)
        return self

    def finish(self) -> Call:
        """Both SIPps end by themselves, without a failed call."""
        for name, process in self.processes.items():
            status = process.wait(self.timeout_s + 10)
            assert status == 0, f"{name}: {self.errors(name)}"
        return self

    def place_call(self) -> Call:
        return self.start().finish()

    def errors(self, name: str) -> str:
        path = self.place / name / "errors.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "SIPp gave no reason"

    def wait_answered(self) -> Call:
        """Until the caller has its 200 with SDP."""
        labs.wait_for(lambda: sipp.find(self.at_caller(), "SIP/2.0 200", sent=False, body=True), 10,
                      f"not answered: {self.errors('caller')}")  # fmt: skip
        return self

    def at_caller(self) -> list[sipp.Message]:
        return sipp.trace(self.caller_place)

    def at_callee(self) -> list[sipp.Message]:
        return sipp.trace(self.callee_place)

    def invite_at_callee(self) -> sipp.Message:
        found = sipp.find(self.at_callee(), "INVITE", sent=False, body=True)
        assert found is not None
        return found

    def answer_at_caller(self) -> sipp.Message:
        found = sipp.find(self.at_caller(), "SIP/2.0 200", sent=False, body=True)
        assert found is not None
        return found

    def _run(self, role: str, side: sipp.Side, place: Path) -> None:
        words = sipp.command(side, place)
        name = os.path.relpath(place, self.lab.directory)
        self.processes[place.name] = self.lab.start(role, words, f"{name}/screen.log", cwd=place)


def listening(role: str, port: int, address: str = "") -> bool:
    """Whether a UDP socket is bound to `port` inside the namespace (at `address`)."""
    which = f"src {address}:{port}" if address else f"sport = :{port}"
    done = subprocess.run(["ip", "netns", "exec", labs.name(role), "ss", "-Hlnu", which],
                          capture_output=True, text=True, check=False, timeout=10)  # fmt: skip
    return bool(done.stdout.strip())
