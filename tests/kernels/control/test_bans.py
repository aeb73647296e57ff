"""M13: what the holder makes of control's words about bans; the kernel's side is tests/system/test_bans_kernel.py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from kernels.control.ban_table import BanTable, Network
from kernels.control.bans import HeldBans


class FakeMeans:
    """Counts 1 for whoever is banned."""

    def __init__(self, refuse: str = "") -> None:
        self.banned: set[str] = set()
        self.ports: set[int] = set()
        self.refuse = refuse

    def ban(self, network: Network) -> None:
        if str(network) == self.refuse:
            raise OSError(28, "No space left on device")
        self.banned.add(str(network))

    def unban(self, network: Network) -> None:
        self.banned.discard(str(network))

    def dropped(self, network: Network) -> int:
        return int(str(network) in self.banned)

    def total(self) -> int:
        return 7

    def guard(self, ports: Iterable[int]) -> None:
        self.ports = set(ports)

    def close_in_child(self) -> None:
        pass

    def close(self) -> None:
        pass


class Rig:
    def __init__(self, refuse: str = "", most: int = 100) -> None:
        self.xdp, self.sockets = FakeMeans(), FakeMeans(refuse)
        self.bans = HeldBans({"xdp": self.xdp, "sk_lookup": self.sockets}, self.sockets, "why", BanTable(most))

    def say(self, what: str, now: float = 0.0, **words: Any) -> dict[str, Any]:
        return self.bans.obey(json.dumps({"ticket": 3, "do": what, **words}).encode(), now)


def test_by_every_means_and_back() -> None:
    rig = Rig()
    reply = rig.say("ban", bans=[["192.0.2.1/32", 10], ["2001:db8::/32", None]])
    assert (reply["ticket"], reply["error"], reply["held"], reply["total"]) == (3, "", 2, {"xdp": 7, "sk_lookup": 7})
    assert rig.xdp.banned == rig.sockets.banned == {"192.0.2.1/32", "2001:db8::/32"}
    assert rig.say("count", networks=["2001:db8::/32", "192.0.2.9/32"])["dropped"] == [2, 0]
    assert rig.say("unban", networks=["192.0.2.1/32", "192.0.2.77/32"])["error"] == ""
    assert rig.xdp.banned == rig.sockets.banned == {"2001:db8::/32"}
    rig.say("guard", ports=[5060, 5061])
    assert rig.sockets.ports == {5060, 5061}


def test_ends_by_itself() -> None:
    """Control may be away when the time comes."""
    rig = Rig()
    rig.say("ban", now=100.0, bans=[["192.0.2.1/32", 10], ["192.0.2.2/32", 20]])
    rig.bans.tick(109.9)
    assert len(rig.xdp.banned) == 2
    rig.bans.tick(110.0)
    assert rig.xdp.banned == rig.sockets.banned == {"192.0.2.2/32"}


def test_full() -> None:
    """The first to end gives way, is free by every means, and is named."""
    rig = Rig(most=2)
    rig.say("ban", bans=[["192.0.2.1/32", 30], ["192.0.2.2/32", 20]])
    reply = rig.say("ban", bans=[["192.0.2.3/32", 25], ["192.0.2.4/32", 1]])
    assert (reply["gave_way"], reply["gave_way_total"]) == (["192.0.2.2/32", "192.0.2.4/32"], 2)
    assert rig.xdp.banned == {"192.0.2.1/32", "192.0.2.3/32"}


def test_what_the_kernel_refuses_is_named_and_not_half_done() -> None:
    rig = Rig(refuse="192.0.2.2/32")
    reply = rig.say("ban", bans=[["192.0.2.1/32", 30], ["192.0.2.2/32", 20], ["192.0.2.3/32", 20]])
    assert (reply["failed"], reply["error"], reply["held"]) == (["192.0.2.2/32"], "No space left on device", 2)
    assert rig.xdp.banned == {"192.0.2.1/32", "192.0.2.3/32"}


def test_a_new_control_process_brings_the_whole_list() -> None:
    """What its predecessor lifted and could not say any more ends; what stays keeps its entry."""
    rig = Rig()
    rig.say("ban", bans=[["192.0.2.1/32", None], ["192.0.2.2/32", None]])
    rig.say("begin")
    rig.say("ban", bans=[["192.0.2.2/32", None], ["192.0.2.3/32", None]])
    assert len(rig.xdp.banned) == 3
    assert rig.say("end")["held"] == 2
    assert rig.xdp.banned == {"192.0.2.2/32", "192.0.2.3/32"}
    assert rig.say("end")["held"] == 2  # without "begin": nothing


@pytest.mark.parametrize(
    "message",
    [b"", b"{", b"[]", b'"x"', b"\xff", b'{"ticket": 3}', b'{"ticket": "x", "do": "ban"}',
     b'{"ticket": 3, "do": "fly"}',
     b'{"ticket": 3, "do": "ban", "bans": [["192.0.2.1/24", 3]]}', b'{"ticket": 3, "do": "ban", "bans": [3]}',
     b'{"ticket": 3, "do": "ban", "bans": [["192.0.2.1", "soon"]]}', b'{"ticket": 3, "do": "unban", "networks": 3}',
     b'{"ticket": 3, "do": "guard", "ports": ["x"]}', b"[" * 60_000],
)  # fmt: skip
def test_what_is_not_understood_does_nothing(message: bytes) -> None:
    rig = Rig()
    reply = rig.bans.obey(message, 0.0)
    assert reply["error"].startswith("not understood")
    assert (reply["held"], rig.xdp.banned) == (0, set())


def test_one_message_is_bounded() -> None:
    rig = Rig(most=2000)
    assert rig.say("ban", bans=[[f"10.0.{i // 256}.{i % 256}", 5] for i in range(1000)])["held"] == 500
