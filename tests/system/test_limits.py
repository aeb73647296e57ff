"""Rate limits and overload on the wire (rows K08, K10)."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.targets import header

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT = 27850


def test_requests_above_a_limit_are_503(tmp_path: Path) -> None:
    """K08, P05: TAILDROP by source: so many a second pass, the rest is told when to come back; another source is not
    affected, nor another method."""
    limits = [{"name": "calls", "per": "source", "methods": ["MESSAGE"], "limit": 5, "retry_after_s": 7}]
    with running(tmp_path, PORT, sip_limits=limits, sip_flood={"enabled": False}) as edge:
        with Phone(PORT) as phone, Phone(PORT, "127.0.0.3") as other:
            replies = [phone.ask(phone.request("MESSAGE")) for _ in range(30)]
            refused = [one for one in replies if one.startswith("SIP/2.0 503")]
            assert 0 < len(replies) - len(refused) <= 10  # a second may end in between
            assert all(7 <= int(header(one, "Retry-After")) <= 14 for one in refused)
            assert other.status(other.request("MESSAGE")) == 404
            assert phone.status(phone.request("OPTIONS")) == 200
        assert counted(edge, "limit_calls") == len(refused)
        assert "limit_calls" in {one["reason"] for one in edge.events("sip_refused")}


def receivers(edge: Edge) -> list[int]:
    """Processes of Kamailio that read our UDP socket."""
    return [one["PID"] for one in edge.rpc("core.psx") if "udp receiver" in one["DSC"]]


@pytest.mark.parametrize("known", [False, True], ids=["stranger", "trunk"])
def test_under_overload_new_requests_are_shed_and_what_is_up_goes_on(tmp_path: Path, known: bool) -> None:
    """K10: Kamailio is stopped while requests pile up in its receive buffer; when it goes on, it refuses new ones
    until the buffer is emptier, earlier those of strangers, and answers requests within dialogs all the same."""
    trunks = [{"name": "peer", "match": ["127.0.0.2/32"]}] if known else []
    overload = {"shed_strangers_at": 0.3, "shed_all_at": 0.6, "retry_after_s": 3}
    with running(tmp_path, PORT, sip_overload=overload, sip_flood={"enabled": False}, trunks=trunks) as edge:
        processes = receivers(edge)
        with Phone(PORT) as phone, Phone(PORT) as within:
            for one in processes:
                os.kill(one, signal.SIGSTOP)
            messages = [phone.request() for _ in range(400)]
            for message in messages:
                phone.send(message)
            for one in processes:
                os.kill(one, signal.SIGCONT)
            replies = Counter(reply.split(" ")[1] for reply in iter(lambda: phone.receive(1.0), ""))
            assert replies["503"] > 10 and replies["200"] > 10
            assert replies["503"] + replies["200"] <= 400
            assert counted(edge, "overload") == replies["503"]
            bye = within.request("BYE").replace("To: <sip:1000@127.0.0.1>", "To: <sip:1000@127.0.0.1>;tag=x")
            assert within.status(bye) == 404  # of no dialog here, and not shed
            assert phone.status(phone.request()) == 200
        assert len(edge.events("sip_refused")) < replies["503"] + 2
