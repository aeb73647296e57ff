"""H3: no octet of a key in anything that leaves the call service but the SDP it belongs into."""

from __future__ import annotations

import asyncio
import base64
import logging

import pytest

from appliance.api.ng_commands import COMMANDS, NgCommands
from appliance.api.ng_rules import NgRules
from appliance.calls.views import CallEvent, SessionRequest
from appliance.errors import GatewayError
from appliance.protocols.ng import codec
from kernels.control.commands import InstallFlow
from tests.appliance.calls.test_service import CRYPTO, answer, answer_to, offer, session
from tests.appliance.rig import Rig


def forms(material: bytes) -> list[str]:
    """A key as it might be printed; a part of it is enough."""
    part = material[:8]
    return [part.hex(), repr(part)[2:-1], base64.b64encode(material).decode()[:12], str(list(part))[1:-1]]


def assert_absent(keys: list[bytes], text: str) -> None:
    for key in keys:
        for form in forms(key):
            assert form not in text


async def test_no_key_in_views_events_replies_logs(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig()
    events: list[CallEvent] = []

    async def watch() -> None:
        async for event in rig.calls.watch():
            events.append(event)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    offered = await offer(rig)
    await answer(rig, offered)
    sdp_keys = [base64.b64decode(key) for _, _, key in CRYPTO.findall(offered + answer_to(offered))]
    low = await rig.calls.create_session(session(key=0x5A, call_id="low"))
    keys = [*sdp_keys, b"\x5a" * 16]
    installed = [crypto.key.key for worker in rig.plane.workers for crypto in worker.cryptos.values()]
    assert len(installed) == 4 and any(sdp.startswith(key) for sdp in sdp_keys for key in installed)
    ng = NgCommands(rig.calls, NgRules())
    replies = []
    for command in ("query", "list", "statistics", "delete"):
        message = codec.Message(b"1", {"command": command, "call-id": "c1"}, codec.Format.JSON)
        replies.append(await COMMANDS[command](ng, message))
    rig.plane.refuse = {InstallFlow: "EIO"}
    with pytest.raises(GatewayError) as refused:
        await rig.calls.update_session(session(41000, key=0x5A, call_id="low"))
    views = [low, rig.calls.list(10), rig.calls.statistics()]
    branches = [branch for call in rig.calls.ledger.registry for branch in call.branches]
    request: SessionRequest = session(key=0x5A)
    await asyncio.sleep(0)
    watching.cancel()
    seen = repr((events, views, replies, branches, request, rig.reconciler, rig.plane.workers)) + str(refused.value)
    out = capfd.readouterr()
    assert len(events) >= 4
    assert_absent(keys + installed, seen + caplog.text + out.out + out.err)
