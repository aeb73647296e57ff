"""Switching a sender's key (C06) on a fake media plane: which context changes, what survives, what is refused."""

from __future__ import annotations

import re

import pytest

from appliance.calls.media import Address, ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import AnswerRequest, OfferRequest, SessionRequest
from appliance.errors import InvalidRequest, UnknownCall
from appliance.policy.options import MediaOptions, SdesOptions
from kernels.control.commands import SelectKey
from tests.appliance.calls.test_service import PLAIN, answer_to
from tests.appliance.rig import OFFER, Rig

TWO_KEYS = MediaOptions(
    transport_protocol="RTP/SAVP", sdes_requires_tls=False,
    sdes=SdesOptions(suites=("AES_CM_128_HMAC_SHA1_80",), mki_keys=2),
)  # fmt: skip
KEYS = re.compile(rb"inline:(\S+)\|1:1;inline:(\S+)\|2:1")


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def up(rig: Rig) -> bytes:
    offered = (await rig.calls.offer(OfferRequest("c1", "a", OFFER, TWO_KEYS))).sdp
    answer = KEYS.sub(rb"inline:" + b"QUFB" * 10, answer_to(offered))
    await rig.calls.answer(AnswerRequest("c1", "a", "b", answer, PLAIN))
    return offered


def sender(rig: Rig) -> ContextSpec:
    call = rig.calls.ledger.registry.get("c1")
    assert call
    spec = call.branches[0].media[0].b.send
    assert spec
    return spec


async def test_the_sender_uses_the_key_that_was_named(rig: Rig) -> None:
    """C06: TX switches on command; both keys stay in the context, in the order of the line."""
    await up(rig)
    assert [key.mki for key in sender(rig).keys] == [b"\1", b"\2"]
    before = sender(rig).keys
    worker = next(worker for worker in rig.plane.workers if worker.cryptos)
    said = len(worker.log)
    await rig.calls.switch_key("c1", 0, "b", 2)
    assert (sender(rig).sending_mki, sender(rig).keys) == (b"\2", before)
    (command,) = worker.log[said:]  # the worker is told to switch and nothing else: the context goes on
    assert isinstance(command, SelectKey) and command.mki == b"\2"
    await rig.calls.switch_key("c1", 0, "b", 1)
    assert sender(rig).sending_mki == b"\1"


async def test_a_reoffer_and_a_restart_keep_the_key_in_use(rig: Rig) -> None:
    """SDES-20: the context goes on, and so does the choice of its key."""
    offered = await up(rig)
    await rig.calls.switch_key("c1", 0, "b", 2)
    again = (await rig.calls.offer(OfferRequest("c1", "a", OFFER, TWO_KEYS, "b"))).sdp
    assert KEYS.findall(again) == KEYS.findall(offered)
    answer = KEYS.sub(rb"inline:" + b"QUFB" * 10, answer_to(again))
    await rig.calls.answer(AnswerRequest("c1", "a", "b", answer, PLAIN))
    assert sender(rig).sending_mki == b"\2"
    call = rig.calls.ledger.registry.get("c1")
    assert call and call.branches[0].negotiation
    record = call.branches[0].negotiation.to_record()
    assert type(call.branches[0].negotiation).from_record(record, lambda _: b"").to_record() == record
    assert "sending_mki" in str(record)


@pytest.mark.parametrize(
    ("stream", "leg", "mki", "why"),
    [
        (0, "b", 3, "its MKIs: 1, 2"),
        (0, "b", 300, "does not fit"),
        (0, "a", 1, "nothing is encrypted"),
        (1, "b", 1, "no such stream"),
        (0, "c", 1, "a or b"),
    ],
)
async def test_what_is_not_there_changes_nothing(rig: Rig, stream: int, leg: str, mki: int, why: str) -> None:
    await up(rig)
    before = sender(rig)
    with pytest.raises(InvalidRequest, match=why):
        await rig.calls.switch_key("c1", stream, leg, mki)
    assert sender(rig) == before
    with pytest.raises(UnknownCall):
        await rig.calls.switch_key("nobody", 0, "b", 1)


async def test_a_low_level_session(rig: Rig) -> None:
    """The same for keys that came through SessionService."""
    two = tuple(MasterKey(bytes([n]) * 16, bytes(14), mki=bytes([0, n])) for n in (1, 2))
    spec = ContextSpec("AES_CM_128_HMAC_SHA1_80", two)
    plain = LegMedia("default", Address("127.0.0.1", 40000), Address("127.0.0.1", 40001))
    secure = LegMedia("default", Address("127.0.0.1", 40002), Address("127.0.0.1", 40003), secure=True, send=spec)
    await rig.calls.create_session(SessionRequest(streams=(StreamMedia("audio", plain, secure),), call_id="c1"))
    await rig.calls.switch_key("c1", 0, "b", 2)
    assert sender(rig).sending_mki == b"\0\2"
