"""The demonstration call over SIP: two SIPp processes, one on each side of the gateway."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from appliance.demo.established import CallFailed, Established, offered_spelling, read_sdp
from appliance.demo.media import LocalPorts
from appliance.demo.route import Route
from appliance.protocols.srtp.suites import Suite
from appliance.sip_edge import sipp

T = TypeVar("T")
SETUP_S = 8.0
NUMBER = "9999999999"


@contextlib.contextmanager
def place(route: Route, suite: Suite, caller: LocalPorts, callee: LocalPorts, seconds: float) -> Iterator[Established]:
    """A call that is up inside the `with` block and is ended by BYE after `seconds`. CallFailed."""
    key = os.urandom(suite.master_octets)
    with tempfile.TemporaryDirectory(prefix="srtpgw-demo-") as folder:  # private: the traces hold keys
        place = Path(folder)
        sides = _sides(route, suite, caller, callee, key, seconds)
        with _running(sides[1], place / "callee") as answering:
            _wait(lambda: _bound(route.callee.port), "the callee's SIPp did not start", answering, place / "callee")
            with _running(sides[0], place / "caller") as calling:
                yield _established(place, suite, key, calling)
                _finish(calling, place / "caller")
                _finish(answering, place / "callee")


def _sides(
    route: Route, suite: Suite, caller: LocalPorts, callee: LocalPorts, key: bytes, seconds: float
) -> tuple[sipp.Side, sipp.Side]:
    values = {"suites": "|".join(suite.spellings), "inline": base64.b64encode(key).decode()}
    timeout = int(SETUP_S + seconds + 10)
    answering = sipp.Side("callee.xml", route.callee.host, route.callee.port, callee.host, [callee.rtp],
                          values=values, timeout_s=timeout)  # fmt: skip
    calling = replace(
        answering, scenario="caller.xml", local=route.caller, port=0, media=caller.host, media_ports=[caller.rtp],
        remote=str(route.sip), values=None, keys={"number": NUMBER}, length_ms=int((seconds + 2.0) * 1000),
    )  # fmt: skip
    return calling, answering


def _established(place: Path, suite: Suite, key: bytes, calling: subprocess.Popen[bytes]) -> Established:
    answered = _wait(lambda: _answer(place), "the call was not answered", calling, place / "caller")
    messages = sipp.trace(place / "caller")
    offer = sipp.find(sipp.trace(place / "callee"), "INVITE", sent=False, body=True)
    if offer is None:
        raise CallFailed("the callee saw no offer")
    at_callee = read_sdp(offer.body)
    spelling = offered_spelling(at_callee, suite)
    setup = (answered.when - messages[0].when).total_seconds() * 1000
    return Established(read_sdp(answered.body), at_callee, suite, at_callee.keys[spelling], key, setup)


def _answer(place: Path) -> sipp.Message | None:
    messages = sipp.trace(place / "caller")
    refusal = next((m for m in messages if not m.sent and m.start_line[8:9] in "456" and m.start_line[8:9]), None)
    if refusal is not None:
        offer = sipp.find(sipp.trace(place / "callee"), "INVITE", sent=False, body=True)
        offered = f"; offered were {', '.join(read_sdp(offer.body).keys)}" if offer else ""
        raise CallFailed(f"the call was refused: {refusal.start_line}{offered}")
    return sipp.find(messages, "SIP/2.0 200", sent=False, body=True)


@contextlib.contextmanager
def _running(side: sipp.Side, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = sipp.command(side, folder)
    with (folder / "screen.log").open("wb") as output:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
        if process.poll() is None:
            process.kill()
            process.wait(2)


def _finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    try:
        status = process.wait(15)
    except subprocess.TimeoutExpired:
        raise CallFailed(f"the call did not end: {_errors(folder)}") from None
    if status != 0:
        raise CallFailed(f"the call did not end in order: {_errors(folder)}")


def _wait(what: Callable[[], T | None], message: str, process: subprocess.Popen[bytes], folder: Path) -> T:
    limit = time.monotonic() + SETUP_S
    while True:
        value = what()
        if value:
            return value
        if process.poll() is not None or time.monotonic() > limit:
            raise CallFailed(f"{message}: {_errors(folder)}")
        time.sleep(0.05)


def _bound(port: int) -> bool:
    """Whether some UDP socket of this host has `port`."""
    wanted = f":{port:04X}"
    tables = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(line.split()[1].endswith(wanted) for line in lines)


def _errors(folder: Path) -> str:
    """What SIPp complained of last, without message bodies (they hold keys)."""
    path = folder / "errors.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = [line.split("\t")[-1] for line in text.splitlines() if line[:4].isdigit()]
    return lines[-1][:300] if lines else "no reason given"
