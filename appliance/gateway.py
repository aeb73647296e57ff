"""The control process: `python -m appliance.gateway [--config FILE_OR_DIRECTORY]...`. Read it to see the system.

Constructs every part and joins them: settings -> media plane -> call records -> calls -> faces (NG, gRPC) ->
housekeeping.
SIGTERM ends this process and nothing else: media is the holder's, and the next control process adopts the calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import sdnotify
import structlog

from appliance import reloading
from appliance.api.ng_http import tls_context
from appliance.api.ng_rules import NgRules
from appliance.api.ng_server import NgServer
from appliance.api.server import ApiServer
from appliance.calls import adoption, statistics
from appliance.calls.housekeeping import Housekeeping
from appliance.calls.key_watch import KeyWatch
from appliance.calls.service import CallService, Facts
from appliance.calls.snapshots import Snapshots
from appliance.config.faults import ConfigError
from appliance.config.load import examine, load
from appliance.config.schema import Settings
from appliance.handshakes.certificates import CertificatePool, Certificates
from appliance.keying_parts import KeyingParts
from appliance.machine.hardware import Hardware
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.inventory import Inventory
from appliance.placement.placer import ALGORITHMS, Rules
from appliance.placement.reconciler import Reconciler
from appliance.policy.defaults import media_options
from appliance.policy.options import MediaOptions
from appliance.reloads import Reloads
from appliance.sip_edge.management.parts import EdgeParts
from appliance.state.drained import DrainedWorkers
from appliance.state.store import CallStore
from appliance.state.vault import UnsafeKeyFile, Vault, load_key
from appliance.telemetry import logs, metrics
from appliance.telemetry.endpoint import MetricsEndpoint
from appliance.telemetry.key_log import KeyLog
from appliance.telemetry.keying_metrics import KeyingMetrics
from appliance.turn import Turn
from firmware_iface import cpu
from firmware_iface.clock import core_hertz
from firmware_iface.nexthop import Change
from kernels.control.arena import forbid_dumps
from kernels.control.plane import LayoutMismatch, MediaPlane

ATTACH_RETRY_S = 0.2
TICK_S = 1.0
HEART_LATE_S = 5.0  # a worker whose heart did not beat for so long keeps us from feeding systemd's watchdog
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: systemd starts us again

log = structlog.get_logger("srtpgw.gateway")


class HolderGone(Exception):
    """The media holder ended: its calls with it. A new control process starts with the new holder."""


class Gateway:
    """All parts, in the order in which they depend on each other."""

    def __init__(self, settings: Settings, plane: MediaPlane, read: Callable[[], Settings] = Settings) -> None:
        """`read`: the settings as they are written now, for a reload. ConfigError."""
        self.settings, self.plane, self._read = settings, plane, read
        self.reloads = Reloads(self._planned, self._take_over)
        self._advertised: dict[str, str] = {}
        self._advertise()
        run = settings.paths.run
        turn = Turn()
        vault = Vault(load_key(run / "calls.key"))
        self.store = CallStore(run / "calls.db", vault, on_error=_store_failed, turn=turn)
        self.dispatcher = Dispatcher(plane, turn=turn)
        self.inventory = Inventory(plane.info, rules=self.rules, nodes=core_nodes(), hertz=core_hertz)
        self.reconciler = Reconciler(self.inventory, self.dispatcher, plane)
        self.snapshots = Snapshots(plane, self.inventory)
        key_log = settings.security.log_srtp_keys
        self.key_log = KeyLog(key_log) if key_log else None
        pool = CertificatePool()
        self.calls = CallService(
            self.reconciler,
            self.store,
            self.snapshots,
            _facts(settings, plane, self._advertised),
            drained=DrainedWorkers(run / "drained.json"),
            rebalance=lambda: self.settings.media.rebalance,
            key_log=self.key_log.write if self.key_log else None,
            certificates=Certificates(pool, settings.paths.state / "dtls").of,
        )
        registry = metrics.registry(self.calls)
        self.keying = KeyingParts(settings, plane, self.dispatcher, self.calls, pool, KeyingMetrics(registry))
        self.housekeeping = Housekeeping(
            self.calls.ledger,
            silence_s=lambda: self.settings.media.silence_timeout_s,
            offer_s=lambda: self.settings.media.offer_timeout_s,
            draining=self.calls.drains,
            keys=KeyWatch(
                self.calls.ledger,
                grace_s=lambda: self.settings.media.rekey_grace_s,
                expiring=lambda: self.settings.media.key_expiring_at,
            ),
        )
        self.ng = NgServer(
            self.calls,
            settings.ng.allow,
            NgRules(
                defaults=self.options,
                templates=settings.ng.templates,
                interfaces={entry.name: str(entry.address) for entry in settings.interfaces},
                delete_delay_s=settings.ng.delete_delay_s,
            ),
            connections=settings.ng.connections,
            idle_s=settings.ng.idle_s,
            turn=turn,
        )
        observe = metrics.ApiMetrics(registry).observe
        self.hardware = Hardware(
            {entry.name: str(entry.address) for entry in settings.interfaces},
            lambda: tuple(worker.cpu for worker in plane.info.workers),
            plane.flow,
            self._next_hops if any(one.device for one in plane.info.interfaces.values()) else None,
        )
        self.interface_nodes = self.hardware.nodes()
        self.dispatcher.on_command = self.hardware.commanded
        parts = (registry, None, plane, self.dispatcher, self.calls.ledger)
        self.edge = EdgeParts(settings, *parts) if settings.sip.enabled else None
        self.api = ApiServer(
            self.calls, settings.grpc, settings.paths.control_socket, observe, self.options, self.hardware, self.edge
        )
        self.metrics = MetricsEndpoint(registry, settings.http.listen) if settings.http.listen else None
        self.notifier = sdnotify.SystemdNotifier()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def options(self) -> MediaOptions:
        """What lies under the wishes of a request."""
        media = self.settings.media
        return media_options(self.settings.security, window=media.replay_window, ssrc_limit=media.ssrc_limit)

    def rules(self) -> Rules:
        """What the placer is told beside the loads."""
        media = self.settings.media
        return Rules(media.admit_below, self.interface_nodes, ALGORITHMS[media.placement])

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. HolderGone, OSError (an address is taken)."""
        loop = asyncio.get_running_loop()
        with self._signals(loop):
            try:
                self.dispatcher.on_worker = self.housekeeping.worker_news
                self.dispatcher.on_port = self.housekeeping.port_news
                await self.keying.start()
                self.adopt()
                loop.add_reader(self.plane.fileno(), self.pump)
                self.housekeeping.finish_moves()
                await self.serve()
                spare_collections()
                self.notifier.notify("READY=1")
                await self.keep_house()
            finally:
                self.notifier.notify("STOPPING=1")
                await self.stop()
                loop.remove_reader(self.plane.fileno())
                self.plane.close()

    def adopt(self) -> None:
        """Before any face is open: who asks must find the calls that run."""
        self.dispatcher.pump()  # replies to a predecessor are nobody's
        loaded = self.store.load()
        if loaded.note:
            log.error("call records put aside", why=loaded.note)
        report = adoption.adopt(self.calls.ledger, loaded)
        for call_id, why in report.lost.items():
            log.error("call lost", call_id=call_id, why=why)
        for call_id in report.skipped:
            log.error("call record damaged", call_id=call_id)
        log.info("calls adopted", adopted=report.adopted, orphans_removed=report.orphans)

    async def serve(self) -> None:
        await self.serve_ng()
        await self.hardware.start()
        if self.edge:
            await self.edge.start()
        await self.api.start()
        if self.metrics:
            await self.metrics.start()

    async def serve_ng(self) -> None:
        """OSError: an address is taken, the certificate cannot be read."""
        ng = self.settings.ng
        for listen in ng.listen:
            await self.ng.listen(listen.host, listen.port)
        for listen in ng.listen_tcp:
            await self.ng.listen_tcp(listen.host, listen.port)
        for listen in ng.listen_http:
            await self.ng.listen_http(listen.host, listen.port)
        if ng.listen_https and ng.certificate and ng.key:
            tls = tls_context(ng.certificate, ng.key)
            for listen in ng.listen_https:
                await self.ng.listen_http(listen.host, listen.port, tls)

    async def keep_house(self) -> None:
        """Tick until the end. A mistake in it is logged and does not end the gateway."""
        while not self._ended.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended), TICK_S)
            try:
                self.housekeeping.tick()
                self.keying.tick()
                self.hardware.tick()
                self.store.flush()
                if self.edge:
                    self.edge.tick()
                await self._report()
            except Exception as error:
                log.error("housekeeping failed", error=type(error).__name__)
        self._ended.result()

    async def stop(self) -> None:
        """Close the faces, keep the records. Calls go on."""
        await self.ng.close()
        if self.metrics:
            await self.metrics.stop()
        await self.api.stop()
        self.hardware.stop()
        if self.edge:
            await self.edge.stop()
        await self.keying.stop()
        self.calls.ledger.bus.close()
        self.store.close()
        if self.key_log:
            self.key_log.close()

    def pump(self) -> None:
        """The plane is readable."""
        try:
            self.dispatcher.pump()
        except ConnectionError:
            asyncio.get_running_loop().remove_reader(self.plane.fileno())
            if not self._ended.done():
                self._ended.set_exception(HolderGone())

    def _next_hops(self, change: Change) -> None:
        """Workers with AF_XDP rings write Ethernet headers of their own."""
        homeless = self.plane.set_next_hops(change.rows, change.gone)
        if homeless:
            log.warning("next hops found no place; kernel sockets send there", count=homeless)

    def _planned(self) -> reloading.Plan | ConfigError:
        """SIGHUP: what the files say now."""
        try:
            return reloading.plan(self.settings, self._read())
        except ConfigError as error:
            return error

    def _take_over(self, plan: reloading.Plan | ConfigError) -> None:
        """What can change while we run; the rest is told by name."""
        if isinstance(plan, ConfigError):
            log.error("settings not reloaded", why=str(plan))
            return
        self.settings = self.keying.settings = plan.settings
        logs.set_level(plan.settings.log.level)
        self.ng.allow(plan.settings.ng.allow)
        self._advertise()
        if self.edge:
            self.edge.reloaded(plan.settings)
        told = {name: keys for name in ("at_once", "next_call", "restart", "sip_edge") if (keys := getattr(plan, name))}
        log.log(logging.WARNING if plan.restart else logging.INFO, "settings reloaded", **told)

    def _advertise(self) -> None:
        """What the next SDP says of each interface."""
        self._advertised.clear()
        self._advertised.update({one.name: str(one.advertised) for one in self.settings.interfaces if one.advertised})

    async def _report(self) -> None:
        """Tell systemd and health clients how we are; the watchdog is fed only while every worker's heart beats."""
        ledger = self.calls.ledger
        workers, port_kind = statistics.workers(ledger), self.plane.info.port_kind
        running = sum(worker.heartbeat_age_s < HEART_LATE_S for worker in workers)
        self.notifier.notify(f"STATUS={len(ledger.registry)} calls, {running} of {len(workers)} workers, {port_kind}")
        well = running == len(workers)
        if well:
            self.notifier.notify("WATCHDOG=1")
        await self.api.health.set(serving=well and not ledger.draining, data_plane=well)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        def end() -> None:
            if not self._ended.done():
                self._ended.set_result(None)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        loop.add_signal_handler(signal.SIGHUP, self.reloads.wanted)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)


def spare_collections() -> None:
    """What start-up made stays for good: a full collection that walks it holds up handshakes and answers for 0.1 s and
    more. Calls leave few cycles, so collections may be rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def attach(socket_path: Path) -> MediaPlane:
    """The media plane, as soon as its holder is up. LayoutMismatch."""
    told = 0.0
    while True:
        try:
            return MediaPlane.attach(str(socket_path))
        except OSError as error:
            if time.monotonic() - told > 10:
                told = time.monotonic()
                log.info("waiting for the media holder", socket=str(socket_path), error=error.strerror)
            await asyncio.sleep(ATTACH_RETRY_S)


async def run(settings: Settings, read: Callable[[], Settings]) -> None:
    settings.paths.run.mkdir(parents=True, exist_ok=True, mode=0o750)
    plane = await attach(settings.paths.media_socket)
    await Gateway(settings, plane, read).run()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="srtpgw-control", description="Control process of the SRTP gateway.")
    parser.add_argument(
        "--config", action="append", default=[], help="configuration file or directory; may be repeated"
    )
    chosen = parser.parse_args(arguments)
    forbid_dumps()
    os.umask(0o077)
    try:
        loaded = examine(chosen.config)
        settings = loaded.usable()
        logs.configure(settings.log.level, settings.log.format)
        for fault in loaded.warnings:
            log.warning("configuration", place=str(fault.place), setting=fault.key, why=fault.message, hint=fault.hint)
        asyncio.run(run(settings, lambda: load(chosen.config)))
    except (ConfigError, UnsafeKeyFile) as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except (HolderGone, LayoutMismatch, OSError) as error:
        log.error("control process ends", error=type(error).__name__, why=str(error))
        return EXIT_UNAVAILABLE
    return 0


def _facts(settings: Settings, plane: MediaPlane, advertised: Mapping[str, str]) -> Facts:
    try:
        version = metadata.version("srtpgw")
    except metadata.PackageNotFoundError:
        version = ""
    return Facts(
        version=version,
        cipher=plane.info.cipher,
        port=lambda: (plane.info.port_kind, plane.info.why),
        default_interface=settings.interfaces[0].name,
        advertised=advertised,
        most_calls=settings.media.calls,
    )


def core_nodes() -> dict[int, int]:
    """NUMA node by core, of every core of the machine that says so."""
    try:
        present = frozenset(range(os.cpu_count() or 1))
        return {core.index: core.node for core in cpu.read(allowed=present).cores}
    except (OSError, ValueError):
        return {}


def _store_failed(error: Exception) -> None:
    log.error("call records cannot be written; calls go on", error=type(error).__name__)


if __name__ == "__main__":
    sys.exit(main())
