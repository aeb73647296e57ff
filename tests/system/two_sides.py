"""An edge between `parties`: one socket on each side's network, a trunk for each, a media gateway that says yes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.sip_edge import kamailio
from tests.system import kamailio_rig
from tests.system.kamailio_rig import Edge
from tests.system.parties import ACCESS, CORE, Dialog, Message, Party, dialog_of
from tests.system.targets import Gateway


def tables(edge: int, alice: int, bob: int, *, access: str = "", core: str = "") -> str:
    """What stands in `[sip]` and after it for a whole gateway between them, by their ports. `access`, `core`: more of
    these trunks."""
    return f"""listen = ["udp:{ACCESS}1:{edge}", "udp:{CORE}1:{edge}"]
workers = 1
[[trunks]]
name = "access"
match = ["{ACCESS}2/32"]
destination = "sip:{CORE}2:{bob}"
listen = "udp:{ACCESS}1:{edge}"
{access}
[[trunks]]
name = "core"
match = ["{CORE}2/32"]
destination = "sip:{ACCESS}2:{alice}"
listen = "udp:{CORE}1:{edge}"
{core}
"""


@dataclass
class Place:
    """Ports of one test: the edge's SIP and its NG one above it, then the parties'. `host`: last octet of the edge."""

    port: int
    host: int = 1
    tables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sockets(self) -> list[str]:
        return [f"udp:{network}{self.host}:{self.port}" for network in (ACCESS, CORE)]

    def settings(self, alice: Party, bob: Party) -> dict[str, Any]:
        sides = (("access", ACCESS, bob, 0), ("core", CORE, alice, 1))
        trunks = [
            {"name": name, "match": [f"{network}2/32"], "destination": other.contact.replace("party@", ""),
             "listen": self.sockets[number]}
            for name, network, other, number in sides
        ]  # fmt: skip
        sip = {"listen": self.sockets, **self.tables.get("sip", {})}
        return {"trunks": trunks, **self.tables, "sip": sip}


def made(place: Path, at: Place, alice: Party, bob: Party, longest_s: int = 0) -> Edge:
    """An edge with these settings, not started; may be made again in the same place after a change. `longest_s`: of a
    call, below what settings allow."""
    place.mkdir(exist_ok=True)
    config = kamailio_rig.configured(place, at.port, **at.settings(alice, bob))
    if longest_s:
        config = replace(config, dialog_timeout_s=longest_s)
        kamailio.prepare(config)
    return Edge(config, place / "kamailio.log")


def anew(edge: Edge, place: Path, at: Place, alice: Party, bob: Party) -> None:
    """The same edge, started with what its settings say now; `running` stops it."""
    edge.config = made(place, at, alice, bob).config
    edge.start()


@contextmanager
def running(place: Path, at: Place, alice: Party, bob: Party, longest_s: int = 0) -> Iterator[Edge]:
    edge = made(place, at, alice, bob, longest_s)
    try:
        edge.start()
        yield edge
    finally:
        edge.stop()
    assert "Traceback" not in edge.log(), edge.log()


@contextmanager
def parties(port: int, edge: int, host: int = 1, *, media: bool = False) -> Iterator[tuple[Party, Party]]:
    """Alice and Bob on ports `port` and above, and the media gateway of an edge at `edge`; with `media` a real one is
    there."""
    alice = Party(f"{ACCESS}2", port, (f"{ACCESS}{host}", edge))
    bob = Party(f"{CORE}2", port + 1, (f"{CORE}{host}", edge))
    all_of_them = (alice, bob) if media else (alice, bob, Gateway(edge + 1))
    try:
        yield alice, bob
    finally:
        for one in all_of_them:
            one.close()


def up(alice: Party, bob: Party) -> tuple[Dialog, Dialog]:
    """A call without media, answered."""
    call = alice.calls()
    invite = bob.hears("INVITE")
    ok = bob.answer(invite, 200)
    dialog = call.dialog(alice.hears(200))
    alice.within(dialog, "ACK", number=1)
    bob.hears("ACK")
    return dialog, dialog_of(invite, ok)


def done(sender: Party, receiver: Party, dialog: Dialog, method: str, status: int = 200) -> Message:
    """A request within a dialog and its answer, both of which name the dialog as their receivers know it."""
    sender.within(dialog, method)
    request = receiver.hears(method)
    receiver.answer(request, status)
    assert sender.hears(status)["Call-ID"] == dialog.call_id
    return request
