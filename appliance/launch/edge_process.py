"""The SIP edge as a program for the supervisor, and its settings while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.config.faults import ConfigError
from appliance.config.schema import Settings
from appliance.launch import probes
from appliance.launch.child import Program
from appliance.launch.programs import EDGE, reachable
from appliance.sip_edge import from_settings, kamailio, reloading
from appliance.sip_edge.edge_config import EdgeConfig


class EdgeProcess:
    """Kamailio with what the settings make of it, in its own run directory. One that is started again has what the last
    reload took over, and no more."""

    def __init__(self, settings: Settings, run: Path, *, essential: bool = False) -> None:
        self._settings, self._run = settings, run
        self._running: EdgeConfig | None = None
        self._turn = threading.Lock()  # both run on threads of the supervisor
        udp = [socket.at for socket in settings.sip.listen if socket.transport == "udp"]
        ready = (lambda: probes.sip(reachable(udp[0]), udp[0].port)) if udp else lambda: True
        self.program = Program(EDGE, self._prepare, ready, essential=essential)

    def reload(self, read: Callable[[], Settings]) -> str:
        """What came of it, in a line for the operator. Nothing changes when the new settings are no good."""
        try:
            with self._turn:
                return self._reload(read())
        except (ConfigError, OSError, ValueError) as error:
            return f"SIP edge: not reloaded: {error}"

    def _reload(self, new: Settings) -> str:
        if self._running is None:
            self._settings = new
            return "SIP edge: not running yet; it will start with the new settings"
        plan = reloading.plan(self._running.table, self._settings, new, self._run)
        if plan.live:
            reloading.carry_out(plan.table, self._running.run, self._running.user)
            self._running = reloading.with_table(self._running, plan.table)
            self._settings = plan.settings
        told = f"SIP edge: reloaded: {', '.join(plan.live) or 'nothing'}"
        return told + (f"; waiting for a restart: {', '.join(plan.restart)}" if plan.restart else "")

    def _prepare(self) -> Sequence[str]:
        with self._turn:
            edge = from_settings.edge_config(self._settings, self._run)
            kamailio.prepare(edge)
            kamailio.check(edge)
            self._running = edge
            return kamailio.command(edge)
