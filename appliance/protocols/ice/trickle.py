"""`application/trickle-ice-sdpfrag` (RFC 8840 section 9): candidates that come after the SDP. Text to values and back.

Credentials and end-of-candidates before the first pseudo m-line hold for every section; candidates belong to the
section of their m-line. An `a=mid` without an m-line begins a section too: so the drafts had it, and so some write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from appliance.errors import InvalidSdp
from appliance.protocols.ice import candidate as candidates

CONTENT_TYPE = "application/trickle-ice-sdpfrag"
MAX_OCTETS = 65_536
MAX_LINES = 2_048
MAX_SECTIONS = 32  # as of an SDP's m-lines


@dataclass(frozen=True, slots=True)
class Section:
    """What is said of one m-line. `candidates`: values of a=candidate, not read yet."""

    mid: str = ""
    ufrag: str = ""  # of the generation meant; "": not said
    pwd: str = field(default="", repr=False)
    candidates: tuple[str, ...] = ()
    complete: bool = False  # a=end-of-candidates: no more will come
    index: int | None = None  # place of its m-line in this fragment, from 0; None: it has none


@dataclass(frozen=True, slots=True)
class Fragment:
    """One body. At least one section."""

    sections: tuple[Section, ...]


def parse(data: bytes) -> Fragment:
    """InvalidSdp and nothing else. Lines that are not about candidates mean nothing here."""
    if len(data) > MAX_OCTETS or b"\0" in data:
        raise InvalidSdp("SDP fragment: too long, or with a NUL octet", field="sdp")
    lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise InvalidSdp(f"SDP fragment: more than {MAX_LINES} lines", field="sdp")
    session, sections, at = Section(), [], 0
    current: Section | None = None
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if line[1:2] != "=":
            raise InvalidSdp(f"SDP fragment, line {number}: must be 'x=value'", field="sdp")
        name, _, value = line[2:].partition(":")
        begins = line[0] == "m" or (line[0] == "a" and name == "mid" and (current is None or bool(current.mid)))
        if begins:
            sections += [] if current is None else [current]
            current = Section(index=at if line[0] == "m" else None)
            at += line[0] == "m"
        if line[0] == "a":
            if current is None:
                session = _attribute(session, name, value.strip())
            else:
                current = _attribute(current, name, value.strip())
    sections += [] if current is None else [current]
    if len(sections) > MAX_SECTIONS:
        raise InvalidSdp(f"SDP fragment: more than {MAX_SECTIONS} sections", field="sdp")
    return Fragment(tuple(_inherited(section, session) for section in sections or [Section()]))


def emit(fragment: Fragment, kinds: Iterable[tuple[str, str, str]] = ()) -> bytes:
    """The body; `kinds`: media, protocol and a format of each section's pseudo m-line (audio by default)."""
    kinds, lines = list(kinds), []
    for at, section in enumerate(fragment.sections):
        kind, proto, payload = kinds[at] if at < len(kinds) else ("audio", "RTP/AVP", "0")
        lines.append(f"m={kind} 9 {proto} {payload}")
        lines += [f"a=mid:{section.mid}"] if section.mid else []
        lines += [f"a=ice-ufrag:{section.ufrag}", f"a=ice-pwd:{section.pwd}"] if section.ufrag else []
        lines += [f"a=candidate:{value}" for value in section.candidates]
        lines += ["a=end-of-candidates"] if section.complete else []
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _attribute(section: Section, name: str, value: str) -> Section:
    if name == "candidate" and len(section.candidates) < candidates.MOST and len(value) <= candidates.LONGEST:
        return replace(section, candidates=(*section.candidates, value))
    if name == "end-of-candidates":
        return replace(section, complete=True)
    if name == "mid":
        return replace(section, mid=section.mid or value)
    if name == "ice-ufrag" and candidates.is_ufrag(value):
        return replace(section, ufrag=value)
    if name == "ice-pwd" and candidates.is_pwd(value):
        return replace(section, pwd=value)
    return section


def _inherited(section: Section, session: Section) -> Section:
    """What the part before the first m-line says for all. Its candidates are of the only section, if at all."""
    return replace(
        section,
        mid=section.mid or session.mid,
        ufrag=section.ufrag or session.ufrag,
        pwd=section.pwd or session.pwd,
        candidates=section.candidates or session.candidates,
        complete=section.complete or session.complete,
    )
