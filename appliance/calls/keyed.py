"""What came of key exchanges on the media path, laid over what negotiation says of a leg.

Negotiation says that an association is wanted (`LegMedia.dtls`); its keys come later, by themselves, and stay for as
long as that association is wanted. They are in the branch and in its record, so every later change of the call has
them, and so has the next control process. While another association is wanted the keys of the one before go on, in both
directions, until its own are there (RFC 5764 section 5.2); then those before are still received with. The same for the
pairs that full ICE agents have selected.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from appliance.calls import media_record
from appliance.calls.media import Address, ContextSpec, Fingerprint, LegMedia, StreamMedia
from appliance.state import records
from appliance.values import changed, frozen


class Seat(NamedTuple):
    """One component of one leg of one stream: what has an association, or an ICE agent, of its own (RFC 5764
    section 4). With rtcp-mux "rtp" is both."""

    line: int  # m-line
    side: str  # "a", "b"
    component: str  # "rtp", "rtcp"

    def __str__(self) -> str:
        return f"stream {self.line}, leg {self.side}, {self.component}"


@frozen
class Keys:
    """What came of one association."""

    association: str  # DtlsMedia.association
    receive: ContextSpec = field(repr=False)
    send: ContextSpec = field(repr=False)
    peer: Fingerprint  # of the certificate that the peer proved to have
    active: bool  # we were the client
    source: Address  # where the peer's end of it was
    signalled: Address | None  # where its SDP had it then
    since: float = 0.0  # seconds since the epoch
    earlier: ContextSpec | None = field(default=None, repr=False)  # received with before, and still


Held = Mapping[Seat, Keys]
Pairs = Mapping[Seat, Address]


def seats(side: str, line: int, leg: LegMedia) -> tuple[Seat, ...]:
    """Of a leg with DTLS or ICE, one for each component."""
    if leg.dtls is None and leg.ice is None:
        return ()
    return (Seat(line, side, "rtp"),) if leg.mux else (Seat(line, side, "rtp"), Seat(line, side, "rtcp"))


def mute(streams: Mapping[int, StreamMedia], failed: Container[Seat]) -> bool:
    """Every m-line has a leg whose handshake for RTP has failed. One that still waits, that needs none, or that goes on
    under earlier keys, may have media; a failed one for RTCP alone takes none away."""
    return bool(streams) and all(
        any(media.leg(side).dtls and Seat(line, side, "rtp") in failed for side in ("a", "b"))
        for line, media in streams.items()
    )


def overlaid(streams: dict[int, StreamMedia], held: Held, pairs: Pairs) -> dict[int, StreamMedia]:
    """The streams with the keys and pairs that are there by now. Once more over its own result changes nothing."""
    out = streams
    for line, media in streams.items():
        if media.a.dtls or media.b.dtls or media.a.ice or media.b.ice:
            a, b = _laid("a", line, media.a, held, pairs), _laid("b", line, media.b, held, pairs)
            if a is not media.a or b is not media.b:
                out = {**out, line: changed(media, a=a, b=b)}
    return out


def pruned(streams: Mapping[int, StreamMedia], held: dict[Seat, Keys], pairs: dict[Seat, Address]) -> None:
    """Forget what no leg of these streams has a place for any more."""
    kept: dict[Seat, Keys] | dict[Seat, Address]
    for kept in (held, pairs):
        for seat in [seat for seat in kept if not _has(streams, seat)]:
            del kept[seat]


def _has(streams: Mapping[int, StreamMedia], seat: Seat) -> bool:
    media = streams.get(seat.line)
    return media is not None and seat in seats(seat.side, seat.line, media.leg(seat.side))


def _laid(side: str, line: int, leg: LegMedia, held: Held, pairs: Pairs) -> LegMedia:
    if leg.ice is not None and not leg.ice.lite:
        rtp, rtcp = pairs.get(Seat(line, side, "rtp")), pairs.get(Seat(line, side, "rtcp"))
        if (rtp, rtcp) != (leg.ice.pair_rtp, leg.ice.pair_rtcp):
            leg = changed(leg, ice=changed(leg.ice, pair_rtp=rtp, pair_rtcp=rtcp))
    if leg.dtls is None:
        return leg
    changes: dict[str, Any] = {}
    keys = held.get(Seat(line, side, "rtp"))
    if keys is not None and leg.receive is keys.receive and leg.send is keys.send and not leg.receive_also:
        pass  # laid over already
    elif keys is not None:
        also = () if keys.earlier is None else (keys.earlier,)
        changes = {"receive": keys.receive, "send": keys.send, "receive_also": also}
        if leg.ice is None and leg.remote_rtp == keys.signalled:
            changes["remote_rtp"] = keys.source  # it has proved to be there; its SDP may not know of a NAT
    elif leg.receive is not None or leg.send is not None:
        changes = {"receive": None, "send": None, "receive_also": ()}
    keys = held.get(Seat(line, side, "rtcp")) if leg.rtcp_apart else None
    if keys is not None:
        changes |= {"rtcp_receive": keys.receive, "rtcp_send": keys.send, "rtcp_receive_also": keys.earlier}
        if leg.ice is None and leg.remote_rtcp == keys.signalled:
            changes["remote_rtcp"] = keys.source
    elif leg.rtcp_receive is not None or leg.rtcp_send is not None:
        changes |= {"rtcp_receive": None, "rtcp_send": None, "rtcp_receive_also": None}
    return changed(leg, **changes) if changes else leg


# ---------------------------------------------------------------- records


def keys_out(held: Held) -> list[Any]:
    """Contains keys."""
    return [
        [
            *seat,
            keys.association,
            records.context_out(keys.receive),
            records.context_out(keys.send),
            media_record.fingerprints_out((keys.peer,)),
            keys.active,
            records.address_out(keys.source),
            records.address_out(keys.signalled),
            keys.since,
            records.context_out(keys.earlier),
        ]
        for seat, keys in held.items()
    ]


def keys_in(value: list[Any]) -> dict[Seat, Keys]:
    held = {}
    for line, side, component, association, receive, send, peer, active, source, signalled, since, earlier in value:
        ours, theirs = records.context_in(send), records.context_in(receive)
        where = records.address_in(source)
        if ours is None or theirs is None or where is None:
            raise ValueError("keys without contexts")
        held[Seat(int(line), str(side), str(component))] = Keys(
            association=str(association),
            receive=theirs,
            send=ours,
            peer=media_record.fingerprints_in(peer)[0],
            active=bool(active),
            source=where,
            signalled=records.address_in(signalled),
            since=float(since),
            earlier=records.context_in(earlier),
        )
    return held


def pairs_out(pairs: Pairs) -> list[Any]:
    return [[*seat, far.host, far.port] for seat, far in pairs.items()]


def pairs_in(value: list[Any]) -> dict[Seat, Address]:
    return {Seat(int(line), str(side), str(what)): Address(host, port) for line, side, what, host, port in value}
