"""What `acl_trial` decides over: the settings, the tables as they are now, the permission files as they are now."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from appliance.config.schema import Settings
from appliance.policy import permission_file
from appliance.policy.permission_file import PermissionFile
from appliance.sip_edge import from_settings
from appliance.sip_edge.areas import access as area
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.management.access import ADDRESS, MEMBER, TRUSTED, Access
from appliance.sip_edge.management.acl_trial import Knowledge
from appliance.sip_edge.tables.access_rows import Address, AnyRow, Member, Trusted

Kind = TypeVar("Kind", Address, Trusted, Member)


async def gather(access: Access, settings: Settings) -> Knowledge:
    """DatabaseUnavailable; OSError, ValueError when a permission file cannot be read."""
    return Knowledge(
        RoutingTable(
            trunks=tuple(from_settings.trunk(row, settings) for row in settings.trunks),
            access=area.rules(settings, database=True),
            routes=area.routes(settings),
        ),
        _of(Address, await access.rows(ADDRESS)),
        _of(Trusted, await access.rows(TRUSTED)),
        _of(Member, await access.rows(MEMBER)),
        await asyncio.to_thread(_files, settings),
    )


def _files(settings: Settings) -> dict[str, tuple[PermissionFile, PermissionFile]]:
    return {
        pair.subject: (permission_file.read(area.text(pair.allow)), permission_file.read(area.text(pair.deny)))
        for pair in area.file_sets(settings)
    }


def _of(kind: type[Kind], rows: list[tuple[int, AnyRow]]) -> tuple[Kind, ...]:
    return tuple(row for _, row in rows if isinstance(row, kind))
