"""BUNDLE on a leg: which streams share a port, and so ICE, DTLS and the peer's address. Pure; see `negotiation_bundle`
for what stands in SDP.

The stream whose port it is *carries* the others (`LegLine.carrier`, a stream's number). That stays for as long as the
group does, also when the carrier's own m-line is refused or ends: its port, its keys and its pair are the group's, so
it goes on as a stream that nothing passes by (`StreamLine.kept`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.calls.media import SUPPOSED, Bundled, StreamMedia, StreamPlacement
from appliance.calls.negotiation_state import SIDES, Exchange, LegLine, StreamLine, other


@dataclass(frozen=True, slots=True)
class Port:
    """Whose port a stream is at, and whose m-line says what is shared."""

    carrier: int
    tagged: int
    known: int | None = None  # one of them that has been there before


def ports(groups: Iterable[Sequence[int]], elsewhere: Iterable[int], agreed: Exchange, side: str) -> dict[int, Port]:
    """By stream. `groups`: streams, the tagged one first; `elsewhere`: live streams of the SDP in none of them. A group
    of one that has its own port is none."""
    apart = set(elsewhere)
    found: dict[int, Port] = {}
    for group in groups:
        tagged = group[0]
        known = next((stream for stream in group if agreed.live(stream)), None)
        carrier = tagged if known is None else _port(agreed.lines[known].leg(side), known)
        if carrier in apart or any(port.carrier == carrier for port in found.values()):
            known, carrier = None, tagged
        if len(group) > 1 or carrier != tagged:
            found.update({stream: Port(carrier, tagged, known) for stream in group})
    return found


def _port(leg: LegLine, stream: int) -> int:
    return stream if leg.carrier is None else leg.carrier


def stays(before: LegLine, stream: int, port: Port | None) -> bool:
    """The stream's transport is at the same port as before."""
    return _port(before, stream) == (stream if port is None else port.carrier)


def unshared(lines: Sequence[StreamLine]) -> bool:
    """Nobody is at another's port, nor was offered one, nor keeps one for others: as in most calls, which have nothing
    to do with all this."""
    for line in lines:
        a, b = line.a, line.b
        if line.kept or not (a.carrier is b.carrier is None and a.apart is b.apart is None):
            return False
    return True


def able(pending: Exchange, side: str, at: int) -> bool:
    """Whether m-line `at` of a leg was offered as one that may be in a group with others."""
    slots = pending.slots(side)
    if at >= len(slots) or not slots[at].taken:
        return False
    line = pending.live(slots[at].stream)
    return line is not None and line.leg(side).bundled and line.leg(side).dtls is not None


def answered(
    lines: Sequence[StreamLine], taken: Mapping[int, int], groups: Iterable[Sequence[int]], side: str
) -> list[StreamLine]:
    """The streams after the answer of `side`, which took them in these m-lines; `groups`: m-lines of it. What was
    offered at a shared port stays there, whatever the answer's groups say."""
    groups = list(groups)
    if not groups and unshared(lines):
        return list(lines)
    stream_of = {at: stream for stream, at in taken.items()}
    found = [streams for group in groups if (streams := [stream_of[at] for at in group if at in stream_of])]
    for streams in found:  # a port that was offered as shared is the group's, whoever is named first
        streams.sort(key=lambda stream: lines[stream].leg(side).carrier is None)
    apart = set(taken) - {stream for streams in found for stream in streams}
    for stream in sorted(apart):
        carrier = lines[stream].leg(side).carrier
        mates = [streams for streams in found if any(lines[one].leg(side).carrier == carrier for one in streams)]
        if carrier is not None and mates:
            mates[0].append(stream)
        elif carrier is not None:
            found.append([stream])
    apart -= {stream for streams in found for stream in streams}
    now = ports(found, apart, Exchange(tuple(lines)), side)
    out = shared([line if at in now else _alone(line, side) for at, line in enumerate(lines)], now, side)
    out = settled(out, other(side))
    return carried([_lone(out, at) for at in range(len(out))])


def _lone(lines: Sequence[StreamLine], at: int) -> StreamLine:
    """The stream, which carries nobody where nobody else is at its port."""
    line = lines[at]
    for side in SIDES:
        mates = [one for one, mate in enumerate(lines) if mate.live and mate.leg(side).carrier == at]
        if mates == [at]:
            line = _alone(line, side)
    return line


def _alone(line: StreamLine, side: str) -> StreamLine:
    leg = line.leg(side)
    return line if leg.carrier is None else line.with_leg(side, replace(leg, carrier=None, tag=""))


def shared(lines: Sequence[StreamLine], ports: Mapping[int, Port], side: str) -> list[StreamLine]:
    """The streams with the transport of their tagged one."""
    out = list(lines)
    for stream, port in ports.items():
        if not lines[stream].live or not lines[port.tagged].live:
            continue
        leg, tagged = lines[stream].leg(side), lines[port.tagged].leg(side)
        out[stream] = lines[stream].with_leg(side, _moved_in(leg, tagged, port.carrier))
    return out


def _moved_in(leg: LegLine, tagged: LegLine, carrier: int) -> LegLine:
    return replace(
        leg, carrier=carrier, tag=tagged.mid, ice=tagged.ice, dtls=tagged.dtls, mux=tagged.mux,
        rtp=tagged.rtp, rtcp=tagged.rtcp, latching=tagged.latching,
    )  # fmt: skip


def settled(lines: Sequence[StreamLine], side: str) -> list[StreamLine]:
    """After the answer to an offer of `side`'s: a tagged m-line that was refused carries nobody who offered a transport
    of its own (RFC 9143 section 7.3.3); the first of those is tagged now. What they offered is not needed any more."""
    out = list(lines)
    for carrier in {leg.carrier for line in lines if line.live and (leg := line.leg(side)).apart is not None}:
        mine = [at for at, line in enumerate(lines) if line.live and line.leg(side).carrier == carrier]
        first = next((at for at in mine if lines[at].leg(side).apart is not None), None)
        if first is None or carrier is None or lines[carrier].live:
            continue
        tagged = lines[first].leg(side).apart
        assert tagged is not None
        for at in mine:
            leg = _moved_in(out[at].leg(side), tagged, first)
            out[at] = out[at].with_leg(side, leg if len(mine) > 1 else replace(leg, carrier=None, tag=""))
    return [
        line.with_leg(side, replace(line.leg(side), apart=None)) if line.leg(side).apart is not None else line
        for line in out
    ]


def renewed(lines: Sequence[StreamLine], agreed: Exchange) -> list[StreamLine]:
    """Where another m-line is tagged now another association is wanted, in the ICE session that goes on. RFC 9143 lets
    the transport live; Chromium's (156) belongs to the first mid of the group: with another one first it has new
    sockets under the same user fragment, and no DTLS yet, and says nothing. Where no handshake comes the keys of before
    stay. A peer that writes tls-id is taken by its word."""
    out = list(lines)
    if not agreed:
        return out
    for side in SIDES:
        before = {_port(line.leg(side), at): line.leg(side) for at, line in enumerate(agreed.lines) if line.live}
        for at, line in enumerate(lines):
            leg = line.leg(side)
            old = before.get(_port(leg, at)) if line.live else None
            if old is None or old.dtls is None or leg.dtls is None or leg.dtls.peer_tls_id:
                continue
            anew = f"{leg.dtls.association}{SUPPOSED}"
            same = old.dtls.association == leg.dtls.association
            if (same and _retagged(old, leg)) or old.dtls.association == anew:  # the latter: the same answer again
                out[at] = out[at].with_leg(side, replace(leg, dtls=replace(leg.dtls, association=anew)))
    return out


def _retagged(old: LegLine, leg: LegLine) -> bool:
    """Of a port that is, or was, a group's. That a peer alone on its port does not repeat our mid says nothing."""
    grouped = old.carrier is not None or leg.carrier is not None
    return grouped and (old.tag or old.mid) != (leg.tag or leg.mid)


def carried(lines: Sequence[StreamLine]) -> list[StreamLine]:
    """What ended keeps its ports as long as others need them."""
    if unshared(lines):
        return list(lines)
    needed = {line.leg(side).carrier for line in lines if line.live for side in SIDES}
    return [
        line if line.live or at in needed or line.kept is None else replace(line, kept=None)
        for at, line in enumerate(lines)
    ]


def carries(agreed: Exchange, stream: int, side: str) -> LegLine | None:
    """The leg of one that is at the port of a stream which has ended itself."""
    if agreed.live(stream):
        return None
    legs = (line.leg(side) for line in agreed.lines if line.live)
    return next((leg for leg in legs if leg.carrier == stream), None)


def waits(agreed: Exchange, stream: int, line: StreamLine) -> bool:
    """Whether a stream that comes back with another transport has to wait for the answer: others are at its port."""
    return any(carries(agreed, stream, side) and line.leg(side).carrier != stream for side in SIDES)


def one_hop(lines: Sequence[StreamLine]) -> list[StreamLine]:
    """Streams of an offer beside agreed ones, which go on as they were: who carries them now is what counts, and
    carries one more."""
    out = list(lines)
    if unshared(lines):
        return out
    for at, line in enumerate(lines):
        for side in SIDES:
            carrier = line.leg(side).carrier
            if not line.live or carrier in (None, at) or not lines[carrier].live:
                continue
            there = lines[carrier].leg(side)
            if there.carrier is None:
                out[carrier] = out[carrier].with_leg(side, replace(there, carrier=carrier))
            elif there.carrier != carrier:
                out[at] = out[at].with_leg(side, replace(out[at].leg(side), carrier=there.carrier))
    return out


# ---------------------------------------------------------------- desired media


def media(lines: Sequence[StreamLine]) -> dict[int, StreamMedia]:
    """Of every live stream, and of those that carry others though they have ended."""
    out = {at: line.media(at) for at, line in enumerate(lines) if line.live}
    if unshared(lines):
        return out
    for side in SIDES:
        for carrier, at in {line.leg(side).carrier: at for at, line in enumerate(lines) if line.live}.items():
            if carrier is not None and carrier not in out:
                out[carrier] = _empty(lines[carrier], lines[at], side)
    return dict(sorted(out.items()))


def _empty(line: StreamLine, member: StreamLine, side: str) -> StreamMedia:
    """The port of a stream that has ended, with the transport that one of its members knows."""
    legs = {}
    for one in SIDES:
        leg = member.leg(one)
        if one == side:
            leg = replace(leg, known=(), mid="", payload_types=(), transcode=(), extensions=None)
            carrier = leg.carrier
            assert carrier is not None
            legs[one] = replace(leg.media(carrier, partner="inactive"), bundle=Bundled(carrier))
        else:
            nobody = LegLine("RTP/AVP", interface=leg.interface, mux=True, direction="inactive")
            legs[one] = nobody.media(-1, partner="inactive")
    return StreamMedia(line.kind, legs["a"], legs["b"])


def placement(lines: Sequence[StreamLine], stream: int, side: str) -> StreamPlacement | None:
    """Whose ports a stream has on a leg."""
    line = lines[stream]
    carrier = line.leg(side).carrier
    if line.placement is None or carrier is None:
        return line.placement
    return lines[carrier].placement or lines[carrier].kept or line.placement
