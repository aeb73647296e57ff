"""What a worker should hold for one stream, as the commands that would make it so, and the difference between two
such states.

Pure. A stream has up to four flows (RTP and RTCP of legs a and b) and up to four contexts (receive and send of each
leg):

    leg a peer -> flow a_rtp -> open with a_receive -> partner flow b_rtp -> seal with b_send -> leg b peer

With rtcp-mux a leg has one flow for both; its RTCP partner pointers lead there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from appliance.calls.media import Address, ContextSpec, LegMedia, LocalPorts, MasterKey, StreamMedia, StreamPlacement
from appliance.errors import InvalidRequest, NoCapacity
from appliance.protocols.srtp import suites
from kernels.control.commands import (
    MOST_EXTENSIONS,
    MOST_PAYLOAD_TYPES,
    MOST_TAPS,
    AddKey,
    Command,
    InstallCrypto,
    InstallFlow,
    MasterKeyBytes,
    Pairs,
    RemoveCrypto,
    RemoveFlow,
    Transform,
)

FLOWS = ("a_rtp", "a_rtcp", "b_rtp", "b_rtcp")
PAYLOAD_TYPES = frozenset((*range(64), *range(96, 128)))  # 64 to 95 would be taken for RTCP (RFC 5761 section 4)
CRYPTOS = ("a_receive", "a_send", "b_receive", "b_send")


@dataclass(slots=True)
class PlacedStream:
    """A stream where it lives: its ports, and the slots taken for it so far, by the names above."""

    placement: StreamPlacement
    interface_a: str  # "": this leg has no ports (StreamMedia.copies_of)
    interface_b: str
    flows: dict[str, int] = field(default_factory=dict)
    cryptos: dict[str, int] = field(default_factory=dict)

    @property
    def ends(self) -> list[tuple[str, LocalPorts]]:
        """Interface and ports of each leg that has some."""
        both = ((self.interface_a, self.placement.a), (self.interface_b, self.placement.b))
        return [(interface, ours) for interface, ours in both if interface]


@dataclass(frozen=True, slots=True)
class Context:
    """One crypto slot: the command that installs its first key, and the further keys (MKI)."""

    install: InstallCrypto = field(repr=False)
    further: tuple[AddKey, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Desired:
    """By slot number. Two equal values need no command between them."""

    cryptos: Mapping[int, Context] = field(default_factory=dict)
    flows: Mapping[int, InstallFlow] = field(default_factory=dict)


NOTHING = Desired()


def needed_flows(media: StreamMedia) -> tuple[str, ...]:
    """Which of FLOWS the stream uses: no RTCP flow on a leg with rtcp-mux."""
    if media.copies_of is None:
        return _FLOWS_BY_MUX[media.a.mux, media.b.mux]
    absent = [side for side, leg in (("a", media.a), ("b", media.b)) if not leg.interface]
    return tuple(name for name in _FLOWS_BY_MUX[media.a.mux, media.b.mux] if name[0] not in absent)


_FLOWS_BY_MUX = {
    (False, False): FLOWS,
    (True, False): ("a_rtp", "b_rtp", "b_rtcp"),
    (False, True): ("a_rtp", "a_rtcp", "b_rtp"),
    (True, True): ("a_rtp", "b_rtp"),
}


def needed_cryptos(media: StreamMedia) -> list[str]:
    """Which of CRYPTOS the stream uses."""
    a, b = media.a, media.b
    return [
        name for name, spec in zip(CRYPTOS, (a.receive, a.send, b.receive, b.send), strict=True) if spec is not None
    ]


def desired_of(streams: Mapping[int, StreamMedia], placed: Mapping[int, PlacedStream]) -> Desired:
    """`desired` of all streams of a branch, by m-line, with the chains of those that are copies of others."""
    state = merge([desired(media, placed[line]) for line, media in streams.items()])
    taps = {line: media for line, media in streams.items() if media.copies_of in streams}
    return _chained(state, streams, placed, taps) if taps else state


def _chained(
    state: Desired,
    streams: Mapping[int, StreamMedia],
    placed: Mapping[int, PlacedStream],
    taps: Mapping[int, StreamMedia],
) -> Desired:
    """Each flow names the first of its taps, each tap the next and whom it follows (kernels/flow/copies.pxd). Taps
    that have nowhere to send to yet stay outside. NoCapacity: more taps than the packet path walks along."""
    flows = dict(state.flows)
    ends: dict[tuple[int, str, str], tuple[int, int]] = {}  # source: last flow of its chain, taps in it
    for line, media in taps.items():
        source = media.copies_of
        for side, leg in (("a", media.a), ("b", media.b)):
            if source is None or not leg.interface or leg.remote_rtp is None:
                continue
            heard = streams[source].a if side == "a" else streams[source].b
            for kind in ("rtp", "rtcp"):
                before, count = ends.get((source, side, kind), (placed[source].flows[_flow(side, kind, heard)], 0))
                mine = placed[line].flows[_flow(side, kind, leg)]
                if count == MOST_TAPS:
                    raise NoCapacity("as many subscribers as one party can have")
                tap, follows = ("rtp_tap", "rtp_partner") if kind == "rtp" else ("rtcp_tap", "rtcp_partner")
                flows[before] = replace(flows[before], **{tap: mine})  # type: ignore[arg-type]
                flows[mine] = replace(flows[mine], **{follows: before})  # type: ignore[arg-type]
                ends[source, side, kind] = (mine, count + 1)
    return Desired(state.cryptos, flows)


def _flow(side: str, kind: str, leg: LegMedia) -> str:
    return f"{side}_rtp" if leg.mux else f"{side}_{kind}"


def desired(media: StreamMedia, placed: PlacedStream) -> Desired:
    """What the worker should hold. Every needed slot must have been taken. InvalidRequest: keys that do not fit
    the suite, or media that would go round in circles."""
    _refuse_loop(media, placed.placement)
    cryptos: dict[int, Context] = {}
    for name, spec, send in (
        ("a_receive", media.a.receive, False),
        ("a_send", media.a.send, True),
        ("b_receive", media.b.receive, False),
        ("b_send", media.b.send, True),
    ):
        if spec is not None:
            slot = placed.cryptos[name]
            cryptos[slot] = _context(slot, spec, send)
    flows: dict[int, InstallFlow] = {}
    ports = placed.placement
    if media.copies_of is not None:
        taps = (("a", media.a, placed.interface_a, ports.a), ("b", media.b, placed.interface_b, ports.b))
        for side, leg, interface, ours in taps:
            flows.update({flow.slot: flow for flow in _tap_flows(side, leg, interface, ours, placed)})
        return Desired(cryptos, flows)
    for flow in (
        *_leg_flows("a", media.a, placed.interface_a, ports.a, placed, "b", media.b),
        *_leg_flows("b", media.b, placed.interface_b, ports.b, placed, "a", media.a),
    ):
        flows[flow.slot] = flow
    return Desired(cryptos, flows)


def _refuse_loop(media: StreamMedia, placement: StreamPlacement) -> None:
    """A leg that names one of the stream's own ports would send every packet round for ever (A13 of
    security-and-faults). Ports of another call are somebody's legitimate hairpin."""
    ours = {
        Address(local.address, port)
        for local in (placement.a, placement.b)
        for port in (local.rtp, local.rtcp)
        if local.address
    }
    for remote in (media.a.remote_rtp, media.a.remote_rtcp, media.b.remote_rtp, media.b.remote_rtcp):
        if remote in ours:
            raise InvalidRequest(f"media address {remote} is the call's own port", "remote_rtp")


def merge(parts: list[Desired]) -> Desired:
    """One state of several streams; their slots are different."""
    if len(parts) == 1:
        return parts[0]
    cryptos: dict[int, Context] = {}
    flows: dict[int, InstallFlow] = {}
    for part in parts:
        cryptos.update(part.cryptos)
        flows.update(part.flows)
    return Desired(cryptos, flows)


def diff(installed: Desired, wanted: Desired) -> list[Command]:
    """Commands that lead from one state to the other; every prefix of them is safe to stop at.

    Flows that end go first (nothing may use a context that is gone), then contexts are installed, then the flows
    that use them, and last go the contexts that nobody uses any more. A flow whose port changes is removed first.
    """
    commands: list[Command] = []
    for slot, flow in installed.flows.items():
        now = wanted.flows.get(slot)
        if now is None or now.port != flow.port or now.interface != flow.interface:
            commands.append(RemoveFlow(slot))
    for slot, context in wanted.cryptos.items():
        commands.extend(_context_commands(installed.cryptos.get(slot), context))
    for slot, flow in wanted.flows.items():
        if installed.flows.get(slot) != flow:
            commands.append(flow)
    commands.extend(RemoveCrypto(slot) for slot in installed.cryptos if slot not in wanted.cryptos)
    return commands


def _context_commands(before: Context | None, now: Context) -> Iterator[Command]:
    """A further key alone is added; anything else is installed anew (with the same first key the context continues)."""
    if before == now:
        return
    if before is None or before.install != now.install:
        yield now.install
        yield from now.further
        return
    known = set(before.further)
    yield from (key for key in now.further if key not in known)


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
    payload_types, extensions = _rewriting(leg)
    rtp = InstallFlow(
        slot=placed.flows[f"{side}_rtp"],
        interface=interface,
        port=ours.rtp,
        rtp=True,
        rtcp=leg.mux,
        remote=_pair(leg.remote_rtp),
        rtp_partner=other_rtp,
        rtcp_partner=other_rtcp if leg.mux else None,
        receive=placed.cryptos.get(f"{side}_receive") if leg.receive else None,
        send=placed.cryptos.get(f"{side}_send") if leg.send else None,
        secure=leg.secure,
        may_send=leg.may_send,
        may_receive=leg.may_receive,
        latching=leg.latching.value,
        blocked=leg.blocked,
        feedback=leg.feedback,
        payload_types=payload_types,
        extensions=extensions,
        tos=leg.tos or 0,
    )
    yield rtp
    if not leg.mux:
        # RTCP flows whatever the direction attribute says (RFC 3264 section 5.1)
        yield replace(
            rtp,
            slot=placed.flows[f"{side}_rtcp"],
            port=ours.rtcp,
            rtp=False,
            rtcp=True,
            remote=_pair(leg.remote_rtcp),
            rtp_partner=None,
            rtcp_partner=other_rtcp,
            may_send=True,
            may_receive=True,
            payload_types=(),
            extensions=None,
        )


def _tap_flows(
    side: str, leg: LegMedia, interface: str, ours: LocalPorts, placed: PlacedStream
) -> Iterator[InstallFlow]:
    """Of a leg that gets copies: as any leg's, but heard by nobody. `_chained` says whom it follows."""
    if leg.interface:
        for flow in _flows(side, leg, interface, ours, placed, None, None):
            yield replace(flow, tap=True)


def _rewriting(leg: LegMedia) -> tuple[Pairs, Pairs | None]:
    """Numbers for RTP towards a leg. What comes back to its own sender has the right ones. InvalidRequest: more than a
    flow has room for, or none that RTP can carry (RFC 5761 section 4, RFC 8285)."""
    types, extensions = leg.payload_types, leg.extensions
    if len(types) > MOST_PAYLOAD_TYPES or any(
        not 0 <= before < 128 or now not in PAYLOAD_TYPES for before, now in types
    ):
        raise InvalidRequest("payload types cannot be mapped so", "payload_types")
    if extensions is not None and (
        len(extensions) > MOST_EXTENSIONS or any(not 0 < number < 256 for pair in extensions for number in pair)
    ):
        raise InvalidRequest("header extensions cannot be mapped so", "extensions")
    if leg.tos is not None and not 0 <= leg.tos < 256:
        raise InvalidRequest("TOS is one octet", "tos")
    return ((), None) if leg.echo else (types, extensions)


def _pair(address: Address | None) -> tuple[str, int] | None:
    return None if address is None or not address.port else (address.host, address.port)


def _context(slot: int, spec: ContextSpec, send: bool) -> Context:
    transform = transform_of(spec.suite)
    if not spec.keys:
        raise InvalidRequest("a context needs at least one master key", "keys")
    keys = [_key(key, transform) for key in spec.keys]
    install = InstallCrypto(
        slot=slot,
        transform=transform,
        key=keys[0],
        send=send,
        window=spec.window,
        kdr_log2=spec.kdr_log2,
        encrypt_rtp=spec.encrypt_rtp,
        encrypt_rtcp=spec.encrypt_rtcp,
        authenticate_rtp=spec.authenticate_rtp,
        ssrc_limit=spec.ssrc_limit,
        initial_roc=spec.initial_roc,
    )
    if spec.srtcp_tag_as_srtp:
        install = replace(install, transform=replace(transform, rtcp_tag=transform.rtp_tag))
    return Context(install, tuple(AddKey(slot, key) for key in keys[1:]))


def _key(key: MasterKey, transform: Transform) -> MasterKeyBytes:
    if len(key.key) != transform.key_octets or len(key.salt) != transform.salt_octets:
        raise InvalidRequest("length of key or salt does not fit the suite", "keys")
    return MasterKeyBytes(key.key, key.salt, key.mki, key.rtp_lifetime, key.rtcp_lifetime)


def transform_of(suite: str) -> Transform:
    """The numbers behind a suite name. InvalidRequest when the table has no such row."""
    row = suites.find(suite)
    if row is None:
        raise InvalidRequest(f"unknown suite: {suite[:40]!r}", "suite")
    return Transform(row.cipher, row.auth, row.key_octets, row.salt_octets, row.rtp_tag, row.rtcp_tag)
