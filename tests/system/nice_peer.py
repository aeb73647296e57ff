"""A peer whose ICE is libnice's (`nice_agent`): full or lite, nominating as RFC 8445 or RFC 5245, with consent or
without."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.system.ice_peer import LOOPBACK

PYTHON = "/usr/bin/python3"  # Debian's: it has the bindings


class NicePeer:
    """One audio stream. `options`: libnice's, such as LITE_MODE, REGULAR_NOMINATION, CONSENT_FRESHNESS."""

    def __init__(
        self, *options: str, controlling: bool, addresses: Sequence[str] = (LOOPBACK,), components: int = 1
    ) -> None:
        self._options, self._controlling, self._addresses = options, controlling, list(addresses)
        self.components = components
        self.ufrag = self.pwd = ""
        self.candidates: list[str] = []
        self.states: dict[int, list[str]] = {}
        self._heard: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._news: asyncio.Event = asyncio.Event()

    async def gather(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            PYTHON, str(Path(__file__).with_name("nice_agent.py")), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            limit=1 << 20,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        await self._described("open", controlling=self._controlling, addresses=self._addresses,
                              components=self.components, options=self._options)  # fmt: skip

    async def restart(self) -> None:
        """New credentials, the same ports."""
        await self._described("restart")

    def sdp(self, *, protocol: str = "RTP/AVP", lines: Sequence[str] | None = None) -> str:
        """`lines`: candidates instead of its own."""
        first = self.candidates[0].split()
        family = "IP6" if ":" in first[4] else "IP4"
        said = [
            "v=0", f"o=- 1 1 IN {family} {first[4]}", "s=-", f"c=IN {family} {first[4]}", "t=0 0",
            *(["a=ice-lite"] if "LITE_MODE" in self._options else []),
            f"m=audio {first[5]} {protocol} 0", "a=mid:audio", *(["a=rtcp-mux"] if self.components == 1 else []),
            *(f"a=rtcp:{line.split()[5]}" for line in self.candidates if line.split()[1] == "2"),
            f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.pwd}",
            *(f"a=candidate:{line}" for line in (self.candidates if lines is None else lines)),
        ]  # fmt: skip
        return "".join(f"{line}\r\n" for line in said)

    async def hear(self, sdp: str) -> None:
        """The gateway's description."""
        said = [line[2:].partition(":")[::2] for line in sdp.splitlines() if line.startswith("a=")]
        words = dict(said)
        self._order("hear", ufrag=words["ice-ufrag"], pwd=words["ice-pwd"],
                    candidates=[value for name, value in said if name == "candidate"])  # fmt: skip

    async def connect(self, component: int = 1) -> None:
        """Until it has selected a pair."""
        async with asyncio.timeout(10):
            while "ready" not in self.states.get(component, [])[-1:]:
                self._news.clear()
                await self._news.wait()

    async def send(self, data: bytes, component: int = 1) -> None:
        self._order("send", component=component, data=data.hex())

    async def receive(self, component: int = 1) -> bytes:
        while True:
            found, data = await asyncio.wait_for(self._heard.get(), 5)
            if found == component:
                return data

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 5)
        await self._reading

    def _order(self, order: str, **words: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **words}).encode() + b"\n")

    async def _described(self, order: str, **words: Any) -> None:
        before = self.ufrag
        self._order(order, **words)
        async with asyncio.timeout(10):
            while self.ufrag == before:
                self._news.clear()
                await self._news.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            words = json.loads(line)
            if words["what"] == "received":
                self._heard.put_nowait((words["component"], bytes.fromhex(words["data"])))
            elif words["what"] == "state":
                self.states.setdefault(words["component"], []).append(words["state"])
            else:
                self.ufrag, self.pwd, self.candidates = words["ufrag"], words["pwd"], words["candidates"]
            self._news.set()
