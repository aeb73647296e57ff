"""Handshakes on the media path (DTLS-SRTP, ICE), put together: one of the parts that gateway.py joins."""

from __future__ import annotations

import os

from appliance.calls.following import Following
from appliance.calls.ice_agents import IceAgents
from appliance.calls.ice_pairs import Pairs
from appliance.calls.keyframes import Keyframes
from appliance.calls.keying import Keying
from appliance.calls.keying_install import Installer
from appliance.calls.media import Address
from appliance.calls.service import CallService
from appliance.config.schema import Settings
from appliance.handshakes.certificates import CertificatePool
from appliance.handshakes.handshakes import Handshakes
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.injector import Injector
from appliance.telemetry.keying_metrics import KeyingMetrics
from kernels.control.plane import MediaPlane

MOST_PROCESSES = 4


class KeyingParts:
    """Punts of the media plane go in, keys of calls come out. `pool` is what the calls take their certificates from."""

    def __init__(
        self,
        settings: Settings,
        plane: MediaPlane,
        dispatcher: Dispatcher,
        calls: CallService,
        pool: CertificatePool,
        counts: KeyingMetrics,
    ) -> None:
        self.settings, self.plane, self.pool = settings, plane, pool
        installer = Installer(
            calls.ledger,
            counts,
            keyed=calls.new_keys,
            window=lambda: self.settings.media.replay_window,
            ssrc_limit=lambda: self.settings.media.ssrc_limit,
            end_failed=lambda: self.settings.dtls.end_failed,
        )
        injector = Injector(plane)
        calls.keyframes = Keyframes(calls.ledger, plane, injector.inject)
        self.keying = Keying(
            installer,
            injector.inject,
            counts,
            timeout_s=lambda: self.settings.dtls.timeout_s,
            pair_of=self._pair_of,
        )
        self.pairs = Pairs(calls.ledger)
        agents = IceAgents(self.keying, self.pairs, counts)
        self.handshakes = Handshakes(
            self._processes(), self.keying.datagram, self.keying.event, settings.dtls.mtu, plane.cookie_secret
        )
        self.keying.on_stun, self.keying.on_expired = agents.stun, agents.expired
        self.keying.associations = self.handshakes
        calls.trickling.agents = agents
        calls.ledger.keying = Following(self.keying, agents, calls.trickling)
        dispatcher.on_punt, dispatcher.held = self.keying.punt, injector.waits

    async def start(self) -> None:
        await self.pool.start()
        await self.handshakes.start()

    def tick(self) -> None:
        self.keying.tick()
        self.pairs.tick()

    async def stop(self) -> None:
        await self.handshakes.stop()
        await self.pool.stop()

    def _processes(self) -> int:
        """For handshakes: one for each core that carries no media, beside our own; 0 where there is none."""
        chosen = self.settings.dtls.processes
        idle = len(os.sched_getaffinity(0)) - len(self.plane.info.workers) - 1
        return chosen if isinstance(chosen, int) else max(0, min(MOST_PROCESSES, idle))

    def _pair_of(self, worker: int, slot: int) -> Address | None:
        """Where the ICE agent of a flow talks to, or would; None: nowhere yet."""
        try:
            agent = self.plane.flow(worker, slot).ice
        except (LookupError, OSError):
            return None
        if agent is None:
            return None
        found = agent.selected or next((source for source, _ in agent.sources), None)
        return None if found is None else Address(*found)
