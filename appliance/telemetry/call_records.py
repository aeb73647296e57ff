"""Call records (rows J12, P04, P11): what SIP said of a call and what its media was, a line of JSON when it is over.

    sip_call, sip_failed, sip_refused of the SIP edge  \\
                                                        by Call-ID -> a line
    the media plane's last view of the call            /

Signalling ends a call first and its media a moment later, or the other way round when a peer vanished: whichever comes
first waits for the other one.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from appliance.calls.views import CallEvent, CallView, LegView
from appliance.sip_edge.management.news import EdgeEvent
from appliance.telemetry import e_model

MOST = 50_000  # calls that are remembered until they end; the oldest is written as it is
PATIENCE_S = 5.0  # how long one half waits for the other

log = structlog.get_logger("srtpgw.call_records")


@dataclass
class Media:
    """One leg of one stream, as seen from its peer; packets of RTP."""

    kind: str
    side: str  # caller, callee
    interface: str
    suite: str  # "": plain RTP
    key_exchange: str  # SDES, DTLS-SRTP; "": plain, or keys that we do not have
    received_packets: int
    received_octets: int
    lost_packets: int  # on the way from it to us
    mos: float  # of what came from it, as the other side hears it (telemetry/e_model.py); 0: nothing came, or no audio
    sent_packets: int
    sent_octets: int
    failures: int  # did not authenticate, or were replays
    drops: dict[str, int]
    peer_lost_packets: int | None = None  # of what we sent, by its last RTCP report; null: it sent none
    round_trip_ms: float | None = None  # between us and it, by RTCP; null: not known
    peer_mos: float | None = None  # that its phone gave what it heard (RFC 3611); null: it sent none


@dataclass
class Record:
    """One call. Times in seconds since the epoch, 0: it did not come to that. `status`: the last one that SIP told."""

    call_id: str
    began: float
    caller: str = ""  # trunks
    callee: str = ""
    next_hop: str = ""
    source: str = ""
    ringing: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    duration_s: float = 0.0  # from the answer on
    status: int = 0
    reason: str = ""  # rule that refused it, or why its media ended
    media: list[Media] = field(default_factory=list)


class CallRecords:
    """`heard` and `media_ended` feed it, `tick` writes what waited long enough. Never raises."""

    def __init__(self, path: Path, file_octets: int, kept: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: OrderedDict[str, Record] = OrderedDict()
        self._due: dict[str, float] = {}  # ended on one side: when it is written without the other
        self._handler = logging.handlers.RotatingFileHandler(path, maxBytes=file_octets, backupCount=kept, delay=True)
        self._handler.handleError = self._failed  # type: ignore[method-assign]
        self.written = 0

    def heard(self, event: EdgeEvent) -> None:
        """An event of the SIP edge."""
        if event.event == "sip_call":
            self._state(event)
        elif event.event in ("sip_refused", "sip_failed") and event.call_id in self._open:
            record = self._open[event.call_id]
            record.status, record.reason = event.status or record.status, event.rule or record.reason
            self._over(record, event.time)

    def media_ended(self, event: CallEvent) -> None:
        """A call of the media plane is over; `event.call` is how it was."""
        record = self._open.get(event.call_id)
        if record is None or event.call is None:
            return  # a call that is not the SIP edge's
        record.media = _media(event.call)
        if event.reason not in ("", "deleted"):
            record.reason = record.reason or event.reason
        if record.ended:
            self._write(record)
        elif record.answered or event.reason not in ("", "deleted"):
            self._over(record, event.time)

    def tick(self) -> None:
        """Once a second."""
        now = self._clock()
        for call_id in [call_id for call_id, at in self._due.items() if now >= at]:
            self._write(self._open[call_id])

    def close(self) -> None:
        """What has ended is written; calls that go on are the next process'."""
        for call_id in list(self._due):
            self._write(self._open[call_id])
        self._handler.close()

    def _state(self, event: EdgeEvent) -> None:
        record = self._open.get(event.call_id)
        if record is None:
            if event.details.get("state") == "HANGUP":
                return  # of a call that was written already
            record = self._open[event.call_id] = Record(event.call_id, event.time, source=event.source)
            while len(self._open) > MOST:
                self._write(next(iter(self._open.values())))
        for name in ("caller", "callee", "next_hop"):
            if event.details.get(name):
                setattr(record, name, event.details[name])
        match event.details.get("state"):
            case "RINGING":
                record.ringing = record.ringing or event.time
                if not record.answered:  # two processes of Kamailio may tell of 180 and 200 the other way round
                    record.status = event.status
            case "ANSWERED":
                record.answered, record.status = record.answered or event.time, event.status
            case "HANGUP":
                self._over(record, event.time)

    def _over(self, record: Record, now: float) -> None:
        record.ended = record.ended or now
        if record.media:
            self._write(record)
        else:
            self._due.setdefault(record.call_id, self._clock() + PATIENCE_S)

    def _write(self, record: Record) -> None:
        self._open.pop(record.call_id, None)
        self._due.pop(record.call_id, None)
        if record.answered and record.ended:
            record.duration_s = round(record.ended - record.answered, 3)
        line = json.dumps(asdict(record), separators=(",", ":"))
        self._handler.emit(logging.LogRecord("call", logging.INFO, "", 0, line, None, None))
        self.written += 1

    def _failed(self, record: logging.LogRecord) -> None:
        """The disk is full, or the file cannot be opened: calls go on, their records go to the log."""
        log.error("call record cannot be written", record=record.getMessage())


def _media(call: CallView) -> list[Media]:
    return [_leg(stream.kind, side, leg, other) for stream in call.streams
            for side, leg, other in (("caller", stream.a, stream.b), ("callee", stream.b, stream.a))]  # fmt: skip


def _leg(kind: str, side: str, leg: LegView, other: LegView) -> Media:
    context, rtp = leg.receive or leg.send, leg.rtp
    return Media(
        kind, side, leg.interface, context.suite if context else "", _keyed(leg),
        rtp.received_packets, rtp.received_octets, rtp.lost_packets,
        _mos(leg, other) if kind == "audio" and rtp.received_packets else 0.0, rtp.sent_packets, rtp.sent_octets,
        leg.receive.failures if leg.receive else 0, dict(leg.drops),
        leg.report.lost_packets if leg.report else None, leg.report.round_trip_ms if leg.report else None,
        leg.voip_metrics.mos_listening if leg.voip_metrics else None,
    )  # fmt: skip


def _mos(leg: LegView, other: LegView) -> float:
    """Of what `leg` sends, where `other` plays it. Sequence numbers and timestamps pass as they are, so loss and jitter
    that `other` reports are those of the whole way."""
    sent, report, phone = leg.rtp, other.report, other.voip_metrics
    played = 1 - e_model.loss_percent(sent.received_packets, sent.lost_packets) / 100
    jitter = 0.0
    if report is not None:
        expected = other.rtp.sent_packets + sent.lost_packets
        played = min(played, 1 - min(1.0, max(0, report.lost_packets) / max(1, expected)))
        jitter = report.jitter_ms or 0.0
    played *= 1 - phone.discard_rate if phone else 1
    trips = sum(one.report.round_trip_ms or 0.0 for one in (leg, other) if one.report)
    return e_model.heard(100 * (1 - played), e_model.one_way(trips, jitter, phone.jitter_buffer_ms if phone else 0.0))


def _keyed(leg: LegView) -> str:
    if leg.dtls is not None:
        return "DTLS-SRTP"
    return "SDES" if leg.secure else ""
