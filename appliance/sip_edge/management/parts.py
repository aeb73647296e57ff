"""Everything that manages the SIP edge while it runs, made from the settings: one line per noun.

The composition root makes one `EdgeParts`, hands it to the API, and starts, ticks and stops it.
"""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import CollectorRegistry

from appliance.calls.ledger import Ledger
from appliance.config.schema import Settings
from appliance.errors import NoCapacity
from appliance.placement.dispatcher import Dispatcher
from appliance.sip_edge.areas.database import url as database_url
from appliance.sip_edge.from_settings import account
from appliance.sip_edge.management import bans_from_settings
from appliance.sip_edge.management.certificates import Certificates
from appliance.sip_edge.management.destinations import Destinations
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.hangups import Hangups
from appliance.sip_edge.management.phones import Phones
from appliance.sip_edge.management.subscribers import Subscribers
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from appliance.telemetry.ban_metrics import BanCollector
from appliance.telemetry.call_records import CallRecords
from appliance.telemetry.certificates import CertificateCollector
from appliance.telemetry.destinations import DestinationCollector
from appliance.telemetry.edge_metrics import EdgeCollector
from kernels.control.plane import MediaPlane

log = structlog.get_logger("srtpgw.edge")


class EdgeParts:
    """The parts by noun."""

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        edge: Edge | None = None,
        plane: MediaPlane | None = None,
        dispatcher: Dispatcher | None = None,
        calls: Ledger | None = None,
    ) -> None:
        """`edge`: made of the settings when not given. `plane` and `dispatcher`: where bans go to the kernel.
        `calls`: whose media goes into call records. OSError, ValueError: the file of its database URL."""
        self.settings, self._plane = settings, plane
        self.edge = edge or _edge(settings)
        self.destinations = Destinations(
            self.edge, settings.sip_dispatcher, {one.id: one.algorithm for one in settings.destination_sets}
        )
        self.certificates = Certificates(settings, settings.sip_run, self.edge.rpc, self.edge.audit)
        self.subscribers = Subscribers(self.edge)
        self.phones = Phones(self.edge, settings.sip_register_block.block_s)
        self.bans = bans_from_settings.bans_of(settings, self.edge, plane, dispatcher) if plane and dispatcher else None
        self.records = _records(settings) if calls is not None and settings.sip_accounting.enabled else None
        if calls is not None and self.records is not None:
            calls.on_ended.append(self.records.media_ended)
        self.hangups = Hangups(self.edge.rpc)
        if calls is not None:
            calls.on_ended.append(self.hangups.media_ended)
        self._listening: asyncio.Task[None] | None = None
        registry.register(EdgeCollector(self.edge))
        if self.bans is not None:
            registry.register(BanCollector(self.bans))
        registry.register(DestinationCollector(lambda: self.destinations.seen))
        registry.register(CertificateCollector(self.certificates.listed))

    def reloaded(self, settings: Settings) -> None:
        """Trunks, routes and addresses of ours may be others now."""
        self.settings = settings
        if self.bans is not None and self._plane is not None:
            self.bans.rules = bans_from_settings.rules(settings, self._plane)

    async def start(self) -> None:
        await self.edge.start()
        self.hangups.start()
        if self.bans is not None:
            await self.bans.start()
        self._listening = asyncio.create_task(self._listen(), name="events of the SIP edge")

    def tick(self) -> None:
        """Once a second."""
        self.edge.tick()
        self.destinations.tick()
        if self.records:
            self.records.tick()

    async def stop(self) -> None:
        await self.hangups.stop()
        await self.destinations.stop()
        if self._listening:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self.records:
            self.records.close()
        if self.bans is not None:
            await self.bans.stop()
        await self.edge.stop()

    async def _listen(self) -> None:
        """What the routing script tells. Events that came too fast are lost to the records, not the calls."""
        bus = self.edge.news.bus
        while True:
            watcher = bus.join()
            try:
                while (event := await watcher.get()) is not None:
                    self.phones.heard(event)
                    if self.records:
                        self.records.heard(event)
                return
            except NoCapacity:
                log.warning("events of the SIP edge came too fast: call records may lack some")
            finally:
                bus.leave(watcher)


def _records(settings: Settings) -> CallRecords:
    ours = settings.sip_accounting
    return CallRecords(ours.file or settings.paths.state / "call-records.jsonl", ours.file_octets, ours.kept)


def _edge(settings: Settings) -> Edge:
    rpc, database = Rpc(settings.sip_run / SOCKET), Database(database_url(settings))
    return Edge(rpc, database, Audit(settings.paths.state / "audit.jsonl"), account=account(settings))
