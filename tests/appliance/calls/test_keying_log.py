"""What the journal says about keys (C11, SDES-20), and that no key is in it."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace

import pytest
import structlog

from appliance.calls.keying_log import events
from appliance.calls.media import Address, ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import AnswerRequest, OfferRequest
from tests.appliance.calls.test_service import PLAIN, SECURE, answer_to
from tests.appliance.rig import OFFER, Rig


def spec(octet: int, **more: object) -> ContextSpec:
    key = MasterKey(bytes([octet]) * 32, bytes(12), b"\1", 1 << 31)
    return replace(ContextSpec("AEAD_AES_256_GCM", (key,)), **more)  # type: ignore[arg-type]


def stream(leg: LegMedia) -> StreamMedia:
    return StreamMedia("audio", leg, LegMedia("default"))


SECURED = LegMedia("default", Address("192.0.2.1", 4000), secure=True, receive=spec(1), send=spec(2))


def test_new_contexts_are_named() -> None:
    """C11: "Set Local audio crypto Key" and its remote twin, once each, with everything but the key."""
    found = list(events({}, {0: stream(SECURED)}))
    assert [(event.name, event.facts["direction"]) for event in found] == [
        ("srtp_keys", "local"), ("srtp_keys", "remote"),
    ]  # fmt: skip
    assert found[0].facts == {
        "stream": "0 audio", "leg": "a", "direction": "local", "rekeyed": False, "suite": "AEAD_AES_256_GCM",
        "key_count": 1, "inline": "***", "mkis": ["1:1"], "lifetimes": [1 << 31],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"receive": spec(1, sending_mki=b"\1", window=256)}, []),
        ({"receive": spec(3)}, ["srtp_keys"]),
        ({"remote_rtp": Address("192.0.2.2", 4000)}, ["srtp_key_kept_on_new_address"]),
        ({"remote_rtp": Address("192.0.2.1", 4002)}, ["srtp_key_kept_on_new_address"]),
        ({"remote_rtp": Address("192.0.2.2", 4000), "receive": spec(3)}, ["srtp_keys"]),
        ({"remote_rtp": None}, []),  # hold by 0.0.0.0
    ],
)
def test_only_what_changed_is_told(change: dict[str, object], names: list[str]) -> None:
    """C13, SDES-20: a new key is told as such; an old key from a new address is accepted and flagged."""
    found = list(events({0: stream(SECURED)}, {0: stream(replace(SECURED, **change))}))  # type: ignore[arg-type]
    assert [event.name for event in found] == names
    assert all(event.facts["rekeyed"] for event in found if event.name == "srtp_keys")
    assert all(event.level == logging.INFO for event in found if event.name != "srtp_keys")


async def test_a_whole_call_logs_its_keys_and_shows_none(caplog: pytest.LogCaptureFixture) -> None:
    """C11, H3: one line for each context of the call, under its Call-ID."""
    rig = Rig()
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        offered = (await rig.calls.offer(OfferRequest("c1", "a", OFFER, SECURE))).sdp
        await rig.calls.answer(AnswerRequest("c1", "a", "b", answer_to(offered), PLAIN))
    told = [line for line in lines if line["event"] == "srtp_keys"]
    assert [(line["call"], line["leg"]) for line in told] == [("c1", "b")] * 2
    assert [line["direction"] for line in told] == ["local", "remote"]
    call = rig.calls.ledger.registry.get("c1")
    assert call
    leg = call.branches[0].media[0].b
    assert leg.send and leg.receive
    for key in (*leg.send.keys, *leg.receive.keys):
        for shown in (base64.b64encode(key.key + key.salt).decode()[:20], key.key.hex(), repr(key.key)[2:-1]):
            assert shown not in str(lines)
