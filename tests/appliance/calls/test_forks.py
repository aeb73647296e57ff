"""Forked calls through the service: answers with different to-tags to one offer without via-branch (C14, C6)."""

from __future__ import annotations

from appliance.calls.views import AnswerRequest, OfferRequest
from appliance.policy.options import MediaOptions
from tests.appliance.rig import OFFER, Rig

from .test_service import answer_to

SECURE = MediaOptions(transport_protocol="RTP/SAVP", sdes_requires_tls=False)


async def test_the_newest_answer_has_the_only_receive_context() -> None:
    """Two 18x with keys of their own: one receive context at a time, the newest to-tag's; the loser's is gone from the
    worker, so its packets are dropped; the winner's 200 brings its own back."""
    rig = Rig()
    offered = (await rig.calls.offer(OfferRequest("c1", "a", OFFER, SECURE))).sdp
    bodies = {"one": answer_to(offered, 50000, line=0), "two": answer_to(offered, 50010, line=1)}
    keys = []
    for tag in ("one", "two"):
        await rig.calls.answer(AnswerRequest("c1", "a", tag, bodies[tag], SECURE))
        [worker] = [worker for worker in rig.plane.workers if worker.flows]
        receiving = [crypto for crypto in worker.cryptos.values() if not crypto.send]
        assert len(receiving) == 1
        keys.append(receiving[0].key)
        view = rig.calls.get("c1")
        assert view.to_tag == tag and len(view.streams) == 1
    assert keys[0] != keys[1]
