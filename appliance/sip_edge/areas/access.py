"""Kamailio's modules permissions and group: tables and permission files (rows N01-N14, J07)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config.database_url import parse
from appliance.config.routes import Route as RouteSettings
from appliance.config.schema import Settings
from appliance.config.sip_access import SipAccess
from appliance.sip_edge.areas.area import Area, Places, Value
from appliance.sip_edge.ksr.rules.access import STEP, AccessRules, Group
from appliance.sip_edge.ksr.rules.routes import Route
from appliance.sip_edge.tables import schema

ADDRESS_VERSION = schema.VERSIONS["address"]
LONGEST_VIEW = "address_longest"  # what Kamailio reads instead of `address` where the longest prefix counts
SETS = ("routing", "register_files", "uri")  # settings that name permission files


@dataclass(frozen=True)
class FileSet:
    """The two permission files of one subject: where the operator has them, and Kamailio's copies of them."""

    subject: str
    allow: Path
    deny: Path

    @property
    def copies(self) -> tuple[str, str]:
        """Names in the run directory."""
        return f"{self.subject}.allow", f"{self.subject}.deny"


def area(settings: Settings, places: Places) -> Area:
    """OSError, ValueError when a permission file is there and cannot be read."""
    access = settings.sip_access
    files = {
        copy: text(path)
        for pair in file_sets(settings)
        for copy, path in zip(pair.copies, (pair.allow, pair.deny), strict=True)
    }
    group = (("group",), (("group", "db_url", places.database),)) if places.database else ((), ())
    return Area(
        modules=("permissions", *group[0]),
        parameters=(*_permissions(access, places), *group[1]),
        files=files,
        statements=_longest_view(access, places.database) if access.subnet_match_mode == "longest" else (),
        blocks=tuple(_blocks(settings, places)),
    )


def rules(settings: Settings, database: bool) -> AccessRules:
    """What the script has to know. `database`: there is one for the tables."""
    access = settings.sip_access
    there = {pair.subject for pair in file_sets(settings)}
    return AccessRules(
        ip_auth=access.ip_auth,
        address=access.address and database,
        trusted=access.trusted and database,
        trusted_trunk=access.trusted_trunk,
        longest=access.subnet_match_mode == "longest",
        groups=tuple(
            Group(row.number, row.name, row.trunk, row.trusted, row.gateway, row.action == "deny")
            for row in settings.address_groups
        ),
        routing="routing" in there,
        register_files="register_files" in there,
        uri="uri" in there,
        uri_check=access.uri_check,
        register_include_port=access.register_include_port,
        register_protect=access.register_protect,
        members=database,
    )


def routes(settings: Settings) -> tuple[Route, ...]:
    return tuple(_route(row) for row in settings.routes)


def folder(settings: Settings) -> Path:
    """Where permission files without a path are."""
    return settings.sip_access.folder or settings.paths.state / "access"


def file_sets(settings: Settings) -> Iterator[FileSet]:
    """The permission files that the settings name, whether they are there or not."""
    for subject in SETS:
        names = getattr(settings.sip_access, subject)
        if names:
            allow, deny = names if len(names) == 2 else (f"{names[0]}.allow", f"{names[0]}.deny")
            yield FileSet(subject, folder(settings) / allow, folder(settings) / deny)


def text(path: Path) -> str:
    """A permission file; one that is not there is empty (N01)."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _permissions(access: SipAccess, places: Places) -> Iterator[tuple[str, str, Value]]:
    yield "permissions", "default_allow_file", str(places.run / "routing.allow")
    yield "permissions", "default_deny_file", str(places.run / "routing.deny")
    yield "permissions", "peer_tag_avp", "$avp(peer_tag)"
    yield "permissions", "peer_tag_mode", access.peer_tag_mode
    if not places.database:
        return
    backends = 12 + access.address + 2 * access.trusted  # allow files 4, deny files 8, address 1, trusted 2
    yield "permissions", "load_backends", backends
    yield "permissions", "db_url", places.database
    for name in ("db_mode", "max_subnets", "reload_delta", "trusted_table", "source_col", "proto_col", "from_col",
                 "ruri_col", "tag_col", "priority_col", "grp_col", "ip_addr_col", "mask_col", "port_col"):  # fmt: skip
        yield "permissions", name, getattr(access, name)
    table = LONGEST_VIEW if access.subnet_match_mode == "longest" else access.address_table
    yield "permissions", "address_table", table


def _longest_view(access: SipAccess, url: str) -> tuple[str, ...]:
    """The table with group numbers that put longer prefixes first: Kamailio 5.6.3 answers with the lowest number that
    matches, so it finds the longest prefix, and `AccessRules.number` takes the group out of the answer (N13). Nothing
    without a database."""
    ip, mask, grp = access.ip_addr_col, access.mask_col, access.grp_col
    left = f"CASE WHEN {mask} = 0 THEN 0 WHEN {ip} <> REPLACE({ip}, ':', '') THEN 128 - {mask} ELSE 32 - {mask} END"
    if not url:
        return ()
    number = f"({left}) * {STEP} + {grp}"
    if parse(url).engine.module == "db_mysql":  # sums are BIGINT there, which the module refuses; nine digits are INT
        number = f"CAST(CAST({number} AS CHAR(9)) AS SIGNED)"
    columns = ", ".join((ip, mask, access.port_col, access.tag_col))
    return (
        f"DROP VIEW IF EXISTS {LONGEST_VIEW}",
        f"CREATE VIEW {LONGEST_VIEW} AS SELECT id, {number} AS {grp}, {columns} FROM {access.address_table}",
        f"DELETE FROM version WHERE table_name = '{LONGEST_VIEW}'",
        f"INSERT INTO version (table_name, table_version) VALUES ('{LONGEST_VIEW}', {ADDRESS_VERSION})",
    )


def _blocks(settings: Settings, places: Places) -> Iterator[str]:
    """KEMI has no allow_routing, allow_register, allow_uri in 5.6.3; KSR.x.modf crashes on them. Here the files are
    read once, at start, before Kamailio forks."""
    if not any(file_sets(settings)):
        return
    there = {pair.subject for pair in file_sets(settings)}
    for subject, name, call in (
        ("routing", "perm_routing", "allow_routing()"),
        ("register_files", "perm_register", f'allow_register("{places.run}/register_files")'),
        ("register_files", "perm_register_uri", f'allow_uri("{places.run}/register_files", "$avp(perm_uri)")'),
        ("uri", "perm_uri", f'allow_uri("{places.run}/uri", "$avp(perm_uri)")'),
    ):
        if subject in there:
            yield f"route[{name}] {{\n\tif (!{call}) return -1;\n\treturn 1;\n}}"


def _route(row: RouteSettings) -> Route:
    return Route(
        row.name, row.from_trunk, row.method, row.prefix, row.pattern, row.group, row.strip, row.prepend,
        row.action == "deny", row.destination,
    )  # fmt: skip
