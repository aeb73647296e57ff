"""Writing the SDP for one leg out of the SDP of the other: only what belongs to the hop is replaced (addresses,
ports, profile, keys, ICE, DTLS, BUNDLE); every other line passes as it came. Pure text work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_dtls as dtls
from appliance.calls import negotiation_ice as ice
from appliance.calls import negotiation_together as together
from appliance.calls.media import LocalPorts
from appliance.calls.negotiation_endpoint import Endpoint
from appliance.calls.negotiation_state import LegLine, OriginState, StreamLine, other
from appliance.policy.options import MediaOptions
from appliance.protocols.sdes import crypto
from appliance.protocols.sdp import extensions, profiles
from appliance.protocols.sdp.description import Description, Line, Media
from appliance.protocols.sdp.fields import DIRECTIONS, Connection, MediaLine, Origin
from appliance.values import frozen

KEYING = ("crypto", "key-mgmt", "fingerprint", "setup", "connection", "tls-id", "dtls-id", "cryptex", "identity")
ICE = (
    "candidate", "end-of-candidates", "remote-candidates", "ice-ufrag", "ice-pwd",
    "ice-options", "ice-lite", "ice-pacing", "ice-mismatch", "ice2",
)  # fmt: skip
TRANSPORT = ("rtcp", "rtcp-mux", "rtcp-mux-only", "bundle-only")
CAPABILITIES = ("tcap", "acap", "pcfg", "acfg", "csup", "creq")  # RFC 5939: alternatives that we did not read
HOP_ATTRIBUTES = frozenset((*KEYING, *ICE, *TRANSPORT, *CAPABILITIES))
EXTENDED_REPORTS = frozenset(("rtcp-xr",))  # RFC 3611 section 5; goes as the reports do unless it is asked not to
OWN_ORIGIN = frozenset(("origin", "sdp-version", "force-increment-sdp-ver"))


@frozen
class OutLine:
    """One m-line as it is to be written. `ports` None: refused. `source` None: the other side's SDP has no such
    m-line."""

    source: Media | None
    media: MediaLine
    leg: LegLine | None = None
    ports: LocalPorts | None = None
    lines: tuple[crypto.Crypto, ...] = ()
    mux: bool = False
    zero: bool = False  # the other side holds by 0.0.0.0
    direction: str = ""  # written instead of the other side's; "": left as it is
    plain_through: bool = False  # both legs plain: ZRTP may pass
    twin: bool = False  # a second m-line for the same stream
    mid: str = ""  # by which this leg knows the m-line (row G22)
    port: int = 0  # stream whose port it is
    tagged: bool = True  # it stands first in its group
    far: str = ""  # profile of the other leg
    feedback: bool = False  # passes between them
    mid_extension: int = 0  # id of MID's header extension, where it is to be written


def out_line(
    source: Media | None,
    offered: MediaLine,
    stream: int,
    line: StreamLine,
    side: str,
    ports: LocalPorts | None,
    *,
    endpoint: Endpoint | None,
    twin: bool,
) -> OutLine:
    """The m-line towards `side`, whose LegLine says keys and mux; `offered`: as it was said to or by this leg, which
    gives the profile. `twin`: the plain alternative behind a secure m-line of the same stream."""
    leg, far = line.leg(side), line.leg(other(side))
    zero = endpoint is not None and endpoint.zero
    formats = source.media.formats if source else offered.formats
    port = ports.rtp if ports else 0
    return OutLine(
        source,
        MediaLine(line.kind, port, offered.proto, formats),
        leg,
        ports,
        () if twin else leg.proposed,
        leg.mux,
        zero,
        endpoint.direction if endpoint is not None and (zero or _directionless(source, offered.proto)) else "",
        plain_through=not (line.a.secure or line.b.secure),
        twin=twin,
        mid="" if twin else leg.mid,
        port=stream if leg.carrier is None else leg.carrier,
        tagged=leg.tag in ("", leg.mid),
        far=far.proto,
        feedback=leg.feedback and far.feedback,
    )


def _directionless(source: Media | None, proto: str) -> bool:
    """JSEP wants a direction in every m-line (RFC 8829 section 5.2.1); phones leave sendrecv out."""
    return source is not None and _browser(proto) and not any(source.has(direction) for direction in DIRECTIONS)


def write(
    base: Description,
    lines: Sequence[OutLine],
    options: MediaOptions,
    origin: OriginState,
    session_id: int,
    *,
    offer: bool = False,
) -> tuple[bytes, OriginState]:
    """The SDP, and the o= state to keep. `session_id` is used when this leg has none yet."""
    host = options.media_address or next((line.ports.address for line in lines if line.ports), "")
    sip = not any(_browser(line.media.proto) for line in lines if line.ports)
    lines = _named_once(lines)
    head, connection = _session(base, options, host, sip=sip, names_hold=_names_hold(base, lines))
    end = base.session.end
    groups = _groups(lines, offer=offer)
    lines = [_with_mids(line, groups, offer=offer) for line in lines]
    head += "".join(f"a={attribute}{end}" for attribute in _transport_of_all(lines, groups))
    body = [_media(line, options, connection, end, offer=offer) for line in lines]
    tail = "".join(body)
    owner, origin = _origin(base, options, origin, session_id, host, head + tail)
    text = f"v=0{base.session.end}o={owner}{base.session.end}{head}{tail}"
    return text.encode("utf-8", "surrogateescape"), origin


def _named_once(lines: Sequence[OutLine]) -> Sequence[OutLine]:
    """A mid stands once in an SDP (RFC 5888 section 4); both sides may have chosen it for different streams."""
    mids = [line.mid for line in lines if line.mid]
    if len(set(mids)) == len(mids):
        return lines
    seen: set[str] = set()
    once = []
    for line in lines:
        once.append(replace(line, mid="") if line.mid in seen else line)
        seen.add(line.mid)
    return once


def _names_hold(base: Description, lines: Sequence[OutLine]) -> bool:
    """Does a=group speak of this leg's mids? It came with the other leg's."""
    if not base.session.has("group"):
        return True
    return all((line.source.attribute("mid") or "") == line.mid for line in lines if line.source and line.ports)


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls


def _session(base: Description, options: MediaOptions, host: str, *, sip: bool, names_hold: bool) -> tuple[str, str]:
    """Session part below o=, and the host its c= line says afterwards ("" without one). `sip`: no WebRTC leg;
    `names_hold`: groups name m-lines as this leg does."""
    end, connection, kept = base.session.end, "", []
    unwanted = together.BROWSER_ATTRIBUTES if sip else frozenset[str]()
    unwanted |= frozenset() if options.rtcp_xr else EXTENDED_REPORTS
    for line in base.session.lines:
        value = line.value
        if line.type in ("v", "o", "k", "") or _of_the_hop(line, HOP_ATTRIBUTES):
            continue
        if line.type == "s" and "session-name" in options.replace:
            value = "-"
        elif line.type == "c":
            if host and "session-connection" in options.replace:
                value = str(Connection.to(host))
            connection = value.rpartition(" ")[2].partition("/")[0]  # the parser takes any text, none too
        elif line.type == "a" and value.startswith("group:"):
            if value.startswith("group:BUNDLE") or not names_hold:
                continue  # every stream has ports of its own behind us (row G17)
        elif _of_the_hop(line, unwanted):
            continue
        kept.append(f"{line.type}={value}{end}")
    return "".join(kept), connection


def _of_the_hop(line: Line, names: frozenset[str]) -> bool:
    return line.type == "a" and line.value.partition(":")[0] in names


def _transport_of_all(lines: Sequence[OutLine], groups: Sequence[tuple[str, ...]]) -> list[str]:
    """What of ICE and BUNDLE stands in the session part."""
    live = [line for line in lines if line.ports and line.leg]
    said = ["ice-lite"] if any(line.leg.ice and line.leg.ice.session.lite for line in live if line.leg) else []
    return said + [f"group:BUNDLE {' '.join(group)}" for group in groups]


def _groups(lines: Sequence[OutLine], *, offer: bool) -> list[tuple[str, ...]]:
    able = [
        bundle.Member(line.mid, line.mux, line.port, line.tagged, line.leg.dtls is not None)
        for line in lines
        if line.ports and line.leg and line.leg.bundled
    ]
    return bundle.members(able, offer=offer)


def _with_mids(line: OutLine, groups: Sequence[tuple[str, ...]], *, offer: bool) -> OutLine:
    """What says MID in packets is negotiated where there is more than one."""
    shared = any(line.mid in group and len(group) > 1 for group in groups)
    if not line.leg or not (shared or line.leg.carrier is not None):
        return line
    ids = (number for number, uri in line.leg.ids if uri == extensions.MID)
    return replace(line, mid_extension=next(ids, 0) if offer else line.leg.mid_extension)


def _media(out: OutLine, options: MediaOptions, session_host: str, end: str, *, offer: bool) -> str:
    if out.ports is None or out.leg is None:
        return f"m={out.media}{end}" + ("" if session_host else f"c=IN IP4 0.0.0.0{end}")
    host = options.media_address or out.ports.address
    if out.zero and "zero-address" not in options.replace:
        host = "::" if ":" in host else "0.0.0.0"  # noqa: S104 - written, not bound
    kept = [f"m={out.media}{end}"]
    kept += _own_connection(out.source, host, session_host, end)
    kept += _passed(out, options, end)
    kept += [f"a={attribute}{end}" for attribute in _added(out, options, host, offer=offer)]
    return "".join(kept)


def _own_connection(source: Media | None, host: str, session_host: str, end: str) -> list[str]:
    """A c= line where there was one, or where the session's does not say the right address. i= (a title) goes before
    it."""
    lines = source.lines if source else []
    title = [f"i={line.value}{end}" for line in lines if line.type == "i"]
    needed = host != session_host or any(line.type == "c" for line in lines)
    return title + ([f"c={Connection.to(host)}{end}"] if needed else [])


def _passed(out: OutLine, options: MediaOptions, end: str) -> list[str]:
    """The other side's lines that mean the same on this side."""
    if out.source is None:
        return []
    drop = _dropped(out.media.proto, out.far, options.rtcp_xr, feedback=out.feedback)
    kept, named = [], False
    for type, value, _ in out.source.lines:
        if type in ("m", "c", "i", "k", ""):
            continue
        if type == "a":
            name = value.partition(":")[0]
            if name in drop or (name == "zrtp-hash" and not out.plain_through):
                continue
            if out.direction and name in DIRECTIONS:
                continue
            if name == "mid":
                if not out.mid or named:
                    continue
                value, named = f"mid:{out.mid}", True
        kept.append(f"{type}={value}{end}")
    if out.mid and not named:
        kept.append(f"a=mid:{out.mid}{end}")
    return kept


@lru_cache(maxsize=64)
def _dropped(proto: str, far: str, rtcp_xr: bool, *, feedback: bool) -> frozenset[str]:
    """Attributes that do not go to a leg of this profile from one of the profile `far`; `rtcp_xr`: what is said of
    extended reports does."""
    dropped = HOP_ATTRIBUTES | together.dropped(proto, far, feedback=feedback)
    return dropped if rtcp_xr else dropped | EXTENDED_REPORTS


def _added(out: OutLine, options: MediaOptions, host: str, *, offer: bool) -> list[str]:
    attributes = [out.direction] if out.direction else []
    if out.mid_extension:
        attributes.append(f"extmap:{out.mid_extension} {extensions.MID}")
    if out.ports and out.leg:
        attributes += _rtcp(out, options, out.ports, out.leg, host)
        if out.leg.ice:
            alone = out.leg.mux_required if offer else out.mux
            attributes += ice.attributes(out.leg.ice, out.ports, options.media_address or out.ports.address, mux=alone)
        if out.leg.dtls and not out.twin:
            attributes += dtls.attributes(out.leg.dtls)
    pad = options.sdes.pad
    return attributes + ["crypto:" + crypto.emit(line, pad=pad) for line in out.lines]


def _rtcp(out: OutLine, options: MediaOptions, ports: LocalPorts, leg: LegLine, host: str) -> list[str]:
    """rtcp-mux and a=rtcp (RFC 5761 section 5.1.1, RFC 3605): the port is written when it is not the next one, or was
    written."""
    attributes = ["rtcp-mux"] if out.mux else []
    if leg.mux_required or not options.rtcp_attribute or ports.rtcp == ports.rtp:
        return attributes
    had = out.source is not None and out.source.has("rtcp")
    if had or ports.rtcp != ports.rtp + 1:
        full = f" {Connection.to(host)}" if "full-rtcp-attribute" in options.flags else ""
        attributes.append(f"rtcp:{ports.rtcp}{full}")
    return attributes


def _origin(
    base: Description, options: MediaOptions, origin: OriginState, session_id: int, host: str, body: str
) -> tuple[str, OriginState]:
    """The value of o= (row G30, RFC 3264 section 8). Not ours: as it came, but for a user name that is asked to be
    hidden."""
    value = base.session.value("o") or ""
    if not options.replace & OWN_ORIGIN:
        if "username" in options.replace:
            value = str(replace(Origin.parse(value, 2), username="-"))
        return value, origin
    digest = hashlib.blake2b(f"{host}\n{body}".encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    if not origin.version:
        origin = OriginState(session_id, 1, digest)
    elif digest != origin.digest or "force-increment-sdp-ver" in options.replace:
        origin = OriginState(origin.session_id, origin.version + 1, digest)
    address = Connection.to(host or "0.0.0.0")  # noqa: S104 - written, not bound
    return f"- {origin.session_id} {origin.version} {address}", origin
