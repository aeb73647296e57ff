"""Everything that manages the SIP edge while it runs, made from the settings: one line per noun.

The composition root makes one `EdgeParts`, hands it to the API, and starts, ticks and stops it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from appliance.config.schema import Settings
from appliance.placement.dispatcher import Dispatcher
from appliance.sip_edge.areas.database import url as database_url
from appliance.sip_edge.from_settings import account
from appliance.sip_edge.management.bans_from_settings import bans_of
from appliance.sip_edge.management.certificates import Certificates
from appliance.sip_edge.management.destinations import Destinations
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from appliance.telemetry.certificates import CertificateCollector
from appliance.telemetry.destinations import DestinationCollector
from appliance.telemetry.edge_metrics import EdgeCollector
from kernels.control.plane import MediaPlane


class EdgeParts:
    """The parts by noun."""

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        edge: Edge | None = None,
        plane: MediaPlane | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        """`edge`: made of the settings when not given. `plane` and `dispatcher`: where bans go to the kernel. OSError,
        ValueError: the file of its database URL."""
        self.settings = settings
        self.edge = edge or _edge(settings)
        self.destinations = Destinations(
            self.edge, settings.sip_dispatcher, {one.id: one.algorithm for one in settings.destination_sets}
        )
        self.certificates = Certificates(settings, settings.sip_run, self.edge.rpc, self.edge.audit)
        self.bans = bans_of(settings, self.edge, plane, dispatcher) if plane and dispatcher else None
        registry.register(EdgeCollector(self.edge))
        registry.register(DestinationCollector(lambda: self.destinations.seen))
        registry.register(CertificateCollector(self.certificates.listed))

    async def start(self) -> None:
        await self.edge.start()
        if self.bans:
            await self.bans.start()

    def tick(self) -> None:
        """Once a second."""
        self.edge.tick()
        self.destinations.tick()

    async def stop(self) -> None:
        await self.destinations.stop()
        if self.bans:
            await self.bans.stop()
        await self.edge.stop()


def _edge(settings: Settings) -> Edge:
    rpc, database = Rpc(settings.sip_run / SOCKET), Database(database_url(settings))
    return Edge(rpc, database, Audit(settings.paths.state / "audit.jsonl"), account=account(settings))
