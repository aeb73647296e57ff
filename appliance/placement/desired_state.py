"""What a worker should hold, and the commands that lead from one such state to another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from appliance.placement.desired_contexts import Context
from appliance.values import frozen
from kernels.control.commands import (
    AddKey,
    Command,
    InstallFlow,
    InstallIce,
    InstallRoutes,
    MasterKeyBytes,
    RemoveCrypto,
    RemoveFlow,
    RemoveKey,
    SelectKey,
)


@frozen
class Desired:
    """By slot number. Two equal values need no command between them."""

    cryptos: Mapping[int, Context] = field(default_factory=dict)
    flows: Mapping[int, InstallFlow] = field(default_factory=dict)
    agents: Mapping[int, InstallIce] = field(default_factory=dict)  # by slot of their flow
    routes: Mapping[int, InstallRoutes] = field(default_factory=dict)  # by slot of the flow that has the port

    def told(self) -> list[Command]:
        """All that is said of flows, in an order in which it can be."""
        return [*self.flows.values(), *self.agents.values(), *self.routes.values()]


NOTHING = Desired()


def merge(parts: list[Desired]) -> Desired:
    """One state of several streams; their slots are different. Routes are not of one stream."""
    if len(parts) == 1:
        return parts[0]
    cryptos: dict[int, Context] = {}
    flows: dict[int, InstallFlow] = {}
    agents: dict[int, InstallIce] = {}
    for part in parts:
        cryptos.update(part.cryptos)
        flows.update(part.flows)
        agents.update(part.agents)
    return Desired(cryptos, flows, agents)


def diff(installed: Desired, wanted: Desired) -> list[Command]:
    """Commands that lead from one state to the other; every prefix of them is safe to stop at.

    Flows that end go first (nothing may use a context that is gone), then contexts are installed, then the flows
    that use them with their ICE agents, then the routes between those that share a port, and last go the contexts that
    nobody uses any more. A flow whose port changes is removed first, its agent and routes with it, and whoever names it
    has forgotten it: those are told again.
    """
    commands: list[Command] = []
    gone: set[int] = set()
    for slot, flow in installed.flows.items():
        now = wanted.flows.get(slot)
        if now is None or now.port != flow.port or now.interface != flow.interface:
            commands.append(RemoveFlow(slot))
            gone.add(slot)
    for slot, context in wanted.cryptos.items():
        before = installed.cryptos.get(slot)
        if before is None and not context.further:
            commands.append(context.install)
        elif before != context:
            commands.extend(_context_commands(before, context))
    for slot, flow in wanted.flows.items():
        if installed.flows.get(slot) != flow or not gone.isdisjoint(_named(flow)):
            commands.append(flow)
    commands.extend(
        agent for slot, agent in wanted.agents.items() if slot in gone or installed.agents.get(slot) != agent
    )
    commands.extend(
        table for slot, table in wanted.routes.items() if slot in gone or installed.routes.get(slot) != table
    )
    commands.extend(
        InstallRoutes(slot, ()) for slot in installed.routes if slot not in wanted.routes and slot not in gone
    )
    commands.extend(RemoveCrypto(slot) for slot in installed.cryptos if slot not in wanted.cryptos)
    return commands


def _named(flow: InstallFlow) -> tuple[int | None, ...]:
    """Slots of other flows in it."""
    return flow.rtp_partner, flow.rtcp_partner, flow.rtp_tap, flow.rtcp_tap


def _context_commands(before: Context | None, now: Context) -> Iterator[Command]:
    """Keys come and go one by one, the others keep what they know. Where no key stays, or the length of the MKI
    changes, the context is installed anew (with a key it has, it continues all the same)."""
    slot, mki = now.install.slot, len(now.install.key.mki)
    held = {_identity(key): key for key in before.keys} if before else {}
    kept = {_identity(key): key for key in now.keys if _identity(key) in held}
    if before is None or not kept or not mki:
        yield now.install
        yield from now.further
        if now.further and now.sending:
            yield SelectKey(slot, now.sending)
        return
    first = next(iter(kept.values()))
    if replace(before.install, key=first) != replace(now.install, key=first):
        yield replace(now.install, key=first)
    stays = now.sending if now.sending in {key.mki for key in kept.values()} else first.mki
    if now.install.send and stays != before.sending:
        yield SelectKey(slot, stays)
    yield from (RemoveKey(slot, key.mki) for key in before.keys if _identity(key) not in kept)
    yield from (AddKey(slot, key) for key in now.keys if held.get(_identity(key)) != key)  # also: another lifetime
    if now.install.send and now.sending != stays:
        yield SelectKey(slot, now.sending)


def _identity(key: MasterKeyBytes) -> tuple[bytes, bytes, bytes]:
    return key.key, key.salt, key.mki
