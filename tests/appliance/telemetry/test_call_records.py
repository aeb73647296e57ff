"""Call records: SIP's half and the media's half, whichever comes first (rows J12, P04, P11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.calls.views import (
    CallEvent,
    CallState,
    CallView,
    ContextView,
    Counters,
    DtlsView,
    EventKind,
    LegView,
    LocalPorts,
    ReportView,
    StreamView,
)  # fmt: skip
from appliance.protocols.rtcp.voip_metrics import VoipMetrics
from appliance.sip_edge.management.news import EdgeEvent
from appliance.telemetry import call_records, e_model
from appliance.telemetry.call_records import PATIENCE_S, CallRecords

PORTS = LocalPorts("192.0.2.1", 30000, 30001)


class Rig:
    """Records in `path`, time in `now`."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 1000.0
        self.records = CallRecords(path, 65_536, 2, lambda: self.now)

    def sip(self, state: str, call_id: str = "c1", status: int = 0, **details: str) -> None:
        told = {"state": state, **details}
        who = {"call_id": call_id, "source": "10.0.0.1"}
        self.records.heard(EdgeEvent(self.now, "sip_call", status=status, details=told, **who))

    def media(self, call_id: str = "c1", reason: str = "deleted") -> None:
        plain = LegView("access", PORTS, rtp=Counters(100, 17_200, 99, 17_028, 5))
        context = ContextView("AES_CM_128_HMAC_SHA1_80", packets=99, failures=2)
        secure = LegView("core", PORTS, secure=True, receive=context, send=context, drops={"auth": 2})
        streams = (StreamView(0, "audio", plain, secure),)
        call = CallView(call_id, CallState.ANSWERED, 1000.0, self.now, 3, 0, streams=streams)
        self.records.media_ended(CallEvent(EventKind.ENDED, self.now, call_id, call, reason))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "calls.jsonl")


def answered(rig: Rig, call_id: str = "c1") -> None:
    rig.sip("NEW", call_id)
    rig.sip("INIT", call_id, caller="phones")
    rig.sip("ROUTING", call_id, callee="core", next_hop="sip:10.2.0.2")
    rig.now += 1
    rig.sip("RINGING", call_id, 180)
    rig.now += 2
    rig.sip("ANSWERED", call_id, 200)
    rig.now += 60


def test_ringing_that_is_told_late(rig: Rig) -> None:
    """J12: 180 and 200 were handled by two processes of Kamailio."""
    rig.sip("NEW")
    rig.sip("ANSWERED", status=200)
    rig.sip("RINGING", status=180)
    rig.sip("HANGUP")
    rig.media()
    assert (rig.lines[0]["status"], rig.lines[0]["ringing"] > 0) == (200, True)


@pytest.mark.parametrize("media_first", [False, True])
def test_a_call_is_one_line(rig: Rig, media_first: bool) -> None:
    """J12: trunks, times, status, and of each leg suite, packets and failures."""
    answered(rig)
    for half in (rig.media, lambda: rig.sip("HANGUP")) if media_first else (lambda: rig.sip("HANGUP"), rig.media):
        half()
        rig.now += 1
    (record,) = rig.lines
    expected = {"call_id": "c1", "caller": "phones", "callee": "core", "status": 200, "duration_s": 60.0,
                "began": 1000.0, "ringing": 1001.0}  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    plain, secure = record["media"]
    assert (plain["side"], plain["suite"], plain["received_packets"]) == ("caller", "", 100)
    assert (plain["lost_packets"], plain["key_exchange"], plain["mos"]) == (5, "", 3.95)
    assert (secure["suite"], secure["failures"], secure["key_exchange"]) == ("AES_CM_128_HMAC_SHA1_80", 2, "SDES")


def test_how_keys_were_agreed(rig: Rig) -> None:
    """J12: also by DTLS-SRTP; keys that we do not have are nobody's."""
    leg = LegView("access", PORTS, secure=True, dtls=DtlsView("client", "keyed"))
    other = LegView("core", PORTS, rtp=Counters(10, 100))
    call = CallView("c1", CallState.ANSWERED, 1.0, 2.0, 3, 0, streams=(StreamView(0, "video", leg, other),))
    answered(rig)
    rig.sip("HANGUP")
    rig.records.media_ended(CallEvent(EventKind.ENDED, rig.now, "c1", call, "deleted"))
    (record,) = rig.lines
    assert [(one["key_exchange"], one["mos"]) for one in record["media"]] == [("DTLS-SRTP", 0.0), ("", 0.0)]


def test_a_call_that_was_refused(rig: Rig) -> None:
    """P04: no media ever; written after a while, with the rule."""
    rig.sip("NEW")
    rig.records.heard(EdgeEvent(rig.now, "sip_refused", "no_trunk", 404, "c1"))
    rig.records.tick()
    assert rig.lines == []
    rig.now += PATIENCE_S
    rig.records.tick()
    assert [(one["status"], one["reason"], one["answered"]) for one in rig.lines] == [(404, "no_trunk", 0.0)]


def test_a_peer_that_vanished(rig: Rig) -> None:
    """Media ends for silence, no BYE ever comes: written all the same, and once."""
    answered(rig)
    rig.media(reason="silence")
    rig.now += PATIENCE_S
    rig.records.tick()
    rig.sip("HANGUP")
    rig.records.tick()
    assert [one["reason"] for one in rig.lines] == ["silence"]


def test_calls_of_others_are_not_recorded(rig: Rig) -> None:
    rig.media("somebody else's")
    assert rig.lines == []


def test_memory_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is written as it is."""
    monkeypatch.setattr(call_records, "MOST", 10)
    for number in range(25):
        rig.sip("NEW", f"c{number}")
    assert [one["call_id"] for one in rig.lines] == [f"c{number}" for number in range(15)]


def test_full_files_are_kept_so_many(rig: Rig) -> None:
    for number in range(400):
        answered(rig, f"c{number}")
        rig.sip("HANGUP", f"c{number}")
        rig.media(f"c{number}")
    names = sorted(path.name for path in rig.path.parent.iterdir())
    assert names == ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"]
    assert all(json.loads(line) for name in names for line in (rig.path.parent / name).read_text().splitlines())


def test_a_disk_that_refuses_stops_no_call(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "nowhere" / "calls.jsonl")
    answered(rig)
    rig.sip("HANGUP")
    rig.media()
    assert rig.records.written == 1


def metrics(discarded: float, buffer_ms: int) -> VoipMetrics:
    """Of a phone that says nothing else."""
    unknown = (None,) * 7
    return VoipMetrics(1, 0.0, discarded, 0.0, 0.0, 0, 0, 0, 0, *unknown, buffer_ms, buffer_ms, buffer_ms)


@pytest.mark.row("J12", "G12")
@pytest.mark.parametrize(
    ("callee", "caller_trip", "phone", "percent", "one_way"),
    [
        (None, None, None, 5 / 105 * 100, 0),  # nobody reports: what we lost of it
        (ReportView(1, 0, 5, 80, 40.0, 10.0), None, None, 5 / 105 * 100, 20 + 20),  # the same five packets, no others
        (ReportView(1, 0, 21, 80, 40.0, 10.0), 60.0, None, 20, 50 + 20),  # 16 more behind us, of 105
        (ReportView(1, 0, 21, 80, None, None), 60.0, None, 20, 30),
        (ReportView(1, 0, -3, 80, 40.0, 10.0), None, None, 5 / 105 * 100, 40),  # it counts duplicates
        (ReportView(1, 0, 21, 80, 40.0, 10.0), 60.0, metrics(0.25, 70), 40, 50 + 70),  # a quarter came too late
    ],
)
def test_mos_of_what_the_other_side_hears(
    callee: ReportView | None, caller_trip: float | None, phone: VoipMetrics | None, percent: float, one_way: float
) -> None:
    said = None if caller_trip is None else ReportView(1, 0, 0, 0, caller_trip)
    caller = LegView("access", PORTS, rtp=Counters(100, 17_200, 0, 0, 5), report=said)
    heard = LegView("core", PORTS, rtp=Counters(0, 0, 100, 17_200), report=callee, voip_metrics=phone)
    record, other = call_records._media(CallView("c", CallState.ANSWERED, 0, 0, 1, 0, streams=(
        StreamView(0, "audio", caller, heard),
    )))  # fmt: skip
    assert record.mos == e_model.heard(percent, one_way)
    assert other.mos == 0.0  # nothing came from it
