"""What the SIP edge has to know, apart from where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from appliance.sip_edge.areas.area import Area
from appliance.sip_edge.ksr.routing import RoutingTable


@dataclass(frozen=True)
class EdgeConfig:
    """One rendered Kamailio. Paths are absolute; `run` is private to it."""

    run: Path
    listen: tuple[str, ...]
    ng: tuple[str, ...]
    table: RoutingTable
    program: str = "kamailio"
    modules: str = "/usr/lib/x86_64-linux-gnu/kamailio/modules"
    workers: int = 4
    user: str = ""  # account to run as when started by root
    log_level: int = 1
    memory_manager: str = "tlsf"  # qm, its default, searches ever longer lists: 0.5 ms of each call at 100 calls/s
    shared_memory_mb: int = 64
    private_memory_mb: int = 8
    answer_timeout_ms: int = 30_000
    ring_timeout_ms: int = 120_000
    dialog_timeout_s: int = 43_200
    udp_mtu: int = 0  # requests longer than this go by TCP; 0: none do
    user_agent: str = "srtpgw"
    longest: int = 16_384  # octets of a message
    databases: bool = True  # Kamailio's SQLite module is there
    tables: str = field(default="", repr=False)  # URL of the database that is managed; it may hold a password
    areas: tuple[Area, ...] = field(default=(), repr=False)  # subjects beside the relaying of calls; may hold keys

    @property
    def script(self) -> Path:
        return self.run / "python" / "appliance" / "sip_edge" / "ksr" / "script.py"

    @property
    def database(self) -> str:
        return str(self.run / "dialogs.sqlite") if self.databases else ""
