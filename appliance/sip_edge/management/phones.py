"""Registered phones (RPC of usrloc), and users who are blocked for too many REGISTERs (rows L07, L08)."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from appliance.errors import NotFound
from appliance.sip_edge.ksr.rules import registrar as rules
from appliance.sip_edge.ksr.rules.registrar import BLOCKS, LOCATION
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.news import EdgeEvent
from appliance.sip_edge.rpc import RpcRefused, RpcUnavailable

BLOCKED = "sip_register_blocked"  # the event of the routing script

log = structlog.get_logger("srtpgw.edge")


@dataclass(frozen=True)
class Contact:
    user: str
    uri: str
    expires_s: int
    user_agent: str
    received: str  # where it really is; "": as its URI says


@dataclass(frozen=True)
class Block:
    """`key`: user, source address, or user@address, as the settings count."""

    key: str
    attempts: int
    since: int  # seconds since the epoch
    until: int

    @property
    def address(self) -> str:
        """Whose requests are blocked; empty: the user's from everywhere."""
        source = self.key.rpartition("@")[2]
        try:
            return str(ipaddress.ip_address(source))
        except ValueError:
            return ""


GONE = frozenset({"deleted", "expired"})  # in Kamailio's memory until its timer has been to the database
OFF = "the registrar is off (sip_registrar.enabled)"  # Kamailio does not know what it is asked for


class Phones:
    """What Kamailio's registrar has in memory."""

    def __init__(self, edge: Edge, block_s: int) -> None:
        self._edge, self._block_s = edge, block_s
        self._storing: set[asyncio.Task[None]] = set()

    async def contacts(self) -> list[Contact]:
        """Of all users. NotFound without a registrar; RpcUnavailable."""
        try:
            domains = (await self._edge.rpc.dump("ul.dump"))["Domains"]
        except RpcRefused:
            raise NotFound(OFF) from None
        return [contact for one in domains for aor in one["Domain"]["AoRs"] for contact in _contacts(aor["Info"])]

    async def deregister(self, who: str, user: str) -> None:
        """Forget all phones of a user (name@domain). NotFound, RpcUnavailable, AuditUnavailable."""
        try:
            await self._edge.tell(who, "users deregister", user, [("ul.rm", LOCATION, user)])
        except RpcRefused as error:
            raise NotFound(f"{user}: {error.message}") from None

    async def blocks(self) -> list[Block]:
        """Those that hold now. NotFound without a registrar; RpcUnavailable."""
        try:
            slots = await self._edge.rpc.dump("htable.dump", BLOCKS)
        except RpcRefused:
            raise NotFound(OFF) from None
        now = int(time.time())
        found = (self._block(one["name"], str(one["value"])) for entry in slots for one in entry["slot"])
        return sorted((one for one in found if one.until > now), key=lambda one: one.key)

    async def unblock(self, who: str, key: str) -> Block:
        """The one that held. NotFound, RpcUnavailable, AuditUnavailable."""
        block = next((one for one in await self.blocks() if one.key == key), None)
        if block is None:
            raise NotFound(f"{key} is not blocked")
        commands = [("htable.delete", BLOCKS, key), ("htable.store", BLOCKS)]
        await self._edge.tell(who, "users unblock", key, commands)
        return block

    def heard(self, event: EdgeEvent) -> None:
        """A block has begun: it goes to the database, so that it outlives Kamailio however that ends."""
        if event.event == BLOCKED and len(self._storing) < 2:  # one under way stores what it finds, one more the rest
            task = asyncio.create_task(self._store(), name="blocks of REGISTER to the database")
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)

    def _block(self, key: str, value: str) -> Block:
        seen = rules.read(value)
        return Block(key, seen.auth_count, seen.last_block, seen.last_block + self._block_s)

    async def _store(self) -> None:
        await asyncio.sleep(0.5)  # of a storm, one write
        try:
            await self._edge.rpc.call("htable.store", BLOCKS)
        except (RpcRefused, RpcUnavailable) as error:
            log.warning("blocks of REGISTER are not in the database", why=str(error))


def _contacts(aor: Mapping[str, Any]) -> list[Contact]:
    found = []
    for one in aor.get("Contacts", ()):
        contact = one["Contact"]
        expires = contact.get("Expires", 0)
        if expires in GONE:
            continue
        received = contact.get("Received", "")
        found.append(Contact(
            str(aor["AoR"]), str(contact["Address"]), int(expires) if str(expires).isdecimal() else 0,
            str(contact.get("User-Agent", "")), "" if received == "[not set]" else str(received),
        ))  # fmt: skip
    return found
