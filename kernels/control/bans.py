"""What the holder does about banned sources, on command of control: it alone has the privilege.

    control -> {"ticket": 7, "do": "ban", "bans": [["192.0.2.1/32", 300.0], ["2001:db8::/32", null]]}  (seconds)
            -> {"ticket": 8, "do": "unban" | "count", "networks": [...]}
            -> {"ticket": 9, "do": "guard", "ports": [5060, 5061]}
            -> {"ticket": 10, "do": "begin"}, bans, {"ticket": 12, "do": "end"}    (what was not named in between ends)
    holder  -> {"event": "bans", "ticket": 7, "error": "", "gave_way": [...], "failed": [...], "dropped": [...],
                "held": 2, "total": {"xdp": 5}, "gave_way_total": 0, "closed": 1, "connections": ""}

Bans end here by themselves: a control process that is away does not prolong them.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from kernels.control.ban_table import FOREVER, BanTable, Network
from kernels.port.connections import Address, close_connections

if TYPE_CHECKING:
    from kernels.control.journal import Journal
    from kernels.control.rings import RingPlane

MOST_OF_A_MESSAGE = 500  # bans or networks
CONNECTIONS_EVERY_S = 1.0  # looking through all connections costs; a flood of bans shares one look


class Means(Protocol):
    """One way to drop what banned sources send."""

    def ban(self, network: Network) -> None: ...
    def unban(self, network: Network) -> None: ...
    def dropped(self, network: Network) -> int: ...
    def total(self) -> int: ...


class Guard(Means, Protocol):
    """The one that has to know our ports."""

    def guard(self, ports: Iterable[int]) -> None: ...
    def close_in_child(self) -> None: ...
    def close(self) -> None: ...


class HeldBans:
    """The bans of a holder. `means` by name; `guard` is the one of them that needs ports. Clock: monotonic seconds."""

    def __init__(self, means: dict[str, Means], guard: Guard | None, why: str, table: BanTable | None = None) -> None:
        self._means, self._guard, self._why = means, guard, why
        self._table = BanTable() if table is None else table
        self._fresh: set[Network] | None = None  # named since "begin"
        self._ports: frozenset[int] = frozenset()
        self._suspects: set[Network] = set()  # banned since connections were looked at
        self._look_at = 0.0
        self._closed, self._connections = 0, ""

    @property
    def means(self) -> tuple[str, ...]:
        """Names of the ways there are; none: Kamailio's own table is all there is."""
        return tuple(self._means)

    def describe(self) -> dict[str, object]:
        """For the control process: by what means, and what is missing."""
        return {"means": list(self._means), "why": self._why}

    def obey(self, message: bytes, now: float) -> dict[str, object]:
        """Do what control says; the answer. Nothing that it says can hurt more than what it has the right to."""
        ticket, reply = -1, {}
        try:
            asked = json.loads(message)
            ticket = int(asked["ticket"])
            reply = self._do(asked, now)
            error = ""
        except OSError as failure:
            error = failure.strerror or str(failure)
        except (ValueError, KeyError, TypeError, RecursionError) as failure:
            error = f"not understood: {type(failure).__name__}"
        return self._state() | {"event": "bans", "ticket": ticket, "error": error} | reply

    def tick(self, now: float) -> None:
        """End what is over; end connections of those who were banned since."""
        for network in self._table.expired(now):
            self._lift(network)
        if self._suspects and now >= self._look_at:
            self._look_at = now + CONNECTIONS_EVERY_S
            suspects, self._suspects = self._suspects, set()
            self._close_connections(suspects)

    def close_in_child(self) -> None:
        """A worker bans nobody."""
        if self._guard is not None:
            self._guard.close_in_child()

    def close(self) -> None:
        """Everybody is free. The XDP program is its rings'."""
        if self._guard is not None:
            self._guard.close()

    def _do(self, asked: dict[str, Any], now: float) -> dict[str, object]:
        match asked["do"]:
            case "ban":
                bans = [(ipaddress.ip_network(name), seconds) for name, seconds in asked["bans"][:MOST_OF_A_MESSAGE]]
                ends = [(network, FOREVER if left is None else now + float(left)) for network, left in bans]
                return self._ban_all(ends)
            case "unban":
                for network in _networks(asked):
                    self._table.remove(network)
                    self._lift(network)
            case "count":
                return {"dropped": [self._dropped(network) for network in _networks(asked)]}
            case "guard":
                self._ports = frozenset(int(port) for port in asked["ports"] if 0 < int(port) < 65536)
                if self._guard is not None:
                    self._guard.guard(self._ports)
            case "begin":
                self._fresh = set()
            case "end":
                for network in [] if self._fresh is None else [one for one in self._table if one not in self._fresh]:
                    self._table.remove(network)
                    self._lift(network)
                self._fresh = None
            case _:
                raise ValueError
        return {}

    def _ban_all(self, ends: Iterable[tuple[Network, float]]) -> dict[str, object]:
        gave_way, failed, error = [], [], ""
        for network, until in ends:
            try:
                loser = self._ban(network, until)
            except OSError as failure:
                self._table.remove(network)
                self._lift(network)
                failed.append(str(network))
                error = failure.strerror or str(failure)
            else:
                gave_way += [str(loser)] if loser is not None else []
        return {"gave_way": gave_way, "failed": failed, "error": error}

    def _ban(self, network: Network, until: float) -> Network | None:
        if self._fresh is not None:
            self._fresh.add(network)
        if network not in self._table:
            self._suspects.add(network)
        loser = self._table.put(network, until)
        if loser is not None:
            self._lift(loser)
        if loser != network:
            for means in self._means.values():
                means.ban(network)
        return loser

    def _lift(self, network: Network) -> None:
        self._suspects.discard(network)
        for means in self._means.values():
            means.unban(network)

    def _dropped(self, network: Network) -> int:
        return sum(means.dropped(network) for means in self._means.values())

    def _close_connections(self, networks: set[Network]) -> None:
        lengths = {version: sorted({one.prefixlen for one in networks if one.version == version}) for version in (4, 6)}

        def banned(peer: Address) -> bool:
            return any(ipaddress.ip_network((peer, bits), strict=False) in networks for bits in lengths[peer.version])

        try:
            self._closed += close_connections(banned, self._ports)
            self._connections = ""
        except OSError as error:
            self._connections = error.strerror or str(error)

    def _state(self) -> dict[str, object]:
        total = {name: means.total() for name, means in self._means.items()}
        return {"held": len(self._table), "total": total, "gave_way_total": self._table.given_way,
                "closed": self._closed, "connections": self._connections}  # fmt: skip


def open_bans(rings: RingPlane | None, journal: Journal) -> HeldBans:
    """Every means that this machine permits; one warning when it is none."""
    means: dict[str, Means] = {}
    why = []
    if rings is not None and rings.program is not None:
        means["xdp"] = rings.program
        devices = ", ".join(state.device.name for state in rings.devices)
        why.append(f"XDP drops on {devices}")
    guard: Guard | None = None
    try:
        from kernels.port.bans import BanProgram

        guard = means["sk_lookup"] = BanProgram()
        why.append("sk_lookup refuses at the SIP ports of this network namespace")
    except (OSError, ImportError) as error:
        text = "not built: libbpf-dev was missing" if isinstance(error, ImportError) else error.strerror or str(error)
        why.append(f"no sk_lookup: {text}")
        journal.write("warning", "bans not in the kernel" if not means else "bans by XDP alone", why=text)
    return HeldBans(means, guard, "; ".join(why))


def _networks(asked: dict[str, Any]) -> list[Network]:
    return [ipaddress.ip_network(name) for name in asked["networks"][:MOST_OF_A_MESSAGE]]
