"""`[paths]`: where files and sockets are."""

from __future__ import annotations

from pathlib import Path

from appliance.config.rows import Effect, Table, row


class Paths(Table):
    """Where files and sockets are."""

    run: Path = row("/run/srtpgw", help="Sockets and process files; private to the gateway.", effect=Effect.RESTART)
    state: Path = row("/var/lib/srtpgw", help="Call records and what must survive a restart.", effect=Effect.RESTART)

    @property
    def media_socket(self) -> Path:
        return self.run / "media.sock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"
