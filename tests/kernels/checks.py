"""STUN messages as a peer makes them, in plain Python and apart from kernels/wire; and an agent's state made older."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import zlib
from typing import Any

from kernels.control.commands import Address, InstallCrypto, InstallFlow, InstallIce, Punt
from tests.kernels.rig import ALICE, BOB, CM128, LocalPlane, LocalTeam, master_key

COOKIE = 0x2112A442
REQUEST, INDICATION, SUCCESS, ERROR = 0x0001, 0x0011, 0x0101, 0x0111
USERNAME, INTEGRITY, ERROR_CODE, UNKNOWN, PRIORITY, USE_CANDIDATE = 0x0006, 0x0008, 0x0009, 0x000A, 0x0024, 0x0025
CONTROLLED, CONTROLLING, FINGERPRINT, XOR_MAPPED = 0x8029, 0x802A, 0x8028, 0x0020

OURS, OUR_PASSWORD = "gate", "the+gateways/own+password"
THEIRS, THEIR_PASSWORD = "peer", "the+peers/own+password+1"
Attribute = tuple[int, bytes]


def attribute(kind: int, value: bytes = b"") -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(
    kind: int,
    attributes: list[Attribute],
    password: str | None,
    *,
    fingerprint: bool = True,
    after: list[Attribute] | None = None,
    transaction: bytes | None = None,
) -> bytes:
    """`after`: attributes behind the signature (D8)."""
    transaction = transaction or os.urandom(12)

    def head(octets: int) -> bytes:
        return struct.pack(">HHI", kind, octets, COOKIE) + transaction

    body = b"".join(attribute(*item) for item in attributes)
    if password is not None:
        signature = hmac.digest(password.encode(), head(len(body) + 24) + body, hashlib.sha1)
        body += attribute(INTEGRITY, signature)
    body += b"".join(attribute(*item) for item in after or [])
    if fingerprint:
        crc = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
        body += attribute(FINGERPRINT, crc.to_bytes(4))
    return head(len(body)) + body


def check(
    *extra: Attribute,
    nominate: bool = False,
    user: str = f"{OURS}:{THEIRS}",
    password: str | None = OUR_PASSWORD,
    priority: int = 0x6E7F1EFF,
    role: int = CONTROLLING,
    **words: Any,
) -> bytes:
    """A connectivity or consent check, of a controlling agent if `role` does not say otherwise."""
    own = [(USERNAME, user.encode()), (PRIORITY, priority.to_bytes(4)), (role, os.urandom(8))]
    if nominate:
        own.append((USE_CANDIDATE, b""))
    return message(REQUEST, [*own, *extra], password, **words)


def read(data: bytes) -> tuple[int, dict[int, bytes]]:
    """Type and attributes of an answer; asserts that header and fingerprint are right."""
    kind, octets, cookie = struct.unpack(">HHI", data[:8])
    assert (octets, cookie) == (len(data) - 20, COOKIE)
    found: dict[int, bytes] = {}
    at = 20
    while at < len(data):
        name, size = struct.unpack(">HH", data[at : at + 4])
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    assert int.from_bytes(found[FINGERPRINT]) == zlib.crc32(data[:-8]) ^ 0x5354554E
    return kind, found


def error_code(data: bytes) -> int:
    kind, found = read(data)
    assert kind == ERROR
    return found[ERROR_CODE][2] * 100 + found[ERROR_CODE][3]


def agent(slot: int = 0, **changes: Any) -> InstallIce:
    """Ours, of the flow in `slot`."""
    return InstallIce(
        **({"slot": slot, "local_ufrag": OURS, "local_pwd": OUR_PASSWORD, "remote_ufrag": THEIRS} | changes)
    )


def legs(**changes: Any) -> list[Any]:
    """Alice (flow 0, socket 0) by ICE and secure, keys 0 from her and 1 to her; Bob (flow 1, socket 1) plain."""
    web = {"latching": "authenticated", "receive": 0, "send": 1, "secure": True, "ice": True, "dtls": True} | changes
    return [
        InstallCrypto(0, CM128, master_key(0), False),
        InstallCrypto(1, CM128, master_key(1), True),
        InstallFlow(0, "memory", 0, True, True, None, 1, 1, **web),
        InstallFlow(1, "memory", 1, True, True, BOB, 0, 0, latching="off"),
        agent(),
    ]


class IcePlane(LocalPlane):
    """`legs` on one worker."""

    def __init__(self, commands: list[Any] | None = None, **words: Any) -> None:
        super().__init__(**words)
        commands = legs() if commands is None else commands
        assert self.do(*commands) == [0] * len(commands)

    def ask(self, data: bytes, source: Address = ALICE, number: int = 0) -> bytes | None:
        """Send a STUN message; its answer, which must have gone back to where it came from by the same socket."""
        sent = self.send(number, data, source=source)
        if not sent:
            return None
        ((by, answer, to),) = sent
        assert (by, to) == (number, source)
        assert answer[4:20] == data[4:20]
        return answer

    def nominate(self, source: Address = ALICE, **words: Any) -> None:
        answer = self.ask(check(nominate=True, **words), source)
        assert answer is not None
        assert read(answer)[0] == SUCCESS

    def taken(self) -> list[Punt]:
        found: list[Any] = []
        self.mailbox.take(found)
        return [item for item in found if isinstance(item, Punt)]

    def news(self) -> list[tuple[str, Address]]:
        return [(punt.data.decode(), punt.source) for punt in self.taken() if punt.kind == "ice"]

    def older(self, seconds: float, slot: int = 0) -> None:
        """As if nothing had been heard for so long."""
        make_older(self, self.mailbox.regions()["ices"] + 512 * slot, seconds)


def make_older(plane: LocalPlane | LocalTeam, agent_at: int, seconds: float) -> None:
    """Put the times of an agent (ice_table.pxd) back."""
    sources = (agent_at + 272 + 32 * i + 24 for i in range(7))
    for at in (agent_at + 8, *sources, agent_at + 496, agent_at + 504):
        then = int.from_bytes(os.pread(plane.fd, 8, at), "little")
        if then:
            os.pwrite(plane.fd, (then - int(seconds * 1e9)).to_bytes(8, "little"), at)
