"""The flows of one stream, as the commands that install them. Pure.

    leg a peer -> flow a_rtp -> open with a_receive -> partner flow b_rtp -> seal with b_send -> leg b peer

With rtcp-mux a leg has one flow for both; its RTCP partner pointers lead there.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.calls.media import IceCredentials, IceMedia, LegMedia, LocalPorts, StreamMedia
from appliance.errors import InvalidRequest
from appliance.placement.placed import FLOWS, PlacedStream
from appliance.values import changed
from kernels.control.commands import MOST_EXTENSIONS, MOST_PAYLOAD_TYPES, InstallFlow, InstallIce, Pairs, Transcodings

PAYLOAD_TYPES = frozenset((*range(64), *range(96, 128)))  # 64 to 95 would be taken for RTCP (RFC 5761 section 4)
_FLOWS_BY_MUX = {
    (False, False): FLOWS,
    (True, False): ("a_rtp", "b_rtp", "b_rtcp"),
    (False, True): ("a_rtp", "a_rtcp", "b_rtp"),
    (True, True): ("a_rtp", "b_rtp"),
}


def needed_flows(media: StreamMedia) -> tuple[str, ...]:
    """Which of FLOWS the stream uses: no RTCP flow on a leg with rtcp-mux."""
    if media.copies_of is None:
        return _FLOWS_BY_MUX[media.a.mux, media.b.mux]
    absent = [side for side, leg in (("a", media.a), ("b", media.b)) if not leg.interface]
    return tuple(name for name in _FLOWS_BY_MUX[media.a.mux, media.b.mux] if name[0] not in absent)


def flow_of(side: str, kind: str, leg: LegMedia) -> str:
    """The name of the flow that carries "rtp" or "rtcp" of a leg."""
    return f"{side}_rtp" if leg.mux else f"{side}_{kind}"


def flows(media: StreamMedia, placed: PlacedStream) -> dict[int, InstallFlow]:
    """By slot. InvalidRequest: numbers that RTP cannot carry."""
    ports = placed.placement
    made: dict[int, InstallFlow] = {}
    if media.copies_of is not None:
        taps = (("a", media.a, placed.interface_a, ports.a), ("b", media.b, placed.interface_b, ports.b))
        for side, leg, interface, ours in taps:
            made.update({flow.slot: flow for flow in _tap_flows(side, leg, interface, ours, placed)})
        return made
    for flow in (
        *_leg_flows("a", media.a, placed.interface_a, ports.a, placed, "b", media.b),
        *_leg_flows("b", media.b, placed.interface_b, ports.b, placed, "a", media.a),
    ):
        made[flow.slot] = flow
    return made


def _leg_flows(
    side: str, leg: LegMedia, interface: str, ours: LocalPorts, placed: PlacedStream, other: str, partner: LegMedia
) -> Iterator[InstallFlow]:
    """The RTP flow of a leg (which carries RTCP too with mux), and its RTCP flow without mux."""
    flows = placed.flows
    goes_to, taker = (side, leg) if leg.echo else (other, partner)
    other_rtp = flows[f"{goes_to}_rtp"]
    other_rtcp = other_rtp if taker.mux else flows[f"{goes_to}_rtcp"]
    yield from _flows(side, leg, interface, ours, placed, other_rtp, other_rtcp)


def _flows(
    side: str,
    leg: LegMedia,
    interface: str,
    ours: LocalPorts,
    placed: PlacedStream,
    other_rtp: int | None,
    other_rtcp: int | None,
) -> Iterator[InstallFlow]:
    """The flows of a leg whose arrivals leave by those two."""
    payload_types, transcode, extensions = _rewriting(leg)
    rtp = InstallFlow(
        slot=placed.flows[f"{side}_rtp"],
        interface=interface,
        port=ours.rtp,
        rtp=True,
        rtcp=leg.mux,
        remote=_remote(leg, "rtp"),
        rtp_partner=other_rtp,
        rtcp_partner=other_rtcp if leg.mux else None,
        receive=placed.cryptos.get(f"{side}_receive") if leg.receive else None,
        send=placed.cryptos.get(f"{side}_send") if leg.send else None,
        secure=leg.secure,
        may_send=leg.may_send,
        may_receive=leg.may_receive,
        latching=str(leg.latching),
        blocked=leg.blocked,
        feedback=leg.feedback,
        payload_types=payload_types,
        transcode=transcode,
        extensions=extensions,
        opaque=leg.opaque,
        tos=leg.tos or 0,
        dtls=leg.dtls is not None,
        ice=leg.ice is not None,
    )
    yield rtp
    if not leg.mux:
        receive, send = _rtcp_contexts(side, leg, placed) if leg.rtcp_apart else (rtp.receive, rtp.send)
        # RTCP flows whatever the direction attribute says (RFC 3264 section 5.1)
        yield changed(
            rtp,
            slot=placed.flows[f"{side}_rtcp"],
            port=ours.rtcp,
            rtp=False,
            rtcp=True,
            remote=_remote(leg, "rtcp"),
            rtp_partner=None,
            rtcp_partner=other_rtcp,
            receive=receive,
            send=send,
            may_send=True,
            may_receive=True,
            payload_types=(),
            transcode=(),
            extensions=None,
        )


def _rtcp_contexts(side: str, leg: LegMedia, placed: PlacedStream) -> tuple[int | None, int | None]:
    """RTCP with an association of its own has keys of its own, or none yet: never those of RTP."""
    return (
        placed.cryptos.get(f"{side}_rtcp_receive") if leg.rtcp_receive else None,
        placed.cryptos.get(f"{side}_rtcp_send") if leg.rtcp_send else None,
    )


def _tap_flows(
    side: str, leg: LegMedia, interface: str, ours: LocalPorts, placed: PlacedStream
) -> Iterator[InstallFlow]:
    """Of a leg that gets copies: as any leg's, but heard by nobody. `_chained` says whom it follows."""
    if leg.interface:
        for flow in _flows(side, leg, interface, ours, placed, None, None):
            yield changed(flow, tap=True, may_send=True)  # so that all it sends is dropped under one name


def _rewriting(leg: LegMedia) -> tuple[Pairs, Transcodings, Pairs | None]:
    """Numbers for RTP towards a leg. What comes back to its own sender has the right ones. InvalidRequest: more than a
    flow has room for, or none that RTP can carry (RFC 5761 section 4, RFC 8285)."""
    types, extensions = leg.payload_types, leg.extensions
    every = [*types, *((before, now) for before, now, _ in leg.transcode)] if leg.transcode else types
    if every and (
        len(every) > MOST_PAYLOAD_TYPES
        or any(not 0 <= before < 128 or now not in PAYLOAD_TYPES for before, now in every)
    ):
        raise InvalidRequest("payload types cannot be mapped so", "payload_types")
    if extensions is not None and (
        len(extensions) > MOST_EXTENSIONS or any(not 0 < number < 256 for pair in extensions for number in pair)
    ):
        raise InvalidRequest("header extensions cannot be mapped so", "extensions")
    if leg.tos is not None and not 0 <= leg.tos < 256:
        raise InvalidRequest("TOS is one octet", "tos")
    return ((), (), None) if leg.echo else (types, leg.transcode, extensions)


def _remote(leg: LegMedia, component: str) -> tuple[str, int] | None:
    """Where to send to; with ICE only what a full agent has selected (a lite one's pair is the worker's to select)."""
    if leg.ice is None:
        address = leg.remote_rtp if component == "rtp" else leg.remote_rtcp
    else:
        address = leg.ice.pair_rtp if component == "rtp" else leg.ice.pair_rtcp
    return None if address is None or not address.port else (address.host, address.port)


def agents(media: StreamMedia, placed: PlacedStream) -> dict[int, InstallIce]:
    """The ICE agents of the flows that have one, by slot."""
    made: dict[int, InstallIce] = {}
    if media.a.ice is media.b.ice is None:
        return made
    for name in needed_flows(media):
        ice = media.leg(name[0]).ice
        if ice is not None:
            made[placed.flows[name]] = _agent(placed.flows[name], ice)
    return made


def _agent(slot: int, ice: IceMedia) -> InstallIce:
    earlier = ice.earlier[0] if ice.earlier else IceCredentials("", "")
    remote = ice.remote or IceCredentials("", "")
    return InstallIce(
        slot,
        local_ufrag=ice.local.ufrag,
        local_pwd=ice.local.pwd,
        remote_ufrag=remote.ufrag,
        earlier_ufrag=earlier.ufrag,
        earlier_pwd=earlier.pwd,
        lite=ice.lite,
        remote_pwd="" if ice.lite else remote.pwd,
    )
