"""`[sip_access]`, `[[address_groups]]`: who may use the SIP edge, by address, table and permission file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.trunks import NAME
from appliance.config.types import Words

MOST_GROUPS = 1_000_000  # above any group number: subnet_match_mode "longest" counts in these steps
COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
_FILE = re.compile(r"^[A-Za-z0-9_./@%+-]+$")


def _files(names: tuple[str, ...]) -> tuple[str, ...]:
    """None: off. One: a base name that .allow and .deny are put behind. Two: the files themselves."""
    if len(names) > 2:
        raise ValueError("name one base name (.allow and .deny are put behind it), or the two files")
    for name in names:
        if not _FILE.match(name) or name.endswith("/"):
            raise ValueError(f"{name!r} is not a file name")
    return names


FilePair = Annotated[Words, AfterValidator(_files)]


class SipAccess(Table):
    """Who may use the SIP edge: tables `address`, `trusted` and `grp`, permission files. Names are those of Kamailio's
    modules permissions and group where they have one."""

    ip_auth: bool = row(
        True,
        help="A source address is proof enough where a trunk says so, or the tables do (WITH_IPAUTH of Kamailio's "
        "sample configuration); false: everybody but TLS peers with a certificate is asked for a password.",
        effect=Effect.RESTART,
    )
    address: bool = row(True, help="Look callers up in the table `address`.", effect=Effect.RESTART)
    trusted: bool = row(True, help="Look callers up in the table `trusted`.", effect=Effect.RESTART)
    trusted_trunk: str = row(
        "", help="Trunk of a caller that `trusted` lets in under no trunk's name as its tag; empty: refused.",
        effect=Effect.RESTART,
    )  # fmt: skip
    subnet_match_mode: Literal["first", "longest"] = row(
        "first",
        help="Which group an address belongs to when networks of several groups hold it: the lowest group number "
        "(first, as Kamailio 5), or the group of the longest prefix (longest, as Kamailio 6.1).",
        effect=Effect.RESTART,
    )
    max_subnets: int = row(
        16_384, help="Most networks in `address`; single addresses do not count.", unit="networks",
        effect=Effect.RESTART, ge=1, le=1_000_000,
    )  # fmt: skip
    reload_delta: int = row(
        1, help="Least time between two reloads of the tables; changes that come sooner wait for it.", unit="seconds",
        effect=Effect.RESTART, ge=1, le=60,
    )  # fmt: skip
    db_mode: Literal[0, 1] = row(
        1, help="`trusted` in memory (1), or asked of the database at each request (0).", effect=Effect.RESTART
    )
    peer_tag_mode: Literal[0, 1] = row(
        0, help="Tags of `trusted` that a call is marked with: of the first row that matches (0), or of all (1).",
        effect=Effect.RESTART,
    )  # fmt: skip

    address_table: str = row("address", help="Its name.", effect=Effect.RESTART, pattern=COLUMN)
    grp_col: str = row("grp", help="Column of its group.", effect=Effect.RESTART, pattern=COLUMN)
    ip_addr_col: str = row("ip_addr", help="Column of its address.", effect=Effect.RESTART, pattern=COLUMN)
    mask_col: str = row("mask", help="Column of its prefix length.", effect=Effect.RESTART, pattern=COLUMN)
    port_col: str = row("port", help="Column of its port.", effect=Effect.RESTART, pattern=COLUMN)
    trusted_table: str = row("trusted", help="Its name.", effect=Effect.RESTART, pattern=COLUMN)
    source_col: str = row("src_ip", help="Column of its source address.", effect=Effect.RESTART, pattern=COLUMN)
    proto_col: str = row("proto", help="Column of its transport.", effect=Effect.RESTART, pattern=COLUMN)
    from_col: str = row("from_pattern", help="Column of its From expression.", effect=Effect.RESTART, pattern=COLUMN)
    ruri_col: str = row("ruri_pattern", help="Column of its Request-URI expression.", effect=Effect.RESTART,
                        pattern=COLUMN)  # fmt: skip
    tag_col: str = row("tag", help="Column of the tag in both.", effect=Effect.RESTART, pattern=COLUMN)
    priority_col: str = row("priority", help="Column of its priority.", effect=Effect.RESTART, pattern=COLUMN)

    folder: Path | None = row(
        None, help="Where permission files without a path are, and where `srtpgw acl` writes them; unset: access below "
        "paths.state.", effect=Effect.RESTART,
    )  # fmt: skip
    routing: FilePair = row(
        ("permissions",),
        help="Permission files of calls, pairs of From and Request-URI (allow_routing): a base name, that .allow and "
        ".deny are put behind, or the two files. A file that is not there is empty; []: off.",
        effect=Effect.RESTART,
    )
    register_files: FilePair = row(
        ("register",), help="The same of registrations, pairs of To and Contact (allow_register).",
        effect=Effect.RESTART,
    )  # fmt: skip
    uri: FilePair = row(
        ("uri",), help="The same of the variables in uri_check, pairs of From and its value (allow_uri).",
        effect=Effect.RESTART,
    )  # fmt: skip
    uri_check: Words = row(
        ("$rt",),
        help="Variables of Kamailio that must pass the files of `uri` wherever they have a value: $rt is what a REFER "
        "refers to, $fu the From URI.",
        effect=Effect.RESTART,
    )
    register_include_port: bool = row(
        False, help="Contacts are compared with their port (allow_register_include_port).", effect=Effect.RESTART
    )
    register_protect: bool = row(
        True, help="Refuse a Contact at the address of a trunk or of a group that is a gateway.", effect=Effect.RESTART
    )


class AddressGroup(Table):
    """What a group number of the table `address` means."""

    number: int = row(help="Number in the column `grp`.", unit="number", effect=Effect.RESTART, ge=1, lt=MOST_GROUPS)
    name: str = row(help="Name in logs and in `srtpgw acl`.", effect=Effect.RESTART, pattern=NAME)
    trunk: str = row(
        "", help="Trunk that its members' requests belong to; empty: as trunks.match says.", effect=Effect.RESTART
    )
    trusted: bool = row(True, help="Its members are not asked for a password.", effect=Effect.RESTART)
    gateway: bool = row(
        False, help="Its members are gateways: never banned for flooding, nobody may register their address.",
        effect=Effect.RESTART,
    )  # fmt: skip
    action: Literal["allow", "deny"] = row(
        "allow", help="deny: every request of its members is refused with 403.", effect=Effect.RESTART
    )
