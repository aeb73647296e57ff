"""Short SDPs and a driver for negotiation tests: two peers, the gateway between, addresses and ports fixed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from appliance.calls.media import LocalCertificate, LocalPorts, StreamPlacement
from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.calls.negotiation_dtls import Certificates
from appliance.policy.options import MediaOptions
from appliance.protocols.sdes.crypto import Crypto, InlineKey, emit, parse
from appliance.protocols.sdp.description import Description
from appliance.protocols.sdp.parse import parse as parse_sdp
from appliance.protocols.srtp import suites

ALICE, BOB = "198.51.100.1", "203.0.113.1"
GATE_A, GATE_B = "192.0.2.10", "192.0.2.20"


def counting() -> Callable[[int], bytes]:
    """A random source whose octets never repeat and are the same in every run."""
    counter = itertools.count(1)
    return lambda octets: next(counter).to_bytes(octets, "big")


class Pool:
    """Certificates in order of asking: fresh ones are all different, named ones stay."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def __call__(self, name: str | None) -> LocalCertificate:
        self.asked.append(name)
        text = f"fresh {len(self.asked)}" if name is None else name or "the gateway's"
        return LocalCertificate(text.encode(), b"the key of " + text.encode())


def options(**wishes: Any) -> MediaOptions:
    """Options with protected signalling on both sides."""
    return MediaOptions(signalling_secure=True, signalling_secure_out=True, **wishes)


def key(name: str, octet: int = 0x41) -> InlineKey:
    suite = suites.find(name)
    assert suite is not None
    return InlineKey(bytes([octet]) * suite.master_octets)


def crypto(tag: int, name: str, octet: int = 0x41, extra: str = "") -> str:
    """An a=crypto line of a peer's."""
    return "a=crypto:" + emit(Crypto(tag, name, suites.find(name), (key(name, octet),))) + extra


def media(port: int, proto: str, *lines: str, kind: str = "audio", formats: str = "8 0") -> list[str]:
    return [f"m={kind} {port} {proto} {formats}", *lines]


def sdp(host: str, *sections: Sequence[str], session: Sequence[str] = (), version: int = 1) -> bytes:
    lines = ["v=0", f"o=peer 77 {version} IN IP4 {host}", "s=call", f"c=IN IP4 {host}", "t=0 0", *session]
    for section in sections:
        lines += section
    return "".join(f"{line}\r\n" for line in lines).encode()


def placement(line: int = 0) -> StreamPlacement:
    base = 30000 + 10 * line
    return StreamPlacement(0, LocalPorts(GATE_A, base, base + 1), LocalPorts(GATE_B, base + 2, base + 3))


class Call:
    """One call: `offer` and `answer` hand SDPs in and keep what comes out."""

    def __init__(self, random: Callable[[int], bytes] | None = None, certificates: Certificates | None = None) -> None:
        self.negotiation = Negotiation(random or counting(), certificates)
        self.placed: dict[int, StreamPlacement] = {}

    def offer(self, text: bytes, wishes: MediaOptions | None = None, tag: str = "alice") -> Negotiated:
        plan = self.negotiation.read_offer(text, wishes or options(), tag)
        ports = [self.placed.setdefault(need.line, placement(need.line)) for need in plan.streams]
        return self.negotiation.write_offer(plan, ports)

    def answer(self, text: bytes, wishes: MediaOptions | None = None, tag: str = "bob") -> Negotiated:
        return self.negotiation.answer(text, wishes or options(), to_tag=tag)


def read(text: bytes) -> Description:
    return parse_sdp(text)


def cryptos(text: bytes, at: int = 0) -> list[Crypto]:
    """The crypto lines of an m-line."""
    return [parse(value) for value in read(text).media[at].attributes("crypto")]


def answering(
    offer: bytes, *accept: str, host: str = BOB, octet: int = 0x62, tag: int = 0, extra: Sequence[str] = ()
) -> bytes:
    """Bob's answer to our offer: the first line whose suite is in `accept` (or the one of `tag`, or the first line)."""
    sections = []
    for at, section in enumerate(read(offer).media):
        line = section.media
        if not line.port:
            sections.append([f"m={line}"])
            continue
        body = media(4000 + 2 * at, line.proto, *extra, kind=line.kind, formats=line.formats[0])
        lines = [parse(value) for value in section.attributes("crypto")]
        wanted = {suites.find(name) for name in accept}
        lines = [one for one in lines if (one.tag == tag if tag else one.suite in wanted if accept else True)]
        if lines:
            body.append(crypto(lines[0].tag, lines[0].spelling, octet + at))
        sections.append(body)
    return sdp(host, *sections)


def origin(text: bytes) -> tuple[str, int]:
    found = re.search(rb"\r\no=\S+ (\S+) (\S+) IN", text)
    assert found
    return found[1].decode(), int(found[2])
