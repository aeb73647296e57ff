"""M13: the way of bans to the media holder, with a holder that answers late, not at all, or has no room."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from appliance.sip_edge.management.ban_kernel import PATIENCE_S, WINDOW, KernelBans
from kernels.control.ban_table import FOREVER, Network
from kernels.control.bans import HeldBans
from kernels.control.commands import BanReply
from kernels.control.errors import RingFull
from tests.kernels.control.test_bans import FakeMeans


def net(number: int) -> Network:
    return ipaddress.ip_network((0x0A000000 + number, 32))


class Holder:
    """The real HeldBans over a wire that is read only when `deliver` says so."""

    def __init__(self) -> None:
        self.means = FakeMeans()
        self.held = HeldBans({"xdp": self.means}, self.means, "")
        self.messages: list[dict[str, Any]] = []
        self.tickets, self.room = 0, 1000

    def _say(self, what: str, **words: Any) -> int:
        if len(self.messages) >= self.room:
            raise RingFull
        self.tickets += 1
        self.messages.append({"ticket": self.tickets, "do": what, **words})
        return self.tickets

    def ban(self, bans: Sequence[tuple[Network, float | None]]) -> int:
        return self._say("ban", bans=[[str(network), left] for network, left in bans])

    def unban(self, networks: Sequence[Network]) -> int:
        return self._say("unban", networks=list(map(str, networks)))

    def count_bans(self, networks: Sequence[Network]) -> int:
        return self._say("count", networks=list(map(str, networks)))

    def guard_ports(self, ports: Iterable[int]) -> int:
        return self._say("guard", ports=list(ports))

    def begin_bans(self) -> int:
        return self._say("begin")

    def end_bans(self) -> int:
        return self._say("end")

    def deliver(self, bans: KernelBans) -> list[str]:
        """Read everything that was said, and answer it."""
        import json

        said, self.messages = self.messages, []
        for message in said:
            reply = self.held.obey(json.dumps(message).encode(), 0.0)
            words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in reply.items()}
            words.pop("event")
            bans.answered(BanReply(**words))
        return [message["do"] for message in said]


class Rig:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.holder = Holder()
        self.bans = KernelBans(self.holder, {5060}, lambda: self.now)

    def settle(self) -> list[str]:
        said: list[str] = []
        self.bans.pump()
        while self.holder.messages:
            said += self.holder.deliver(self.bans)
        return said


def test_start_then_changes() -> None:
    rig = Rig()
    rig.bans.start([(net(1), rig.now + 60), (net(2), FOREVER)])
    assert rig.settle() == ["guard", "begin", "ban", "end"]
    assert (rig.holder.means.ports, rig.bans.settled()) == ({5060}, True)
    rig.bans.change(net(3), rig.now + 5)
    rig.bans.change(net(1), None)
    rig.bans.change(net(4), rig.now + 5)
    assert rig.settle() == ["unban", "ban"]  # what is lifted makes room first
    assert rig.holder.means.banned == {str(net(n)) for n in (2, 3, 4)}


def test_the_last_word_counts() -> None:
    """Banned, lifted and banned again before anything was sent: one message."""
    rig = Rig()
    rig.bans.start([])
    rig.settle()
    for end in (rig.now + 1, None, rig.now + 9):
        rig.bans.change(net(1), end)
    rig.bans.change(net(2), rig.now + 9)
    rig.bans.change(net(2), None)
    rig.bans.pump()
    assert [one.get("bans") for one in rig.holder.messages if one["do"] == "ban"] == [[[str(net(1)), 9.0]]]
    rig.settle()
    assert rig.holder.means.banned == {str(net(1))}


def test_a_storm_is_batches_and_few_at_a_time() -> None:
    rig = Rig()
    rig.bans.start([])
    rig.settle()
    for n in range(10_000):
        rig.bans.change(net(n), rig.now + 60)
    rig.bans.pump()
    assert len(rig.holder.messages) == WINDOW
    assert rig.settle() == ["ban"] * 20
    assert rig.bans.state.held == 10_000


def test_a_holder_without_room_is_asked_again() -> None:
    rig = Rig()
    rig.holder.room = 1
    rig.bans.start([(net(1), FOREVER)])
    said = rig.settle()
    assert (said, rig.bans.settled()) == (["guard", "begin", "ban", "end"], True)


def test_lost_answers_make_it_say_all_again() -> None:
    """Also what the holder has and should not have."""
    rig = Rig()
    rig.bans.start([(net(1), FOREVER)])
    rig.settle()
    rig.bans.change(net(1), None)
    rig.bans.change(net(2), FOREVER)
    rig.bans.pump()
    rig.holder.messages.clear()  # lost
    rig.now += PATIENCE_S + 1
    rig.bans.tick()
    rig.settle()
    assert rig.holder.means.banned == {str(net(2))}


def test_what_the_kernel_refuses_is_told() -> None:
    rig = Rig()
    rig.holder.means.refuse = str(net(1))
    rig.bans.start([(net(1), FOREVER), (net(2), FOREVER)])
    rig.settle()
    assert rig.bans.why == "No space left on device"
    assert rig.holder.means.banned == {str(net(2))}


async def test_counts() -> None:
    rig = Rig()
    rig.bans.start([(net(n), FOREVER) for n in range(700)])
    rig.settle()
    asking = asyncio.create_task(rig.bans.dropped([net(n) for n in range(690, 710)]))
    await asyncio.sleep(0)
    rig.holder.deliver(rig.bans)
    assert await asking == [1] * 10 + [0] * 10
    rig.holder.room = 0
    assert await rig.bans.dropped([net(1)]) == [0]
