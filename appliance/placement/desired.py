"""What a worker should hold for one stream, as the commands that would make it so, and the difference between two
such states.

Pure. A stream has up to four flows (RTP and RTCP of legs a and b) and up to four contexts (receive and send of each
leg), and for a time up to two more for each leg to receive with (`LegMedia.receive_also`):

    leg a peer -> flow a_rtp -> open with a_receive -> partner flow b_rtp -> seal with b_send -> leg b peer

With rtcp-mux a leg has one flow for both; its RTCP partner pointers lead there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    RemoveKey,
    SelectKey,
    Transform,
)

LEGACY_KEY_OCTETS = 24  # the suites that ContextSpec.legacy_192 is about
FLOWS = ("a_rtp", "a_rtcp", "b_rtp", "b_rtcp")
MOST_ALSO = 2  # of LegMedia.receive_also that the engine asks (kernels/srtp/tables.pxd)
RECEIVING = {side: (f"{side}_receive", *(f"{side}_receive_also{n}" for n in range(MOST_ALSO))) for side in "ab"}
CRYPTOS = ("a_receive", "a_send", "b_receive", "b_send", *RECEIVING["a"][1:], *RECEIVING["b"][1:])
PAYLOAD_TYPES = frozenset((*range(64), *range(96, 128)))  # 64 to 95 would be taken for RTCP (RFC 5761 section 4)


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
    """One crypto slot: the command that installs its first key, the further keys (MKI), and which of them protects."""

    install: InstallCrypto = field(repr=False)
    further: tuple[AddKey, ...] = field(default=(), repr=False)
    sending: bytes = b""  # MKI, of a sender with several keys

    @property
    def keys(self) -> tuple[MasterKeyBytes, ...]:
        return (self.install.key, *(added.key for added in self.further))

    def continues(self, before: Context) -> bool:
        """Whether a slot that held `before` goes on with its ROC, windows and indices."""
        return bool(_secrets(self) & _secrets(before))


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


def contexts(media: StreamMedia) -> dict[str, ContextSpec]:
    """By name of CRYPTOS, those the stream uses. `receive_also` counts beside a `receive`: without it the leg is plain;
    of equal keys the first counts, and what is beyond MOST_ALSO does not."""
    named: dict[str, ContextSpec] = {}
    for side, leg in (("a", media.a), ("b", media.b)):
        named.update(zip(RECEIVING[side], _different(leg), strict=False))
        if leg.send is not None:
            named[f"{side}_send"] = leg.send
    return named


def _different(leg: LegMedia) -> list[ContextSpec]:
    specs: list[ContextSpec] = []
    for spec in () if leg.receive is None else (leg.receive, *leg.receive_also):
        if not any(_spec_secrets(spec) & _spec_secrets(known) for known in specs):
            specs.append(spec)
    return specs


def assign_cryptos(
    media: StreamMedia, held: Mapping[str, int], installed: Mapping[int, Context], take: Callable[[], int]
) -> dict[str, int]:
    """Slots for the contexts of a stream that has `held` so far. A key keeps its slot, whatever becomes of it: the one
    before a re-key goes on beside the new one with its ROC and replay windows, an offered one that is answered becomes
    the first. What is not needed any more keeps a name too, until it is given back."""
    named = contexts(media)
    free = dict(held)
    slots: dict[str, int] = {}
    for side in RECEIVING:
        wanted = [name for name in RECEIVING[side] if name in named]
        for name in wanted:
            for old in [old for old in RECEIVING[side] if old in free]:
                if free[old] in installed and _holds(installed[free[old]], named[name]):
                    slots[name] = free.pop(old)
                    break
        for name in wanted:
            if name not in slots:
                spare = [old for old in (name, *RECEIVING[side]) if old in free]
                slots[name] = free.pop(spare[0]) if spare else take()
        if f"{side}_send" in named:
            slots[f"{side}_send"] = free.pop(f"{side}_send") if f"{side}_send" in free else take()
    for old, slot in free.items():
        vacant = (name for name in (old, *RECEIVING[old[0]]) if name not in slots)
        slots[next(vacant)] = slot
    return slots


def _holds(context: Context, spec: ContextSpec) -> bool:
    return bool(_secrets(context) & _spec_secrets(spec))


def _spec_secrets(spec: ContextSpec) -> set[tuple[bytes, bytes]]:
    return {(key.key, key.salt) for key in spec.keys}


def _secrets(context: Context) -> set[tuple[bytes, bytes]]:
    return {(key.key, key.salt) for key in context.keys}


def desired_of(streams: Mapping[int, StreamMedia], placed: Mapping[int, PlacedStream]) -> Desired:
    """`desired` of all streams of a branch, by m-line, with the chains of those that are copies of others. NoCapacity,
    InvalidRequest."""
    state = merge([desired(media, placed[line]) for line, media in streams.items()])
    taps = {line: media for line, media in streams.items() if media.copies_of in streams}
    for media in taps.values():  # a copy that comes back in would be copied again
        _refuse_loop(media, *(one.placement for one in placed.values()))
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
            heard = streams[source].leg(side)
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
    named = contexts(media)
    for side in RECEIVING:
        also = None
        for name in reversed(RECEIVING[side]):  # the one that is asked first is installed last
            if name in named:
                slot = placed.cryptos[name]
                cryptos[slot] = _context(slot, named[name], False, also)
                also = slot
        if f"{side}_send" in named:
            slot = placed.cryptos[f"{side}_send"]
            cryptos[slot] = _context(slot, named[f"{side}_send"], True)
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


def _refuse_loop(media: StreamMedia, *placements: StreamPlacement) -> None:
    """A leg that names one of the stream's own ports would send every packet round for ever (A13 of
    security-and-faults). Ports of another call are somebody's legitimate hairpin."""
    ours = {
        Address(local.address, port)
        for placement in placements
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
    """Keys come and go one by one, the others keep what they know. Where no key stays, or the length of the MKI
    changes, the context is installed anew (with a key it has, it continues all the same)."""
    if before == now:
        return
    slot, mki = now.install.slot, len(now.install.key.mki)
    held = {_identity(key): key for key in before.keys} if before else {}
    kept = {_identity(key): key for key in now.keys if _identity(key) in held}
    if before is None or not kept or not mki:
        yield now.install
        yield from now.further
        if now.further and now.sending:
            yield SelectKey(slot, now.sending)
        return
    first = next(iter(kept.values()))
    if replace(before.install, key=first) != replace(now.install, key=first):
        yield replace(now.install, key=first)
    stays = now.sending if now.sending in {key.mki for key in kept.values()} else first.mki
    if now.install.send and stays != before.sending:
        yield SelectKey(slot, stays)
    yield from (RemoveKey(slot, key.mki) for key in before.keys if _identity(key) not in kept)
    yield from (AddKey(slot, key) for key in now.keys if held.get(_identity(key)) != key)  # also: another lifetime
    if now.install.send and now.sending != stays:
        yield SelectKey(slot, now.sending)


def _identity(key: MasterKeyBytes) -> tuple[bytes, bytes, bytes]:
    return key.key, key.salt, key.mki


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
        opaque=leg.opaque,
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
            yield replace(flow, tap=True, may_send=True)  # so that all it sends is dropped under one name


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


def _context(slot: int, spec: ContextSpec, send: bool, also: int | None = None) -> Context:
    transform = transform_of(spec.suite)
    keys = _keys(spec, transform)
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
        legacy_192=spec.legacy_192 and transform.key_octets == LEGACY_KEY_OCTETS,
        roc=spec.roc.value,
        also=also,
    )
    if spec.srtcp_tag_as_srtp:
        install = replace(install, transform=replace(transform, rtcp_tag=transform.rtp_tag))
    sending = spec.sending_mki or keys[0].mki if send else b""
    return Context(install, tuple(AddKey(slot, key) for key in keys[1:]), sending)


def _keys(spec: ContextSpec, transform: Transform) -> list[MasterKeyBytes]:
    """As commands carry them. InvalidRequest: none, of a wrong length, or not to be told apart by MKI (SR-15)."""
    if not spec.keys:
        raise InvalidRequest("a context needs at least one master key", "keys")
    row = _row(spec.suite)
    keys = [_key(key, transform, row) for key in spec.keys]
    mkis = {key.mki for key in keys}
    if len(mkis) < len(keys) or len({len(mki) for mki in mkis}) > 1:
        raise InvalidRequest("several keys need MKIs, different ones of one length", "keys")
    if spec.sending_mki and spec.sending_mki not in mkis:
        raise InvalidRequest("no key has the MKI to send with", "sending_mki")
    return keys


def _key(key: MasterKey, transform: Transform, row: suites.Suite) -> MasterKeyBytes:
    """A lifetime that nobody gave is the suite's (SR-14: shorter than the engine's own for some)."""
    if len(key.key) != transform.key_octets or len(key.salt) != transform.salt_octets:
        raise InvalidRequest("length of key or salt does not fit the suite", "keys")
    rtp, rtcp = key.rtp_lifetime or row.max_rtp_lifetime, key.rtcp_lifetime or row.max_rtcp_lifetime
    return MasterKeyBytes(key.key, key.salt, key.mki, rtp, rtcp)


def transform_of(suite: str) -> Transform:
    """The numbers behind a suite name. InvalidRequest when the table has no such row."""
    row = _row(suite)
    return Transform(row.cipher, row.auth, row.key_octets, row.salt_octets, row.rtp_tag, row.rtcp_tag)


def _row(suite: str) -> suites.Suite:
    row = suites.find(suite)
    if row is None:
        raise InvalidRequest(f"unknown suite: {suite[:40]!r}", "suite")
    return row
