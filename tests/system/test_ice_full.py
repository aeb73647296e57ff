"""Full ICE through the whole gateway: aioice on one side, plain RTP on the other, driven over NG (G20, G21, ICE-2,
ICE-4 to ICE-6)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aioice.ice
import aiortc
import pytest
from aiortc.mediastreams import AudioStreamTrack

from tests.system.gateway import arguments, descendants
from tests.system.ice_peer import LOOPBACK, IcePeer, PlainPeer, rtp
from tests.system.lab import wait_for
from tests.system.ng import NgClient, NgError
from tests.system.stack import Stack, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

FULL = {"ICE": "force", "ICE-lite": "off", "rtcp-mux": ["offer", "require"], "transport-protocol": "RTP/AVP"}
PLAIN = {"ICE": "remove", "rtcp-mux": ["demux"], "transport-protocol": "RTP/AVP", "ICE-lite": "off"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(31820, 31899, 31810) as stack:
        yield stack


@pytest.fixture
def ng(stack: Stack) -> Iterator[NgClient]:
    client = NgClient(stack.ng)
    yield client
    client.close()


@pytest.fixture
async def plain() -> AsyncIterator[PlainPeer]:
    peer = PlainPeer()
    await peer.open()
    yield peer
    peer.close()


async def ask(ng: NgClient, command: str, **words: Any) -> dict[str, Any]:
    """Peers go on meanwhile."""
    return await asyncio.to_thread(ng.request, command, **words)


async def both_ways(peer: IcePeer, plain: PlainPeer, first: int) -> None:
    """Media; what is sent before the worker has the pair is lost."""

    async def heard_by_peer() -> bytes:
        for number in range(first, first + 100):
            plain.send(rtp(number))
            try:
                return await asyncio.wait_for(peer.receive(), 0.05)
            except TimeoutError:
                continue
        raise TimeoutError("nothing arrives at the ICE peer")

    assert (await heard_by_peer())[12:19] == b"payload"
    await peer.send(rtp(first, b"back"))
    assert (await plain.receive())[12:16] == b"back"


@pytest.mark.row("G20", "ICE-2", "ICE-4")
@pytest.mark.parametrize("conflict", [False, True])
async def test_we_offer_and_control(ng: NgClient, plain: PlainPeer, conflict: bool) -> None:
    """The plain side calls; the gateway offers full ICE, so it controls and nominates. A peer that believes to control
    too: one of both gives way."""
    peer = IcePeer(controlling=conflict)
    await peer.gather()
    try:
        offered = await ask(ng, "offer", call_id="we", from_tag="a", sdp=plain.sdp(), **FULL)
        assert "a=ice-lite" not in offered["sdp"] and "a=candidate:" in offered["sdp"]
        await peer.hear(offered["sdp"])
        answered = await ask(ng, "answer", call_id="we", from_tag="a", to_tag="b", sdp=peer.sdp(), **PLAIN)
        assert "a=ice" not in answered["sdp"]
        plain.hear(answered["sdp"])
        await peer.connect()
        await both_ways(peer, plain, 1)
    finally:
        await ask(ng, "delete", call_id="we")
        await peer.close()


@pytest.mark.row("G20", "ICE-2", "ICE-4")
async def test_they_offer_and_control(ng: NgClient, plain: PlainPeer) -> None:
    peer = IcePeer(controlling=True)
    await peer.gather()
    try:
        offered = await ask(ng, "offer", call_id="they", from_tag="a", sdp=peer.sdp(), **PLAIN)
        assert "a=ice" not in offered["sdp"] and "a=candidate" not in offered["sdp"]
        plain.hear(offered["sdp"])
        answered = await ask(ng, "answer", call_id="they", from_tag="a", to_tag="b", sdp=plain.sdp(), **FULL)
        assert "a=ice-lite" not in answered["sdp"]
        await peer.hear(answered["sdp"])
        await peer.connect()
        await both_ways(peer, plain, 1)
    finally:
        await ask(ng, "delete", call_id="they")
        await peer.close()


@pytest.mark.row("ICE-5")
async def test_restart(ng: NgClient, plain: PlainPeer) -> None:
    """A re-INVITE with other credentials from another port: media goes the old way until the new one is valid."""
    old, new = IcePeer(controlling=True), IcePeer(controlling=True)
    await old.gather()
    await new.gather()
    words = {"call_id": "restart", "from_tag": "a"}
    try:
        offered = await ask(ng, "offer", sdp=old.sdp(), **words, **PLAIN)
        plain.hear(offered["sdp"])
        answered = await ask(ng, "answer", to_tag="b", sdp=plain.sdp(), **words, **FULL)
        await old.hear(answered["sdp"])
        await old.connect()
        await both_ways(old, plain, 1)
        await ask(ng, "offer", to_tag="b", sdp=new.sdp(), **words, **PLAIN)
        await both_ways(old, plain, 100)
        again = await ask(ng, "answer", to_tag="b", sdp=plain.sdp(), **words, **FULL)
        await both_ways(old, plain, 200)
        await new.hear(again["sdp"])
        assert new.ice.remote_username not in ("", old.ice.remote_username)
        await new.connect()
        await both_ways(new, plain, 300)
    finally:
        await ask(ng, "delete", call_id="restart")
        await old.close()
        await new.close()


@pytest.mark.row("G21", "ICE-6")
async def test_candidates_trickle_in_fragments(ng: NgClient, plain: PlainPeer) -> None:
    """An answer without candidates, then `fragment`: rtpengine's way. The reply has no SDP."""
    peer = IcePeer(controlling=False)
    await peer.gather()
    try:
        offered = await ask(
            ng, "offer", call_id="trickle", from_tag="a", sdp=plain.sdp(), flags=["trickle-ICE"], **FULL
        )
        assert "trickle" in offered["sdp"]
        await peer.hear(offered["sdp"])
        answered = await ask(
            ng, "answer", call_id="trickle", from_tag="a", to_tag="b", sdp=peer.sdp(trickle=True), **PLAIN
        )
        plain.hear(answered["sdp"])
        reply = await ask(
            ng, "offer", call_id="trickle", from_tag="b", to_tag="a", sdp=peer.fragment(), flags=["fragment"]
        )
        assert reply == {"result": "ok"}
        await peer.connect()
        await both_ways(peer, plain, 1)
        with pytest.raises(NgError, match="Unknown call-id"):
            await ask(ng, "offer", call_id="nobody", from_tag="b", sdp=peer.fragment(), flags=["fragment"])
    finally:
        await ask(ng, "delete", call_id="trickle")
        await peer.close()


@pytest.mark.row("ICE-5")
async def test_a_killed_control_process_goes_on(stack: Stack, ng: NgClient, plain: PlainPeer) -> None:
    """Media never stops, and the next control process has the pair and answers for it."""
    peer = IcePeer(controlling=False)
    await peer.gather()
    try:
        offered = await ask(ng, "offer", call_id="killed", from_tag="a", sdp=plain.sdp(), **FULL)
        await peer.hear(offered["sdp"])
        answered = await ask(ng, "answer", call_id="killed", from_tag="a", to_tag="b", sdp=peer.sdp(), **PLAIN)
        plain.hear(answered["sdp"])
        await peer.connect()
        await both_ways(peer, plain, 1)
        (control,) = [pid for pid in descendants(stack.process.pid) if "appliance.gateway" in arguments(pid)]
        os.kill(control, signal.SIGKILL)
        await both_ways(peer, plain, 200)
        await asyncio.to_thread(wait_for, lambda: _other(stack, control) and stack.healthy(), 20, stack.log)
        await both_ways(peer, plain, 400)
    finally:
        await ask(ng, "delete", call_id="killed", attempts=10)
        await peer.close()


def _other(stack: Stack, control: int) -> bool:
    found = [pid for pid in descendants(stack.process.pid) if "appliance.gateway" in arguments(pid)]
    return bool(found) and found[0] != control and Path(f"/proc/{found[0]}").exists()


DTLS = FULL | {"transport-protocol": "UDP/TLS/RTP/SAVPF", "SDES": ["off"], "rtcp-mux": ["offer", "require"]}


async def heard(track: aiortc.MediaStreamTrack) -> None:
    """A frame that was decrypted and decoded."""
    assert (await asyncio.wait_for(track.recv(), 10)).samples > 0  # type: ignore[union-attr]


@pytest.mark.row("G20", "D01", "ICE-4", "A5")
@pytest.mark.parametrize("they_offer", [False, True])
async def test_aiortc(ng: NgClient, plain: PlainPeer, monkeypatch: pytest.MonkeyPatch, they_offer: bool) -> None:
    """DTLS-SRTP over full ICE on both sides, in either role: its handshake begins when a pair is valid, not before."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])
    name, peer = f"aiortc-{they_offer}", aiortc.RTCPeerConnection()
    tracks: asyncio.Queue[aiortc.MediaStreamTrack] = asyncio.Queue()
    peer.on("track", tracks.put_nowait)
    try:
        if they_offer:
            peer.addTrack(AudioStreamTrack())
            await peer.setLocalDescription(await peer.createOffer())
            offered = await ask(ng, "offer", call_id=name, from_tag="a", sdp=peer.localDescription.sdp, **PLAIN)
            plain.hear(offered["sdp"])
            answered = await ask(ng, "answer", call_id=name, from_tag="a", to_tag="b", sdp=plain.sdp(), **DTLS)
            await peer.setRemoteDescription(aiortc.RTCSessionDescription(answered["sdp"], "answer"))
        else:
            offered = await ask(ng, "offer", call_id=name, from_tag="a", sdp=plain.sdp(), **DTLS)
            await peer.setRemoteDescription(aiortc.RTCSessionDescription(offered["sdp"], "offer"))
            peer.addTrack(AudioStreamTrack())
            await peer.setLocalDescription(await peer.createAnswer())
            answered = await ask(
                ng, "answer", call_id=name, from_tag="a", to_tag="b", sdp=peer.localDescription.sdp, **PLAIN
            )
            plain.hear(answered["sdp"])
        data = await asyncio.wait_for(plain.receive(), 10)
        assert data[0] >> 6 == 2 and data[1] & 0x7F == 0 and len(data) > 100  # PCMU
        track = await asyncio.wait_for(tracks.get(), 5)

        async def talk() -> None:
            for number in range(500):
                plain.send(rtp(number, b"\xff" * 160))
                await asyncio.sleep(0.02)

        talking = asyncio.create_task(talk())
        await heard(track)
        talking.cancel()
        assert peer.iceConnectionState in ("connected", "completed")
    finally:
        await ask(ng, "delete", call_id=name)
        await peer.close()
