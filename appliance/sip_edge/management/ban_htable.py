"""Bans in Kamailio's hash table `ipban`: what holds where the kernel cannot, and after a restart of Kamailio.

The routing script looks for the source address ("192.0.2.1") and, where there are such bans, for the networks around
it ("192.0.2.0/24"): ksr/flood.py. What pike bans is in the table already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable
from kernels.control.ban_table import FOREVER, Network

TABLE = "ipban"
AT_ONCE = 200  # entries per turn: Kamailio answers others in between
LONGEST_S = 1_000_000_000  # "for ever" in a table whose entries all end

log = structlog.get_logger("srtpgw.bans")


class TableBans:
    """`change` by network, `carry` now and then. Kamailio may be away: everything is said again when it is back."""

    def __init__(self, rpc: Rpc, clock: Callable[[], float] = time.time) -> None:
        self._rpc, self._clock = rpc, clock
        self._changed: dict[Network, float | None] = {}  # network -> end; None: lift
        self.why = "not asked yet"  # the running Kamailio does not have them all; "": it has

    def start(self, bans: Iterable[tuple[Network, float]]) -> None:
        """A Kamailio that has none of them: (network, end) of all."""
        self._changed = {**self._changed, **dict(bans)}

    def change(self, network: Network, end: float | None) -> None:
        """Ban until `end`, or lift (None)."""
        self._changed[network] = end

    @property
    def busy(self) -> bool:
        """There is more to say, and Kamailio listens."""
        return bool(self._changed) and not self.why

    async def carry(self) -> None:
        """Say some of what is not said yet."""
        for network, end in list(islice(self._changed.items(), AT_ONCE)):
            try:
                await self._say(network, end)
            except RpcUnavailable as error:
                self.why = str(error)
                return
            except RpcRefused as error:  # flood protection is off: there is no such table
                self.why = f"{TABLE}: {error.message}"
                self._changed.clear()
                return
            if self._changed.get(network, -1) == end:
                del self._changed[network]
        self.why = ""

    async def _say(self, network: Network, end: float | None) -> None:
        name = key(network)
        left = 0.0 if end is None else end - self._clock()
        if left > 0:
            await self._rpc.call("htable.setxi", TABLE, name, 1, LONGEST_S if end == FOREVER else max(1, round(left)))
            return
        try:
            await self._rpc.call("htable.delete", TABLE, name)
        except RpcRefused as error:
            if error.code != 404:  # it is over already
                raise


def key(network: Network) -> str:
    """As `$si` has it for an address, CIDR for a network."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
