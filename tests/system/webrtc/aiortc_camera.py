"""aiortc with microphone and camera. What it gets is decoded and counted.

As answerer with max-bundle aiortc 1.16 checks the candidates of the last m-line instead of the tagged one's, so it gets
no offer of m-lines at different ports; with its default policy it does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiortc import MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, VideoStreamTrack

from tests.system.webrtc.aiortc_phone import AiortcPhone, Microphone


class AiortcCamera(AiortcPhone):
    """`frames`: by kind, of what was decoded."""

    def __init__(self, role: str, said: bytes, policy: RTCBundlePolicy) -> None:
        self.policy = policy
        self.frames = {"audio": 0, "video": 0}
        super().__init__(role, said)

    def counted(self) -> dict[str, Any]:
        """getStats: outbound-rtp, and what the far end reports of it, by kind."""

        async def ask() -> dict[str, Any]:
            report = await self.connection.getStats()
            return {f"{one.type} {one.kind}": one for one in report.values() if hasattr(one, "kind")}

        return self.do(ask())

    async def _made(self, said: bytes) -> RTCPeerConnection:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=self.policy))
        connection.addTrack(Microphone(said))
        connection.addTrack(VideoStreamTrack())
        connection.on("track", lambda track: asyncio.ensure_future(self._listen(track)))
        return connection

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
                self.frames[track.kind] += 1
        except MediaStreamError:
            return
