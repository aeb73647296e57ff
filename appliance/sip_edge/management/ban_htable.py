"""Bans in Kamailio's hash table `ipban`: what holds where the kernel cannot, and after a restart of Kamailio.

The routing script looks for the source address ("192.0.2.1") and for the networks around it ("192.0.2.0/24") of those
prefix lengths that the entries "/4" and "/6" list: ksr/flood.py. What pike bans is in the table already.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from appliance.sip_edge.ksr.rules.flood import BANS, LENGTHS
from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable
from kernels.control.ban_table import FOREVER, Network

AT_ONCE = 200  # entries per turn: Kamailio answers others in between
LONGEST_S = 1_000_000_000  # "for ever" in a table whose entries all end

log = structlog.get_logger("srtpgw.bans")


class TableBans:
    """`change` by network, `carry` now and then. Kamailio may be away: everything is said again when it is back."""

    def __init__(self, rpc: Rpc, clock: Callable[[], float] = time.time) -> None:
        self._rpc, self._clock = rpc, clock
        self._changed: dict[Network, float | None] = {}  # network -> end; None: lift
        self._networks: dict[Network, float] = {}  # those that are more than an address -> end
        self._told: dict[int, str] = {}  # prefix lengths that Kamailio was told, by IP version
        self.why = "not asked yet"  # the running Kamailio does not have them all; "": it has

    def start(self, bans: Iterable[tuple[Network, float]]) -> None:
        """A Kamailio that has none of them: (network, end) of all."""
        self._changed = {**self._changed, **dict(bans)}
        self._networks = {network: end for network, end in self._changed.items() if end is not None and _wide(network)}
        self._told = {}

    def change(self, network: Network, end: float | None) -> None:
        """Ban until `end`, or lift (None)."""
        self._changed[network] = end
        self._networks.pop(network, None)
        if end is not None and _wide(network):
            self._networks[network] = end

    async def found(self) -> dict[Network, float]:
        """Bans of the routing script that hold in Kamailio, and their ends: nobody may have been there to hear of them.
        RpcUnavailable, RpcRefused."""
        now, dump = self._clock(), await self._rpc.call("htable.dump", BANS)
        ends = {one["name"]: one["value"] for entry in dump for one in entry["slot"]}
        found = {}
        for name, end in ends.items():
            with contextlib.suppress(ValueError):
                if isinstance(end, int) and end > now:  # ours have the value 1
                    found[ipaddress.ip_network(name)] = float(end)
        return found

    @property
    def busy(self) -> bool:
        """There is more to say, and Kamailio listens."""
        return bool(self._changed) and not self.why

    async def carry(self) -> None:
        """Say some of what is not said yet."""
        try:
            if self._changed:
                await self._say_lengths()
            for network, end in list(islice(self._changed.items(), AT_ONCE)):
                await self._say(network, end)
                if self._changed.get(network, -1) == end:
                    del self._changed[network]
            self.why = ""
        except RpcUnavailable as error:
            self.why = str(error)
        except RpcRefused as error:  # flood protection is off: there is no such table
            self.why = f"{BANS}: {error.message}"
            self._changed.clear()

    async def _say_lengths(self) -> None:
        """Before the networks themselves. A length that is listed for longer than it is needed costs a look-up."""
        now = self._clock()
        self._networks = {network: end for network, end in self._networks.items() if end > now}
        for version, name in LENGTHS.items():
            found = {network.prefixlen for network in self._networks if network.version == version}
            lengths = " ".join(map(str, sorted(found, reverse=True)))
            if lengths == self._told.get(version):
                continue
            if lengths:
                await self._rpc.call("htable.setxs", BANS, name, lengths, LONGEST_S)
            else:
                await self._delete(name)
            self._told[version] = lengths

    async def _say(self, network: Network, end: float | None) -> None:
        name = key(network)
        left = 0.0 if end is None else end - self._clock()
        if left > 0:
            await self._rpc.call("htable.setxi", BANS, name, 1, LONGEST_S if end == FOREVER else max(1, round(left)))
            return
        await self._delete(name)

    async def _delete(self, name: str) -> None:
        try:
            await self._rpc.call("htable.delete", BANS, name)
        except RpcRefused as error:
            if error.code != 404:  # it is over already
                raise


def _wide(network: Network) -> bool:
    return network.prefixlen < network.max_prefixlen


def key(network: Network) -> str:
    """As `$si` has it for an address, CIDR for a network."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
