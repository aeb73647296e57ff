"""The permission files: shown, checked, replaced. Kamailio reads them when it starts, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from sqlalchemy import Connection

from appliance.config.schema import Settings
from appliance.errors import GatewayError, InvalidRequest, NotFound
from appliance.policy import permission_file
from appliance.sip_edge.areas import access as area
from appliance.sip_edge.management.edge import Applied, Changed, Edge

SIDES = ("allow", "deny")
MOST_OCTETS = 4 * 1024 * 1024


class PermissionFiles:
    """Files that the settings name. `subject`: routing, register_files, uri; `side`: allow, deny."""

    def __init__(self, edge: Edge, settings: Settings) -> None:
        self._edge, self._settings = edge, settings

    def names(self) -> list[tuple[str, str, Path]]:
        """Subject, side and path of every file, whether it is there or not."""
        return [(pair.subject, side, getattr(pair, side)) for pair in area.file_sets(self._settings) for side in SIDES]

    def path(self, subject: str, side: str) -> Path:
        """NotFound: the settings name no such file."""
        for one, other, path in self.names():
            if (one, other) == (subject, side):
                return path
        asked = f"{subject}.{side}".strip(".")
        known = ", ".join(f"{one}.{other}" for one, other, _ in self.names()) or "none"
        raise NotFound(f"the settings name no permission file {asked!r}; they name: {known}")

    async def text(self, subject: str, side: str) -> str:
        """What it says; empty when it is not there. NotFound, InvalidRequest when it cannot be read."""
        path = self.path(subject, side)
        try:
            return await asyncio.to_thread(area.text, path)
        except (OSError, ValueError) as error:
            raise InvalidRequest(f"{path}: {error}") from None

    async def replace(self, who: str, subject: str, side: str, text: str) -> Applied[tuple[str, ...]]:
        """The new text after it was checked; warnings. Counts when the SIP edge starts next: `live` is never true.
        InvalidRequest names every line that Kamailio could not read."""
        path = self.path(subject, side)
        if len(text.encode()) > MOST_OCTETS:
            raise InvalidRequest(f"longer than {MOST_OCTETS} octets")
        found = permission_file.read(text).mistakes
        wrong = [f"line {mistake.line}: {mistake.message}" for mistake in found if not mistake.warning]
        if wrong:
            raise InvalidRequest("; ".join(wrong))
        warnings = tuple(f"line {mistake.line}: {mistake.message}" for mistake in found)
        before = await self.text(subject, side)

        def work(_: Connection) -> Changed[tuple[str, ...]]:
            write(path, text)
            return Changed(warnings, {"octets": len(before.encode())}, {"octets": len(text.encode())})

        try:
            applied = await self._edge.change(who, "permissions replace", f"{subject}.{side}", work)
        except GatewayError:  # not recorded: not changed
            write(path, before)
            raise
        return Applied(applied.value, live=False)


def write(path: Path, text: str) -> None:
    """All of it or nothing, on the disk when it returns. InvalidRequest when it cannot be written."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with fresh.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
