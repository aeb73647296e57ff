"""The keys of topology hiding: where they lie, which one was before, and how one is changed (row K05)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from appliance.config.schema import Settings
from appliance.errors import InvalidRequest, NotFound
from appliance.sip_edge.ksr.rules.masking import Mask
from appliance.sip_edge.secret_file import own_secret, secret_of
from appliance.sip_edge.tables.database import make_folder

KEY, PREVIOUS = "mask.key", "mask.previous.key"


def folder(settings: Settings) -> Path:
    """Where a key of our own is kept: with what the SIP edge must not lose."""
    return settings.paths.state.absolute() / "sip"


def current(settings: Settings, account: str = "") -> Mask:
    """The key in use; one of our own is made when there is none. OSError; ValueError: it is too short."""
    chosen = settings.sip_topology.mask_key_file
    if chosen is not None:
        return Mask(secret_of(chosen))
    make_folder(folder(settings), account)
    return Mask(own_secret(folder(settings) / KEY))


def earlier(settings: Settings) -> tuple[Mask, float] | None:
    """The key before that one, and until when it is taken (seconds since 1970): as long as a call may last. None: there
    is none, or its time is over. OSError, ValueError."""
    path = settings.sip_topology.previous_key_file or folder(settings) / PREVIOUS
    if not path.exists():
        return None
    until = path.stat().st_mtime + settings.sip.dialog_timeout_s
    return (Mask(secret_of(path)), until) if until > time.time() else None


def rotate(settings: Settings, *, force: bool = False) -> Path:
    """Make our own key the earlier one; the edge makes a new one when it starts. Where the earlier one lies. NotFound,
    InvalidRequest; OSError."""
    if settings.sip_topology.mask_key_file is not None:
        raise InvalidRequest("the key is in sip_topology.mask_key_file: copy it to previous_key_file, write a new one")
    key, previous = folder(settings) / KEY, folder(settings) / PREVIOUS
    if not key.exists():
        raise NotFound(f"{key}: there is no key yet; the SIP edge makes one when it starts")
    if earlier(settings) is not None and not force:
        raise InvalidRequest(f"{previous} is still taken for calls under it, which would be lost (--force)")
    key.replace(previous)
    os.utime(previous)
    return previous
