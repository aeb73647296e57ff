"""`[sip_accounting]`: a record for each call of the SIP edge."""

from __future__ import annotations

from pathlib import Path

from appliance.config.rows import Effect, Table, row


class SipAccounting(Table):
    """Call records: a line of JSON for each call of the SIP edge, when it is over; for billing and for finding out."""

    enabled: bool = row(True, help="Write call records.", effect=Effect.RESTART)
    file: Path | None = row(
        None, help="Where; unset: call-records.jsonl below paths.state. A full file becomes FILE.1, that one FILE.2.",
        effect=Effect.RESTART,
    )  # fmt: skip
    file_octets: int = row(
        16_777_216, help="A file is full at this size.", unit="octets", effect=Effect.RESTART, ge=65_536
    )
    kept: int = row(9, help="Full files kept; the oldest goes.", unit="files", effect=Effect.RESTART, ge=0, le=1000)
