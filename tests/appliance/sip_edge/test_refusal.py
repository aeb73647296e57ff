"""Why the gateway refused: NG reasons to SIP statuses, and the question itself against a little NG server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance import errors
from appliance.sip_edge.ksr import refusal

FLAGS = "replace-origin ICE=remove transport-protocol=RTP/SAVP direction=a direction=b SDES-only-X SDES-order:X;Y loose"


@contextmanager
def gateway(*replies: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answers the given replies in turn on a loopback port."""
    seen: list[dict[str, Any]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def serve() -> None:
            for reply in replies:
                data, peer = server.recvfrom(65535)
                cookie, _, body = data.partition(b" ")
                seen.append(json.loads(body))
                server.sendto(cookie + b" " + json.dumps(reply).encode(), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", seen
        thread.join()


def test_flags_become_the_dictionary_that_kamailio_makes_of_them() -> None:
    """ecosystem.md 2.1."""
    assert refusal.dictionary(FLAGS) == {
        "replace": ["origin"], "ICE": "remove", "transport-protocol": "RTP/SAVP", "direction": ["a", "b"],
        "SDES": ["only-X", "order:X;Y"], "flags": ["loose"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "error", [errors.NoCapacity, errors.MediaUnavailable, errors.Draining, errors.NotAcceptable, errors.InvalidSdp]
)
def test_the_gateways_own_words_become_its_own_statuses(error: type[errors.GatewayError]) -> None:
    """errors.py is the one table of reasons: the translation agrees with it."""
    with gateway({"result": "error", "error-reason": error.reason}) as (address, seen):
        verdict = refusal.ask((address,), "call", "tag", "v=0", FLAGS, new_call=False)
    assert verdict.status == error.sip_status
    assert seen[0]["command"] == "offer"
    assert seen[0]["call-id"] == "call"


@pytest.mark.parametrize(("first", "status"), [("ok", 503), ("error", 488)])
def test_nothing_of_a_new_call_stays(first: str, status: int) -> None:
    """Neither what a refused offer left behind nor a sudden success: the INVITE's SDP was not rewritten."""
    with gateway({"result": first, "sdp": ""}, {"result": "ok"}) as (address, seen):
        assert refusal.ask((address,), "call", "tag", "v=0", FLAGS, new_call=True).status == status
    assert [request["command"] for request in seen] == ["offer", "delete"]


@pytest.mark.parametrize("first", ["ok", "error"])
def test_a_refused_reoffer_leaves_the_call_alone(first: str) -> None:
    """RFC 3261 section 14.1: the session stays as it was, so there is no delete."""
    with gateway({"result": first, "sdp": ""}) as (address, seen):
        refusal.ask((address,), "call", "tag", "v=0", FLAGS, new_call=False)
    assert [request["command"] for request in seen] == ["offer"]


def test_silence_is_503() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        assert (
            refusal.ask((f"127.0.0.1:{mute.getsockname()[1]}",), "call", "tag", "", FLAGS, new_call=True)
            == refusal.NO_ANSWER
        )
    assert refusal.ask((), "call", "tag", "", FLAGS, new_call=True) == refusal.NO_ANSWER
