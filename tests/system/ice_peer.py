"""A peer with full ICE that is not ours: aioice on loopback, SDP around it, RTP datagrams through it."""

from __future__ import annotations

import asyncio
import secrets

import aioice
import aioice.ice

LOOPBACK = "127.0.31.1"  # aioice takes any port: here no gateway of another test claims it
GATEWAY = "127.0.0.1"


class IcePeer:
    """One audio stream with rtcp-mux. `controlling`: it made the offer."""

    def __init__(self, *, controlling: bool) -> None:
        self.ice = aioice.Connection(controlling, components=1, use_ipv6=False)

    async def gather(self) -> None:
        """Candidates on loopback, which aioice leaves out otherwise."""
        found, aioice.ice.get_host_addresses = aioice.ice.get_host_addresses, lambda use_ipv4, use_ipv6: [LOOPBACK]
        try:
            await self.ice.gather_candidates()
        finally:
            aioice.ice.get_host_addresses = found

    def lines(self) -> list[str]:
        """Values of a=candidate."""
        return [candidate.to_sdp() for candidate in self.ice.local_candidates]

    def sdp(self, *, trickle: bool = False, protocol: str = "RTP/AVP") -> str:
        """Without candidates where they trickle."""
        port = 9 if trickle else self.ice.local_candidates[0].port
        lines = [
            "v=0", f"o=- {secrets.randbelow(2**31)} 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0",
            *(["a=ice-options:trickle"] if trickle else []),
            f"m=audio {port} {protocol} 0", "a=mid:audio", "a=rtcp-mux",
            f"a=ice-ufrag:{self.ice.local_username}", f"a=ice-pwd:{self.ice.local_password}",
            *([] if trickle else [f"a=candidate:{line}" for line in self.lines()]),
        ]  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines)

    def fragment(self) -> str:
        """What was left out (RFC 8840)."""
        lines = [
            f"a=ice-ufrag:{self.ice.local_username}", f"a=ice-pwd:{self.ice.local_password}", "m=audio 9 RTP/AVP 0",
            "a=mid:audio", *(f"a=candidate:{line}" for line in self.lines()), "a=end-of-candidates",
        ]  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines)

    async def hear(self, sdp: str) -> None:
        """The gateway's description."""
        said = [line[2:].partition(":")[::2] for line in sdp.splitlines() if line.startswith("a=")]
        words = dict(said)
        self.ice.remote_username, self.ice.remote_password = words["ice-ufrag"], words["ice-pwd"]
        self.ice.remote_is_lite = "ice-lite" in words
        for name, value in said:
            if name == "candidate":
                await self.ice.add_remote_candidate(aioice.Candidate.from_sdp(value))
        await self.ice.add_remote_candidate(None)

    async def connect(self) -> None:
        await asyncio.wait_for(self.ice.connect(), 10)

    async def send(self, data: bytes) -> None:
        await self.ice.sendto(data, 1)

    async def receive(self) -> bytes:
        data, _ = await asyncio.wait_for(self.ice.recvfrom(), 5)
        return bytes(data)

    async def close(self) -> None:
        await self.ice.close()


class PlainPeer(asyncio.DatagramProtocol):
    """One RTP socket without any of that."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.remote = (GATEWAY, 0)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (LOOPBACK, 0))

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def sdp(self) -> str:
        lines = [
            "v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0",
            f"m=audio {self.port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000",
            "a=sendrecv",  # without a direction aiortc is at a loss
        ]  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines)

    def hear(self, sdp: str) -> None:
        self.remote = (GATEWAY, int(sdp.partition("m=audio ")[2].split()[0]))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard.put_nowait(data)

    def send(self, data: bytes) -> None:
        self._transport.sendto(data, self.remote)

    async def receive(self) -> bytes:
        return await asyncio.wait_for(self._heard.get(), 5)

    def close(self) -> None:
        self._transport.close()


def rtp(sequence: int, text: bytes = b"payload") -> bytes:
    """PCMU, 20 ms apart."""
    return (
        b"\x80\x00"
        + sequence.to_bytes(2, "big")
        + (160 * sequence).to_bytes(4, "big")
        + b"ssrc"
        + text.ljust(160, b".")
    )
