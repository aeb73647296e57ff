"""Debian's rtpengine (10.5) as the peer of ICE: a call through both, ICE between them (G20, ICE-2 to ICE-4).

It overlooks a=ice-lite of a session, asks for no consent, and is lite itself when told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.ice_peer import PlainPeer, rtp
from tests.system.ng import NgClient
from tests.system.rtpengine import PROGRAM, rtpengine
from tests.system.stack import running

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(60),
    pytest.mark.skipif(PROGRAM is None, reason="not installed: rtpengine"),
]

INNER = {"ICE": "force", "rtcp-mux": ["offer", "require"], "transport-protocol": "RTP/AVP"}
OUTER = {"ICE": "remove", "rtcp-mux": ["demux"], "transport-protocol": "RTP/AVP"}
LITE, FULL = {"ICE-lite": "both"}, {"ICE-lite": "off"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NgClient, NgClient]]:
    """This gateway and rtpengine."""
    log = tmp_path_factory.mktemp("rtpengine") / "log"
    with running(42250, 42289, 42240) as stack, rtpengine(42291, (42300, 42339), log=Path(log)) as (other, _):
        client = NgClient(stack.ng)
        yield client, other
        client.close()


@pytest.mark.row("G20", "ICE-2", "ICE-3", "ICE-4")
@pytest.mark.parametrize("we_offer", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), [(LITE, {}), (FULL, {}), (FULL, LITE), (LITE, LITE)])
async def test_a_call_through_both(
    both: tuple[NgClient, NgClient], ours: dict[str, Any], theirs: dict[str, Any], we_offer: bool
) -> None:
    """Lite and full in every combination, each of both offering; plain RTP at the ends."""
    clients, words = (both, (ours, theirs)) if we_offer else (both[::-1], (theirs, ours))
    first, last, name = PlainPeer(), PlainPeer(), f"through-{ours}-{theirs}-{we_offer}"
    await first.open()
    await last.open()

    async def ask(place: int, command: str, sdp: str, tag: str, **more: Any) -> str:
        """`place`: 0 is the one who offers ICE to the other."""
        reply = await asyncio.to_thread(
            clients[place].request, command, call_id=name, from_tag="a", sdp=sdp, **{**more, **words[place]},
            **({"to_tag": tag} if tag else {}),
        )  # fmt: skip
        return str(reply["sdp"])

    try:
        inner = await ask(0, "offer", first.sdp(), "", **INNER)
        last.hear(await ask(1, "offer", inner, "", **OUTER))
        inner = await ask(1, "answer", last.sdp(), "b", **INNER)
        first.hear(await ask(0, "answer", inner, "b", **OUTER))
        await through(first, last)
        await through(last, first)
    finally:
        for client in clients:
            await asyncio.to_thread(client.request, "delete", call_id=name, from_tag="a")
        first.close()
        last.close()


async def through(sender: PlainPeer, receiver: PlainPeer) -> None:
    """What is sent before there is a pair is lost."""
    for number in range(1, 200):
        sender.send(rtp(number))
        try:
            assert (await asyncio.wait_for(receiver.receive(), 0.05))[12:19] == b"payload"
        except TimeoutError:
            continue
        return
    raise TimeoutError("nothing arrives")
