"""What this machine lacks and what that costs: said once at start, never a reason to stop."""

from __future__ import annotations

import ctypes.util
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.sip_edge import from_settings, kamailio, sipp

LOCKED_MEMORY_OCTETS = 64 << 20


@dataclass(frozen=True)
class Need:
    """Something optional: whether it is here, and what is lost without it."""

    name: str
    present: Callable[[], bool]
    cost: str


def _module(name: str) -> Callable[[], bool]:
    return lambda: (Path(from_settings.module_folder()) / f"{name}.so").exists()


def _library(name: str) -> Callable[[], bool]:
    return lambda: ctypes.util.find_library(name) is not None


def _may_lock() -> bool:
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return os.geteuid() == 0 or limit in (resource.RLIM_INFINITY,) or limit >= LOCKED_MEMORY_OCTETS


NEEDS = (
    Need("kamailio", lambda: kamailio.find("kamailio") is not None,
         "no SIP edge; calls come through NG or gRPC only"),
    Need("kamailio-python3-modules", _module("app_python3"), "no SIP edge; calls come through NG or gRPC only"),
    Need("kamailio-sqlite-modules", _module("db_sqlite"),
         "a Kamailio that is killed forgets the trunks of its calls and takes them from addresses"),
    Need("sip-tester", sipp.available, "the demonstration call is placed through NG instead of SIP"),
    Need("libipsec-mb", _library("IPSec_MB"), "without AVX-512 and VAES, ciphers run on OpenSSL alone"),
    Need("libxdp", _library("xdp"), "media goes through kernel sockets, not AF_XDP"),
    Need("locked memory", _may_lock, "keys may be written to swap (raise RLIMIT_MEMLOCK or run as root)"),
    Need("root", lambda: os.geteuid() == 0, "kernel sockets, no ports below 1024, no accounts of their own"),
)  # fmt: skip


def missing() -> list[Need]:
    return [need for need in NEEDS if not need.present()]
