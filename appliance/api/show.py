"""Views of the call service to gRPC messages. Plain copying: what is not in a view (keys) cannot come out here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from appliance.calls.media import Address
from appliance.calls.views import (
    CallEvent,
    CallState,
    CallView,
    ContextView,
    Counters,
    DtlsView,
    EventKind,
    IceView,
    LegView,
    Statistics,
    StreamView,
    SubscribeReply,
    WorkerView,
)
from appliance.diagnosis.causes import Cause, Confidence, Finding
from srtpgw.v1 import calls_pb2, system_pb2, types_pb2

_STATES = {state: calls_pb2.Call.State.Value(state.name) for state in CallState}
_CAUSES = {cause: calls_pb2.Finding.Cause.Value(cause.name) for cause in Cause}
_CONFIDENCES = {sure: calls_pb2.Finding.Confidence.Value(sure.name) for sure in Confidence}
_KINDS = {kind: calls_pb2.WatchEvent.Kind.Value(kind.name) for kind in EventKind}


def call(view: CallView) -> calls_pb2.Call:
    message = calls_pb2.Call(
        call_id=view.call_id,
        state=_STATES[view.state],
        revision=view.revision,
        worker=view.worker if view.worker >= 0 else None,  # nothing of it is placed: an offer that was refused
        from_tag=view.from_tag,
        to_tag=view.to_tag,
        label=view.label,
        low_level=view.low_level,
        adopted=view.adopted,
        streams=[_stream(stream, view.low_level) for stream in view.streams],
        copies=[_stream(stream, view.low_level) for stream in view.copies],
    )
    _moment(message.create_time, view.created)
    _moment(message.update_time, view.changed)
    return message


def event(view: CallEvent) -> calls_pb2.WatchEvent:
    message = calls_pb2.WatchEvent(
        kind=_KINDS[view.kind],
        call_id=view.call_id,
        call=None if view.call is None else call(view.call),
        reason=view.reason,
        worker=view.worker if view.worker >= 0 else None,
    )
    _moment(message.time, view.time)
    return message


def why(call_id: str, findings: Iterable[Finding]) -> calls_pb2.WhyReply:
    return calls_pb2.WhyReply(call_id=call_id, findings=[_finding(finding) for finding in findings])


def _finding(view: Finding) -> calls_pb2.Finding:
    return calls_pb2.Finding(
        cause=_CAUSES[view.cause],
        confidence=_CONFIDENCES[view.confidence],
        stream=view.stream if view.stream >= 0 else None,
        leg=view.leg,
        via_branch=view.via_branch,
        sentence=view.sentence,
        advice=view.advice,
        evidence=[calls_pb2.Evidence(name=name, value=value) for name, value in view.evidence],
        fault=view.fault,
    )


def status(view: Statistics) -> system_pb2.Status:
    message = system_pb2.Status(
        version=view.version,
        uptime_s=view.uptime_s,
        port_kind=view.port_kind,
        cipher=view.cipher,
        why=view.why,
        draining=view.draining,
        calls=view.calls,
        calls_answered=view.calls_answered,
        calls_most=view.calls_most,
        calls_total=view.calls_total,
        calls_adopted=view.calls_adopted,
        calls_failed=view.calls_failed,
        records_skipped=view.records_skipped,
        call_seconds_total=view.call_seconds_total,
        requests=view.requests,
        errors=view.errors,
        workers=[_worker(worker) for worker in view.workers],
        calls_moved=view.calls_moved,
    )
    _moment(message.start_time, view.started)
    return message


def _worker(view: WorkerView) -> system_pb2.Worker:
    return system_pb2.Worker(
        index=view.index,
        cpu=max(view.cpu, 0),
        state=view.state,
        pid=max(view.pid, 0),
        restarts=view.restarts,
        heartbeat_age_s=view.heartbeat_age_s,
        busy=view.busy,
        calls=view.calls,
        flows_used=view.flows_used,
        flows=view.flows,
        cryptos_used=view.cryptos_used,
        cryptos=view.cryptos,
        ports_used=view.ports_used,
        ports_free=view.ports_free,
        counters=view.counters,
        packets_per_s=view.packets_per_s,
        drops_per_s=view.drops_per_s,
        cycles_per_packet=view.cycles_per_packet,
        headroom=view.headroom,
        headroom_packets_per_s=view.headroom_packets_per_s,
        note=view.note,
    )


def subscribed(reply: SubscribeReply) -> calls_pb2.SubscribeReply:
    lines = zip(reply.from_tags, reply.lines, strict=True)
    return calls_pb2.SubscribeReply(
        sdp=reply.sdp.decode("utf-8", "replace"),
        call_id=reply.call_id,
        to_tag=reply.to_tag,
        lines=[calls_pb2.SubscribeReply.Line(from_tag=tag, stream=line) for tag, line in lines],
        warnings=reply.warnings,
    )


def _stream(view: StreamView, low_level: bool) -> calls_pb2.Stream:
    return calls_pb2.Stream(
        index=view.index,
        kind=view.kind,
        a=_leg(view.a, low_level),
        b=_leg(view.b, low_level),
        via_branch=view.via_branch,
        from_tag=view.from_tag,
        to_tag=view.to_tag,
        copies_of=view.copies_of,
        subscriber=view.subscriber,
    )


def _leg(view: LegView, low_level: bool) -> calls_pb2.Leg:
    local = view.local
    return calls_pb2.Leg(
        interface=view.interface,
        local_rtp=types_pb2.Endpoint(host=local.address, port=local.rtp),
        local_rtcp=types_pb2.Endpoint(host=local.address, port=local.rtcp),
        remote_rtp=_endpoint(view.remote_rtp),
        remote_rtcp=_endpoint(view.remote_rtcp),
        learnt_rtp=_endpoint(view.learnt_rtp),
        learnt_rtcp=_endpoint(view.learnt_rtcp),
        rtcp_mux=view.mux,
        secure=view.secure,
        key_method=_key_method(view, low_level),
        blocked=view.blocked,
        echo=view.echo,
        transcoding=view.transcoding,
        may_send=view.may_send,
        may_receive=view.may_receive,
        latching=view.latching,
        receive=_context(view.receive),
        send=_context(view.send),
        receive_also=[_context(also) for also in view.receive_also],
        rtcp_receive=_context(view.rtcp_receive),
        rtcp_send=_context(view.rtcp_send),
        dtls=_dtls(view.dtls),
        ice=_ice(view.ice),
        rtp=_counters(view.rtp),
        rtcp=_counters(view.rtcp),
        drops=view.drops,
        last_packet_age_s=view.last_packet_age_s,
        report=None if view.report is None else calls_pb2.Report(**asdict(view.report)),
        voip_metrics=None if view.voip_metrics is None else calls_pb2.VoipMetrics(**asdict(view.voip_metrics)),
    )


def _key_method(view: LegView, low_level: bool) -> calls_pb2.Leg.KeyMethod:
    if not view.secure:
        return calls_pb2.Leg.PLAIN
    if view.dtls is not None:
        return calls_pb2.Leg.DTLS
    return calls_pb2.Leg.API if low_level else calls_pb2.Leg.SDES


def _dtls(view: DtlsView | None) -> calls_pb2.Dtls | None:
    return None if view is None else calls_pb2.Dtls(**asdict(view))


def _ice(view: IceView | None) -> calls_pb2.Ice | None:
    if view is None:
        return None
    return calls_pb2.Ice(
        lite=view.lite,
        pair_rtp=_endpoint(view.pair_rtp),
        pair_rtcp=_endpoint(view.pair_rtcp),
        consent=view.consent,
        consent_age_s=view.consent_age_s,
        checks_answered=view.checks_answered,
        checks_refused=view.checks_refused,
        controlling=view.controlling,
        state=view.state,
        refused=view.refused,
    )


def _endpoint(address: Address | None) -> types_pb2.Endpoint | None:
    return None if address is None else types_pb2.Endpoint(host=address.host, port=address.port)


def _context(view: ContextView | None) -> calls_pb2.CryptoContext | None:
    if view is None:
        return None
    return calls_pb2.CryptoContext(
        suite=view.suite,
        keys=view.keys,
        mki_octets=view.mki_octets,
        ssrcs=view.ssrcs,
        roc=view.roc,
        newest_index=view.newest_index,
        packets=view.packets,
        failures=view.failures,
        highest_sequence=view.highest_sequence,
        newest_rtcp_index=view.newest_rtcp_index,
        resyncs=view.resyncs,
        each_key=[
            calls_pb2.KeyUse(
                mki=key.mki,
                in_use=key.in_use,
                rtp_packets=key.rtp_packets,
                rtcp_packets=key.rtcp_packets,
                rtp_left=key.rtp_left,
                rtcp_left=key.rtcp_left,
            )
            for key in view.each_key
        ],
    )


def _counters(view: Counters) -> calls_pb2.Counters:
    return calls_pb2.Counters(
        received_packets=view.received_packets,
        received_octets=view.received_octets,
        sent_packets=view.sent_packets,
        sent_octets=view.sent_octets,
    )


def _moment(message: calls_pb2.google_dot_protobuf_dot_timestamp__pb2.Timestamp, seconds: float) -> None:
    """Seconds since the epoch into a Timestamp, without the detour over datetime."""
    message.FromMicroseconds(int(seconds * 1e6))
