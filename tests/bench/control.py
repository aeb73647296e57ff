"""`python -m tests.bench.control`: CPU of the control process for what happens to a call, each step by itself; of all
calls the tenth best, which is what it costs when nobody else takes the caches.

Everything is real but the wire: NG messages, negotiation, books, the record (sealed, SQLite), commands in the ring of a
worker of this process, whose turns are not counted. Calls come one by one, as in a gateway that is not busy: no step
profits from another's transaction. Two kinds of calls: RTP to SDES, and RTP to DTLS-SRTP, whose keys come by
themselves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import gc
import os
import pstats
import re
import sys
import tempfile
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bencodepy
from prometheus_client import CollectorRegistry

from appliance.api.ng_commands import NgCommands
from appliance.api.ng_requests import NgRequests
from appliance.api.ng_rules import NgRules
from appliance.calls.keying import Keying
from appliance.calls.keying_install import Installer
from appliance.calls.media import Address, ContextSpec, DtlsMedia, Fingerprint, MasterKey
from appliance.calls.service import CallService, Facts
from appliance.calls.snapshots import Snapshots
from appliance.config.security import Security
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.injector import Injector
from appliance.placement.inventory import Inventory
from appliance.placement.reconciler import Reconciler
from appliance.policy.defaults import media_options
from appliance.protocols.dtls import certificates
from appliance.protocols.dtls.outputs import KeysReady
from appliance.state.store import CallStore
from appliance.state.vault import Vault
from appliance.telemetry import logs
from appliance.telemetry.keying_metrics import KeyingMetrics
from appliance.turn import Turn
from tests.appliance.packet_plane import PacketPlane

PEER, FINGERPRINT = Address("127.0.0.1", 50_000), Fingerprint("sha-256", bytes(range(32)))
STEPS = ("offer", "answer", "keys", "delete")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.control", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=500, help="of each kind")
    parser.add_argument("--profile", metavar="STEP", choices=STEPS, help="where one step's time goes")
    options = parser.parse_args(arguments)
    logs.configure()
    with tempfile.TemporaryDirectory(prefix="srtpgw-control-", dir="/dev/shm") as name:
        asyncio.run(measure(Path(name), options.calls, options.profile or ""))
    return 0


async def measure(folder: Path, calls: int, profiled: str) -> None:
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    bench = _Bench(folder, profiled)
    for kind in ("sdes", "dtls"):
        bench.used.clear()
        for number in range(-20, calls):
            await bench.call(kind, number)
        print(kind, {step: f"{1e6 * sorted(took)[len(took) // 10]:.0f} us" for step, took in bench.used.items()})
    if profiled:
        pstats.Stats(bench.profile).sort_stats("tottime").print_stats(45)


class _Plane(PacketPlane):
    """Takes the time of the worker's turns."""

    def __init__(self) -> None:
        super().__init__(1)
        self.turns = 0.0

    def poll(self) -> list[Any]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        begin = time.process_time()
        for _ in range(8):
            self.team.turn()
        self.turns += time.process_time() - begin
        news: list[Any] = []
        self.team.mailboxes[0].take(news)
        return news


class _Associations:
    """None has a peer: the bench says when one is done."""

    last = 0

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None = None) -> None:
        self.last = key

    def expect(self, key: int, fingerprints: Any, remote: Address | None = None) -> None:
        pass

    def datagram(self, key: int, source: Address, data: bytes) -> None:
        pass

    def go(self, key: int, source: Address) -> None:
        pass

    def close(self, key: int) -> None:
        pass


class _Bench:
    """A control process in this one, put together as gateway.py does it."""

    def __init__(self, folder: Path, profiled: str) -> None:
        self.used: dict[str, list[float]] = defaultdict(list)
        self.profile, self._profiled = cProfile.Profile(), profiled
        self.plane = _Plane()
        turn = Turn()
        dispatcher, inventory = Dispatcher(self.plane, turn=turn), Inventory(self.plane.info, 0.0)
        reconciler = Reconciler(inventory, dispatcher, self.plane)  # type: ignore[arg-type]
        self.store = CallStore(folder / "calls.db", Vault(bytes(32)), turn=turn)
        ours = certificates.make(datetime.now(UTC))
        calls = CallService(
            reconciler, self.store, Snapshots(self.plane, inventory), Facts(default_interface="default"),
            certificates=lambda name: ours,
        )  # fmt: skip
        metrics = KeyingMetrics(CollectorRegistry())
        installer = Installer(calls.ledger, metrics, keyed=calls.new_keys)
        self.keying = Keying(installer, Injector(self.plane).inject, metrics)
        self.associations = _Associations()
        self.keying.associations = self.associations
        calls.ledger.keying = self.keying
        self.calls = calls
        defaults = media_options(Security(), window=128, ssrc_limit=16)
        self.ng = NgRequests(NgCommands(calls, NgRules(lambda: defaults)), ["127.0.0.1"], turn=turn)
        asyncio.get_running_loop().add_reader(self.plane.fileno(), dispatcher.pump)

    async def call(self, kind: str, number: int) -> None:
        words = {"call-id": f"{kind}-{number}-0123456789abcdef@192.0.2.1", "from-tag": "a", "ICE": "remove"}
        words["flags"] = ["trust-address", "signalling-secure", "signalling-secure-out"]
        secure = kind == "dtls"
        profile = "UDP/TLS/RTP/SAVP" if secure else "RTP/SAVP"
        offer = await self._ask(
            "offer", sdp=_sdp("RTP/AVP"), **words, **{"transport-protocol": profile, "rtcp-mux": ["offer"]},
            **({} if secure else {"SDES": ["only-AES_CM_128_HMAC_SHA1_80"], "DTLS": "off"}),
        )  # fmt: skip
        lines = "a=rtcp-mux\r\n"
        if secure:
            value = FINGERPRINT.value.hex(":").upper()
            lines += f"a=setup:active\r\na=fingerprint:sha-256 {value}\r\n"
        else:
            tag = re.search(r"a=crypto:(\d+) ", offer["sdp"])[1]  # type: ignore[index]
            key = b64encode(os.urandom(30)).decode()
            lines += f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
        await self._ask("answer", sdp=_sdp(profile) + lines, **words, **{"to-tag": "b"})
        if secure:
            await self._keys()
        await self._ask("delete", **words)

    async def _ask(self, command: str, **words: Any) -> dict[str, str]:
        data = os.urandom(4).hex().encode() + b" " + bencodepy.encode({"command": command, **words})
        with self._counted(command):
            reply = await self.ng.ask(data, "127.0.0.1")
            await asyncio.sleep(0)
        read = {key.decode(): value for key, value in bencodepy.decode(reply.partition(b" ")[2]).items()}
        assert read["result"] == b"ok", reply
        return {key: value.decode() for key, value in read.items() if isinstance(value, bytes)}

    async def _keys(self) -> None:
        def context() -> ContextSpec:
            return ContextSpec("AEAD_AES_128_GCM", (MasterKey(os.urandom(16), os.urandom(12)),))

        what = KeysReady("AEAD_AES_128_GCM", context(), context(), FINGERPRINT)
        settled = asyncio.Event()
        let_go = self.keying._let_go
        installer = self.keying._installer
        installer.on_settled = lambda transport: (let_go(transport), settled.set())[0]
        with self._counted("keys"):
            self.keying.event(self.associations.last, PEER, what)
            await settled.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def _counted(self, step: str) -> Iterator[None]:
        turns, begin = self.plane.turns, time.process_time()
        if self._profiled == step:
            self.profile.enable()
        yield
        self.profile.disable()
        self.used[step].append(time.process_time() - begin - self.plane.turns + turns)


def _sdp(profile: str) -> str:
    codecs = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    return f"{session}m=audio {PEER.port} {profile} 0 8 101\r\n{codecs}a=sendrecv\r\n"


if __name__ == "__main__":
    sys.exit(main())
