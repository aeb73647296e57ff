"""How long connections may say nothing (K10, G6): decisions, and the script against a fake Kamailio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.sip_edge.areas import streams as area
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.streams import StreamRules, Watch
from tests.appliance.sip_edge.fake_ksr import FakeKSR

pytestmark = pytest.mark.row("K10")

RULES = StreamRules(enabled=True, plain=(10, 3605), protected=(20, 3600))
TABLE = RoutingTable(streams=RULES)


def connection(number: int, kind: str = "TCP", lifetime: int = 10) -> dict[str, Any]:
    return {"id": number, "type": kind, "lifetime": lifetime}


def test_each_kind_has_its_time() -> None:
    watch = Watch(RULES)
    listed = [connection(1), connection(2, "TLS", 20), connection(3, "WS"), connection(4, "WSS", 20)]
    assert watch.overdue(listed, 100.0) == []
    assert watch.overdue(listed, 109.9) == []
    assert watch.overdue(listed, 110.0) == [1, 3]
    assert watch.overdue(listed, 120.0) == [1, 2, 3, 4]


def test_octets_do_not_lengthen_it_and_messages_do() -> None:
    """Kamailio's own timeout begins anew with each octet; here only a lifetime that the script gave counts."""
    watch = Watch(RULES)
    watch.overdue([connection(1), connection(2)], 0.0)
    assert watch.overdue([connection(1), connection(2, lifetime=3605)], 10.0) == [1]


def test_a_sessions_peer_answers_pings() -> None:
    """So silence is the end sooner than on a connection where nobody need say anything."""
    rules = StreamRules(True, (10, 3605), (20, 3600), session_s=15)
    assert [rules.times(name) for name in ("tcp", "TLS", "WS", "wss", "udp")] == [
        (10, 3605), (20, 3600), (10, 15), (20, 21), None,
    ]  # fmt: skip


def test_what_is_gone_is_forgotten() -> None:
    watch = Watch(RULES)
    watch.overdue([connection(1)], 0.0)
    watch.overdue([], 1.0)
    assert watch.since == {}
    assert watch.overdue([connection(1)], 11.0) == []


def test_a_good_message_lengthens_a_connections_life(ksr: FakeKSR) -> None:
    from appliance.sip_edge.ksr import streams

    ksr.variables |= {"$proto": "tls", "$si": "192.0.2.1", "$sp": 5061}
    ksr.answers["htable.sht_get"] = None
    streams.note(TABLE)
    ksr.variables["$proto"] = "tcp"
    ksr.answers["htable.sht_get"] = 1
    streams.note(TABLE)
    ksr.variables["$proto"] = "udp"
    streams.note(TABLE)
    streams.note(RoutingTable())
    assert ksr.called("tcpops.tcp_set_connection_lifetime") == [(3600,), (3605,)]
    assert ksr.called("htable.sht_seti") == [("streams", "192.0.2.1:5061", 1)]


@pytest.mark.parametrize(("transport", "word"), [("tls", "tls_unused"), ("tcp", "tcp_unused")])
def test_connections_that_were_of_no_use_are_counted(ksr: FakeKSR, transport: str, word: str) -> None:
    """A failed handshake or a probe; not one that brought a message."""
    from appliance.sip_edge.ksr import streams

    ksr.variables |= {"$proto": transport, "$si": "192.0.2.1", "$sp": 5061}
    ksr.answers["htable.sht_get"] = None
    streams.closed(TABLE)
    assert ksr.called("htable.sht_inc") == [("rules", word)]
    ksr.answers["htable.sht_get"] = 1
    streams.closed(TABLE)
    streams.closed(RoutingTable())
    assert ksr.called("htable.sht_inc") == [("rules", word)]
    assert ksr.called("htable.sht_rm") == [("streams", "192.0.2.1:5061")]


@pytest.mark.parametrize("listed", [[connection(7)], connection(7)])
def test_the_timer_closes_what_is_overdue(ksr: FakeKSR, monkeypatch: pytest.MonkeyPatch, listed: Any) -> None:
    """Kamailio lists one connection as an object or as a list of one."""
    from appliance.sip_edge.ksr import streams

    now = [0.0]
    monkeypatch.setattr(streams.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(streams, "_watch", Watch(StreamRules()))
    ksr.variables["$jsonrpl(body)"] = json.dumps({"result": listed})
    streams.look(TABLE)
    assert not ksr.called("tcpops.tcp_close_connection_id")
    now[0] = 10.0
    streams.look(TABLE)
    assert ksr.called("tcpops.tcp_close_connection_id") == [(7,)]
    assert ksr.called("htable.sht_inc") == [("rules", "stream_silent")]
    ksr.variables["$jsonrpl(body)"] = json.dumps({"error": {"code": 500}})
    streams.look(TABLE)


def test_an_edge_without_streams_has_no_timer() -> None:
    made = area.area(Settings.model_validate({"sip": {"listen": ["udp:127.0.0.1:5060"]}}), None)  # type: ignore[arg-type]
    assert made.modules == ()
    given = Settings.model_validate({"sip_tcp": {"first_request_s": 8}, "paths": {"state": str(Path("/nowhere"))}})
    made = area.area(given, None)  # type: ignore[arg-type]
    assert ("tcp_connection_lifetime", 8) in made.globals
    assert ("rtimer", "timer", "name=streams;interval=2;mode=1;") in made.parameters
