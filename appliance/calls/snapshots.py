"""Views of calls and workers: what faces may see, read from the desired state and the arena. Never a key."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from typing import Protocol

from appliance.calls import subscribing
from appliance.calls.keying_views import dtls_view, ice_view
from appliance.calls.media import Address, ContextSpec, LegMedia, LocalPorts, StreamMedia
from appliance.calls.registry import Branch, Call
from appliance.calls.views import (
    CallState,
    CallView,
    ContextView,
    Counters,
    KeyView,
    LegView,
    ReportView,
    StreamView,
    WorkerView,
)
from appliance.placement.desired_contexts import RECEIVING, contexts
from appliance.placement.inventory import Inventory, WorkerInventory
from appliance.placement.load import Sample
from appliance.placement.placed import PlacedStream
from appliance.protocols.rtcp import voip_metrics
from appliance.protocols.rtcp.voip_metrics import VoipMetrics
from kernels.control.status import CryptoStatus, FlowStatus, KeptDatagram, KeyStatus, WorkerStatus
from kernels.wire.packet import Drop

OTHER_LAW = {"pcma": "PCMU", "pcmu": "PCMA"}
DROPS = tuple(drop.name.removeprefix("DROP_").lower() for drop in Drop if drop not in (Drop.DROP_NONE, Drop.DROP_COUNT))


class Readings(Protocol):
    """What is used of `kernels.control.plane.MediaPlane` to look at what runs."""

    def flow(self, worker: int, slot: int) -> FlowStatus: ...
    def crypto(self, worker: int, slot: int) -> CryptoStatus: ...
    def counters(self, worker: int) -> dict[str, int]: ...
    def worker(self, worker: int) -> WorkerStatus: ...
    def samples(self, worker: int, slots: Container[int]) -> list[KeptDatagram]: ...


class Snapshots:
    """Makes views. A slot that cannot be read now (being replaced, worker gone) shows zeros, never an error."""

    def __init__(self, readings: Readings, inventory: Inventory) -> None:
        self._readings, self._inventory = readings, inventory

    @property
    def readings(self) -> Readings:
        return self._readings

    def call(self, call: Call, branches: Sequence[Branch] | None = None, counters: bool = True) -> CallView:
        """`branches`: only these (those a delete ends). Without `counters` the arena is not read."""
        shown = call.branches if branches is None else branches
        first = shown[0] if shown else None
        streams = [stream for branch in shown for stream in self._streams(branch, counters)]
        state = CallState.ENDED if call.ended else CallState.ANSWERED if call.answered else CallState.OFFERED
        return CallView(
            call_id=call.call_id,
            state=state,
            created=call.created,
            changed=call.changed,
            revision=call.revision,
            worker=-1 if call.worker is None else call.worker,
            from_tag=first.from_tag if first else "",
            to_tag=first.to_tag if first else "",
            label=call.label,
            low_level=call.low_level,
            adopted=call.adopted,
            streams=tuple(stream for stream in streams if stream.copies_of is None),
            copies=tuple(stream for stream in streams if stream.copies_of is not None),
        )

    def last_packet_ns(self, branch: Branch) -> int:
        """CLOCK_MONOTONIC of the newest accepted packet on any flow of the branch, subscribers' RTCP apart; 0: none
        yet."""
        if branch.placement is None:
            return 0
        worker = branch.placement.worker
        readings = (self._flow(worker, slot) for slot, flow in branch.placement.installed.flows.items() if not flow.tap)
        return max((reading.last_packet_ns for reading in readings if reading), default=0)

    def consent_lost_ns(self, branch: Branch) -> int:
        """CLOCK_MONOTONIC when a peer last consented that does so no longer (RFC 7675), of several the first one; 0:
        all consent, or never did."""
        if branch.placement is None:
            return 0
        worker = branch.placement.worker
        agents = (reading.ice for slot, flow in branch.placement.installed.flows.items()
                  if not flow.tap and (reading := self._flow(worker, slot)) is not None)  # fmt: skip
        lost = (agent.consent_ns for agent in agents if agent is not None and not agent.consent)
        return min(filter(None, lost), default=0)

    def worker(self, index: int, calls: int) -> WorkerView:
        status, inventory = self._readings.worker(index), self._inventory[index]
        rates, limit = inventory.window.rates, self._inventory.rules().admit_below
        return WorkerView(
            index=index,
            cpu=status.cpu,
            state=_state(str(status.state), inventory),
            pid=status.pid,
            restarts=status.restarts,
            heartbeat_age_s=max(0.0, (time.monotonic_ns() - status.heartbeat_ns) / 1e9),
            busy=rates.busy,
            calls=calls,
            packets_per_s=rates.packets_per_s,
            drops_per_s=rates.drops_per_s,
            cycles_per_packet=rates.cycles_per_packet,
            headroom=rates.headroom(limit),
            headroom_packets_per_s=rates.headroom_packets_per_s(limit),
            note=inventory.note,
            flows_used=inventory.flows.used,
            flows=inventory.flows.capacity,
            cryptos_used=inventory.cryptos.used,
            cryptos=inventory.cryptos.capacity,
            ports_used={name: ports.used for name, ports in inventory.ports.items()},
            ports_free={name: ports.free for name, ports in inventory.ports.items()},
            counters=self._readings.counters(index),
        )

    def measure(self, index: int) -> None:
        """Note what a worker has done so far; the placer reads its load from the inventory."""
        counters = self._readings.counters(index)
        self._inventory[index].window.add(
            Sample(
                now_ns=time.monotonic_ns(),
                cpu_ns=counters.get("busy_ns", 0),
                work_ns=counters.get("work_ns", 0),
                packets=counters.get("received", 0),
                drops=sum(counters.get(name, 0) for name in DROPS),
            )
        )

    # ---------------------------------------------------------------- parts

    def _streams(self, branch: Branch, counters: bool) -> list[StreamView]:
        placement = branch.placement
        if placement is None:
            return []
        return [
            StreamView(
                index=line,
                kind=media.kind,
                a=self._leg(branch, line, "a", media, placement.streams[line], counters),
                b=self._leg(branch, line, "b", media, placement.streams[line], counters),
                via_branch=branch.via_branch,
                from_tag=branch.from_tag,
                to_tag=branch.to_tag,
                copies_of=media.copies_of,
                subscriber=_subscriber(branch, line) if media.copies_of is not None else "",
            )
            for line, media in branch.media.items()
            if line in placement.streams
        ]

    def _leg(
        self, branch: Branch, line: int, side: str, media: StreamMedia, placed: PlacedStream, counters: bool
    ) -> LegView:
        leg = media.leg(side)
        at, whose, there = _carrier(branch, line, side, leg, placed)  # of what streams at one port share
        worker, ours = there.placement.worker, there.placement.leg(side)
        if leg.mux:
            ours = LocalPorts(ours.address, ours.rtp, ours.rtp)
        rtp = rtcp = None
        if counters:
            rtp = self._flow(worker, placed.flows.get(f"{side}_rtp"))
            rtcp = None if leg.mux else self._flow(worker, placed.flows.get(f"{side}_rtcp"))
        return LegView(
            interface=placed.interface_a if side == "a" else placed.interface_b,
            local=ours,
            remote_rtp=leg.remote_rtp,
            remote_rtcp=leg.remote_rtcp,
            learnt_rtp=_learnt(rtp),
            learnt_rtcp=_learnt(rtcp),
            mux=leg.mux,
            secure=leg.secure,
            may_send=leg.may_send,
            may_receive=leg.may_receive,
            blocked=leg.blocked,
            echo=leg.echo,
            transcoding=_transcoding(leg),
            latching=leg.latching.value,
            receive=self._context(worker, whose.receive, there.cryptos.get(f"{side}_receive"), counters),
            send=self._context(worker, whose.send, there.cryptos.get(f"{side}_send"), counters),
            rtcp_receive=self._context(worker, leg.rtcp_receive, placed.cryptos.get(f"{side}_rtcp_receive"), counters),
            rtcp_send=self._context(worker, leg.rtcp_send, placed.cryptos.get(f"{side}_rtcp_send"), counters),
            dtls=dtls_view(branch, at, side, whose),
            ice=ice_view(whose, rtp if at == line else self._flow(worker, there.flows.get(f"{side}_rtp")), rtcp),
            receive_also=self._also(side, branch.media[at], there, counters) if whose.receive_also else (),
            rtp=_counters(rtp),
            rtcp=_counters(rtcp),
            drops=_drops(rtp, rtcp),
            last_packet_age_s=_age(rtp, rtcp),
            report=_report(rtp if leg.mux else rtcp, branch, placed),
            voip_metrics=_voip_metrics(rtp if leg.mux else rtcp),
        )

    def _also(self, side: str, media: StreamMedia, placed: PlacedStream, counters: bool) -> tuple[ContextView, ...]:
        worker, named = placed.placement.worker, contexts(media)
        views = (
            self._context(worker, named[name], placed.cryptos.get(name), counters)
            for name in RECEIVING[side][1:]
            if name in named
        )
        return tuple(view for view in views if view is not None)

    def _context(self, worker: int, spec: ContextSpec | None, slot: int | None, counters: bool) -> ContextView | None:
        if spec is None:
            return None
        mki_octets = len(spec.keys[0].mki) if spec.keys else 0
        status = self.crypto(worker, slot) if counters else None
        if status is None:
            return ContextView(suite=spec.suite, keys=len(spec.keys), mki_octets=mki_octets)
        newest = max(status.streams, key=lambda stream: stream.last_ns, default=None)
        return ContextView(
            suite=spec.suite,
            keys=status.keys,
            mki_octets=mki_octets,
            ssrcs=status.stream_count,
            roc=newest.roc if newest else 0,
            newest_index=(newest.rtp_newest or 0) if newest else 0,
            packets=status.packets,
            failures=sum(status.drops.values()),
            newest_rtcp_index=(newest.rtcp_newest or 0) if newest else 0,
            resyncs=status.resyncs,
            each_key=tuple(_key(key) for key in status.each_key),
        )

    def _flow(self, worker: int, slot: int | None) -> FlowStatus | None:
        if slot is None:
            return None
        try:
            return self._readings.flow(worker, slot)
        except (LookupError, OSError):
            return None

    def crypto(self, worker: int, slot: int | None) -> CryptoStatus | None:
        """None while it cannot be read."""
        if slot is None:
            return None
        try:
            return self._readings.crypto(worker, slot)
        except (LookupError, OSError):
            return None


def _carrier(
    branch: Branch, line: int, side: str, leg: LegMedia, placed: PlacedStream
) -> tuple[int, LegMedia, PlacedStream]:
    """The stream whose port, keys, ICE and DTLS a leg has (BUNDLE): most have their own."""
    if leg.bundle is None or not leg.bundle.member or branch.placement is None:
        return line, leg, placed
    at = leg.bundle.carrier
    if at not in branch.media or at not in branch.placement.streams:
        return line, leg, placed
    return at, branch.media[at].leg(side), branch.placement.streams[at]


def _key(key: KeyStatus) -> KeyView:
    return KeyView(
        mki=key.mki,
        in_use=key.in_use,
        rtp_packets=key.rtp_packets,
        rtcp_packets=key.rtcp_packets,
        rtp_left=max(0, key.rtp_lifetime - key.rtp_packets),
        rtcp_left=max(0, key.rtcp_lifetime - key.rtcp_packets),
    )


def _state(state: str, inventory: WorkerInventory) -> str:
    """A running worker that is wanted empty: drain, and drained once it is."""
    if state != "run" or not inventory.drained:
        return state
    return "drain" if inventory.calls else "drained"


def _subscriber(branch: Branch, line: int) -> str:
    """The tag of whose copies a stream is."""
    subscriptions = branch.subscriptions.values()
    return next((one.to_tag for one in subscriptions if any(copy.line == line for copy in one.copies)), "")


def _transcoding(leg: LegMedia) -> str:
    """Only the laws of G.711 become each other."""
    return ", ".join(f"{OTHER_LAW[law]} to {law.upper()}" for _, _, law in leg.transcode)


def _learnt(flow: FlowStatus | None) -> Address | None:
    return Address(*flow.current) if flow and flow.learnt and flow.current else None


def _counters(flow: FlowStatus | None) -> Counters:
    if flow is None:
        return Counters()
    return Counters(flow.packets_in, flow.octets_in, flow.packets_out, flow.octets_out, flow.lost)


def _drops(*flows: FlowStatus | None) -> dict[str, int]:
    drops: dict[str, int] = {}
    for flow in flows:
        for name, count in (flow.drops if flow else {}).items():
            if count:
                drops[name] = drops.get(name, 0) + count
    return drops


def _report(flow: FlowStatus | None, branch: Branch, placed: PlacedStream) -> ReportView | None:
    if flow is None or flow.report is None:
        return None
    said, clock = flow.report, _clock(branch, placed)
    jitter_ms = None if clock is None else 1000 * said.jitter / clock
    return ReportView(said.age_s, said.fraction_lost, said.lost, said.jitter, said.round_trip_ms, jitter_ms)


def _clock(branch: Branch, placed: PlacedStream) -> int | None:
    """Of the stream, which both legs share: what either party was told may leave several, the one that was answered
    fewer."""
    texts = (dict(branch.codecs.get(side, ())).get(placed.placement.leg(side).rtp, "") for side in ("a", "b"))
    return next((found for text in texts if (found := subscribing.clock(text))), None)


def _voip_metrics(flow: FlowStatus | None) -> VoipMetrics | None:
    return voip_metrics.parse(flow.voip_metrics) if flow and flow.voip_metrics else None


def _age(*flows: FlowStatus | None) -> float | None:
    last = max((flow.last_packet_ns for flow in flows if flow), default=0)
    return (time.monotonic_ns() - last) / 1e9 if last else None
