"""SIPp as one side of a call: fills in a scenario, runs it in a private directory, reads back what went over the wire.

Used by `srtpgw demo` and by the system tests. Message traces hold SDES keys: the directory is private and the caller's
to remove.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
_BANNER = re.compile(r"^-{20,} (\S+ \S+)\n(?:UDP|TCP) message (sent|received)[^\n]*\n\n", re.MULTILINE)


@dataclass(frozen=True)
class Message:
    """One SIP message of a trace."""

    sent: bool
    text: str
    when: datetime

    @property
    def start_line(self) -> str:
        return self.text.split("\n", 1)[0].strip()

    @property
    def body(self) -> str:
        return self.text.partition("\n\n")[2]

    def header(self, name: str) -> str:
        """First header field of this name, empty when absent."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        return re.findall(rf"^{re.escape(name)}\s*:\s*(.*?)\s*$", self.text, re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Side:
    """One SIPp: its scenario (file in SCENARIOS or a path), addresses, and what fills the scenario's @names@."""

    scenario: Path | str
    local: str
    port: int
    media: str
    media_ports: Sequence[int]  # written into the SDP, one per call; SIPp itself opens none of them
    remote: str = ""  # "host:port"; empty: waits for calls
    calls: int = 1
    rate: int = 10
    length_ms: int = 0
    timeout_s: int = 30
    values: Mapping[str, str] | None = None
    keys: Mapping[str, str] | None = None
    transport: str = "u1"
    extra: Sequence[str] = ()


def available() -> bool:
    return shutil.which("sipp") is not None


def command(side: Side, directory: Path) -> list[str]:
    """Write the filled-in scenario into `directory` (made private); the words that run it there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = SCENARIOS / side.scenario if isinstance(side.scenario, str) else side.scenario
    text = source.read_text()
    for name, value in (side.values or {}).items():
        text = text.replace(f"@{name}@", value)
    scenario = directory / "scenario.xml"
    scenario.touch(mode=0o600)
    scenario.write_text(text)
    (directory / "ports.csv").write_text("\n".join(["SEQUENTIAL", *(f"{port};" for port in side.media_ports)]) + "\n")
    words = ["sipp", "-sf", str(scenario), "-i", side.local, "-p", str(side.port), "-t", side.transport]
    words += [
        "-inf",
        str(directory / "ports.csv"),
        "-mi",
        side.media,
        "-mp",
        str(_unused_port()),
        "-m",
        str(side.calls),
        "-l",
        str(side.calls),
    ]
    words += ["-r", str(side.rate), "-d", str(side.length_ms), "-nostdin", "-timeout", f"{side.timeout_s}s"]
    words += ["-timeout_error", "-trace_msg", "-message_file", str(directory / "messages.log")]
    words += ["-trace_err", "-error_file", str(directory / "errors.log")]
    for name, value in (side.keys or {}).items():
        words += ["-key", name, value]
    return [*words, *side.extra, *([side.remote] if side.remote else [])]


def _unused_port() -> int:
    """SIPp opens a media port whether it plays media or not; it must not be one that somebody else needs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port & ~3


def trace(directory: Path) -> list[Message]:
    """Messages so far, in order. An incomplete last one is left out."""
    path = directory / "messages.log"
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    banners = list(_BANNER.finditer(text))
    ends = [*(banner.start() for banner in banners[1:]), len(text)]
    found = [
        Message(banner[2] == "sent", text[banner.end() : end], datetime.fromisoformat(banner[1]))
        for banner, end in zip(banners, ends, strict=False)
    ]
    return [message for message in found if _complete(message)]


def find(messages: Sequence[Message], start: str, *, sent: bool, body: bool = False) -> Message | None:
    """The first message of that direction whose start line begins with `start` (and that has a body, if asked)."""
    return next(
        (m for m in messages if m.sent == sent and m.start_line.startswith(start) and (not body or m.body.strip())),
        None,
    )


def _complete(message: Message) -> bool:
    length = message.header("Content-Length")
    if not length.isdigit() or "\n\n" not in message.text:
        return False
    octets = len(message.body.encode()) + message.body.count("\n")  # the trace's CRLFs were folded above
    return octets >= int(length)
