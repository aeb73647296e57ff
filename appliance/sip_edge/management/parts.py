"""Everything that manages the SIP edge while it runs, made from the settings: one line per noun.

The composition root makes one `EdgeParts`, hands it to the API, and starts, ticks and stops it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from appliance.config.schema import Settings
from appliance.sip_edge.areas.database import url as database_url
from appliance.sip_edge.from_settings import account
from appliance.sip_edge.management.certificates import Certificates
from appliance.sip_edge.management.destinations import Destinations
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from appliance.telemetry.certificates import CertificateCollector
from appliance.telemetry.edge_metrics import EdgeCollector


class EdgeParts:
    """The parts by noun."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, edge: Edge | None = None) -> None:
        """`edge`: made of the settings when not given. OSError, ValueError: the file of its database URL."""
        self.settings = settings
        self.edge = edge or _edge(settings)
        self.destinations = Destinations(
            self.edge, settings.sip_dispatcher, {one.id: one.algorithm for one in settings.destination_sets}
        )
        self.certificates = Certificates(settings, settings.sip_run, self.edge.rpc, self.edge.audit)
        registry.register(EdgeCollector(self.edge))
        registry.register(CertificateCollector(self.certificates.listed))

    async def start(self) -> None:
        await self.edge.start()

    def tick(self) -> None:
        """Once a second."""
        self.edge.tick()

    async def stop(self) -> None:
        await self.edge.stop()


def _edge(settings: Settings) -> Edge:
    rpc, database = Rpc(settings.sip_run / SOCKET), Database(database_url(settings))
    return Edge(rpc, database, Audit(settings.paths.state / "audit.jsonl"), account=account(settings))
