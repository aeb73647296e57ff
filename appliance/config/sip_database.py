"""The [sip_database] table: where the SIP edge keeps destinations, addresses, subscribers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from appliance.config.database_url import parse
from appliance.config.rows import Effect, Table, row


def _url(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        parse(value.get_secret_value())
    return value


class SipDatabase(Table):
    """Tables of the SIP edge (dispatcher, address, trusted, subscriber, grp), with Kamailio's own names and columns."""

    url: Annotated[SecretStr, AfterValidator(_url)] = row(
        lambda: SecretStr(""),
        help="Database in Kamailio's spelling: sqlite:///PATH, postgres://USER:PASSWORD@HOST/NAME, mysql://...; empty: "
        "SQLite in paths.state. Is never shown. Best given as SRTPGW_SIP_DATABASE__URL or in url_file.",
        effect=Effect.RESTART,
    )
    url_file: Path | None = row(
        None, help="File whose first line is the URL; others than its owner and group must not read it.",
        effect=Effect.RESTART,
    )  # fmt: skip
