"""Where the gateway may keep its sockets and records on this host, for this user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from appliance.config.load import load
from appliance.config.schema import Settings

RUN, STATE = "SRTPGW_PATHS__RUN", "SRTPGW_PATHS__STATE"


def load_usable(config: Sequence[Path]) -> Settings:
    """The settings, with run and state directories that this user can write.

    Root gets what the settings say. Anybody else gets directories of their own when those cannot be made; every process
    of the gateway learns them through the environment, which wins over files.
    """
    settings = load(config)
    if not _writable(settings.paths.run) and RUN not in os.environ:
        os.environ[RUN] = str(own_run())
    if not _writable(settings.paths.state) and STATE not in os.environ:
        os.environ[STATE] = str(own_run() / "state")
    settings = load(config)
    for path in (settings.paths.run, settings.paths.state):
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
    return settings


def own_run() -> Path:
    """This user's run directory: under XDG_RUNTIME_DIR, else a private one in /tmp. PermissionError: not ours."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "srtpgw"
    path = Path(tempfile.gettempdir()) / f"srtpgw-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():  # /tmp is everybody's: somebody may have been first
        raise PermissionError(f"{path} belongs to somebody else; set {RUN}")
    return path


def _writable(path: Path) -> bool:
    """Whether `path` exists and can be written, or could be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK | os.X_OK)
