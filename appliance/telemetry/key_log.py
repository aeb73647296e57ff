"""The one place where SRTP keys may be written down: a private file that an operator asks for, to decrypt captures in
the lab (`security.log_srtp_keys`, row C11; rtpengine's --log-srtp-keys). Never the journal.

A line of JSON per context; its `crypto` is an a=crypto value, which Wireshark and libsrtp's tools take.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from appliance.calls.keying_log import Keyed
from appliance.calls.media import ContextSpec
from appliance.protocols.sdes.crypto import Crypto, InlineKey, emit
from appliance.protocols.srtp import suites


class UnsafeKeyLog(OSError):
    """The file is not private to this account."""


class KeyLog:
    """Appends to `path`, which is made with mode 0600. OSError when it cannot be opened, UnsafeKeyLog when others may
    read it. A write that fails later (disk full) loses that line, not the call."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = os.open(path, flags, 0o600)
        state = os.fstat(self._file)
        if not stat.S_ISREG(state.st_mode) or state.st_mode & 0o077 or state.st_uid != os.geteuid():
            os.close(self._file)
            raise UnsafeKeyLog(f"{path} must be a regular file of this account with mode 0600")

    def write(self, call_id: str, keyed: Keyed) -> None:
        record = {
            "time": round(self._clock(), 3), "call": call_id, "stream": keyed.stream, "leg": keyed.leg,
            "direction": keyed.direction, "crypto": _line(keyed.spec),
        }  # fmt: skip
        try:
            os.write(self._file, (json.dumps(record) + "\n").encode())
        except OSError:
            return

    def close(self) -> None:
        os.close(self._file)


def _line(spec: ContextSpec) -> str:
    keys = tuple(InlineKey(key.key + key.salt, key.rtp_lifetime, key.mki) for key in spec.keys)
    return emit(Crypto(1, spec.suite, suites.find(spec.suite), keys))
