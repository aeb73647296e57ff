"""A whole call service on a fake media plane, wired as gateway.py wires it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.calls.service import CallService, Facts
from appliance.calls.snapshots import Snapshots
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.inventory import Inventory
from appliance.placement.reconciler import Reconciler
from appliance.turn import Turn
from tests.appliance.fake_plane import FakePlane

OFFER = b"""v=0\r
o=alice 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 40000 RTP/AVP 0 8 101\r
a=rtpmap:101 telephone-event/8000\r
a=sendrecv\r
"""


@dataclass
class MemoryStore:
    records: dict[str, bytes] = field(default_factory=dict)
    writes: int = 0

    def put(self, name: str, record: bytes) -> None:
        self.records[name] = record
        self.writes += 1

    def flush(self) -> None:
        pass

    def remove(self, name: str) -> None:
        self.records.pop(name, None)


class Rig:
    """`plane` may be shared by two rigs: the second is the control process after a restart."""

    def __init__(
        self, plane: FakePlane | None = None, store: MemoryStore | None = None, timeout_s: float = 0.2,
        random: Callable[[int], bytes] | None = None, turn: Turn | None = None,
    ) -> None:  # fmt: skip
        self.plane = plane or FakePlane()
        self.store = store or MemoryStore()
        self.now = 100.0
        self.dispatcher = Dispatcher(self.plane, turn=turn)
        self.inventory = Inventory(self.plane.info)
        self.reconciler = Reconciler(
            self.inventory, self.dispatcher, self.plane, timeout_s=timeout_s, now=lambda: self.now
        )
        self.snapshots = Snapshots(self.plane, self.inventory)
        keywords = {} if random is None else {"random": random}
        self.calls = CallService(
            self.reconciler, self.store, self.snapshots, Facts(default_interface="default"), **keywords
        )
        asyncio.get_running_loop().add_reader(self.plane.fileno(), self.dispatcher.pump)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self.plane.fileno())

    def everything_is_free(self) -> bool:
        return all(
            worker.flows.used == worker.cryptos.used == worker.calls == 0
            and all(ports.used == 0 for ports in worker.ports.values())
            for worker in self.inventory.workers
        )


serial = itertools.count(1)


def deterministic(count: int) -> bytes:
    """Distinct octets that a test can look for."""
    return bytes((next(serial) * 37 + i * 11) % 256 for i in range(count))
