"""What the SIP edges of a fleet tell each other, and whom one believes."""

from __future__ import annotations

from dataclasses import dataclass

METHOD = "KDMQ"  # of Kamailio's module dmq


@dataclass(frozen=True)
class ReplicationRules:
    """`at`: our socket for it, "192.0.2.1:5090"; `peers`: addresses."""

    enabled: bool = False
    at: str = ""
    peers: tuple[str, ...] = ()

    def believes(self, source: str, at: str) -> bool:
        return source in self.peers and at == self.at
