"""The holder's configuration: a JSON file written by the control side. Every mistake is named by its key."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ConfigurationError(ValueError):
    """The configuration cannot be used; the text names key and reason."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A named local address, and the first and last of its media ports."""

    name: str
    address: str
    ports: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the holder needs to know."""

    socket: str  # path of the Unix socket for control
    interfaces: tuple[Interface, ...]
    ports: tuple[int, int]  # first and last, of interfaces without their own
    cores: tuple[int, ...]  # one worker each
    calls: int  # sizes the arena, shared by the workers
    port: str = "auto"
    cipher: str = "auto"
    user: str = ""  # run as this user once sockets are open; "": stay
    log: str = "info"
    learning_ms: int = 3000  # learning window of plain legs
    xdp_mode: str = "auto"  # auto: zero copy, else native, else generic
    busy_poll_us: int = 0  # the worker drives the NIC itself, so long at a time; 0: interrupts do


KNOWN = {
    "socket": str,
    "interfaces": list,
    "ports": list,
    "cores": list,
    "calls": int,
    "port": str,
    "cipher": str,
    "user": str,
    "log": str,
    "learning_ms": int,
    "xdp_mode": str,
    "busy_poll_us": int,
}
REQUIRED = ("socket", "interfaces", "ports", "cores", "calls")
CHOICES = {
    "port": ("auto", "udp", "udp-sockets", "udp-wildcard", "xdp"),  # udp: the better of the two that follow
    "xdp_mode": ("auto", "zerocopy", "native", "generic"),
    "cipher": ("auto", "multibuffer", "vaes", "ipsec-mb", "openssl"),  # multibuffer: the faster of the two that follow
    "log": ("debug", "info", "warning", "error"),
}
MOST_CALLS = 1_000_000
MOST_WORKERS = 127  # MOST_WORKERS of layout.pxd


def read_configuration(path: str) -> Configuration:
    """Read and check. ConfigurationError, OSError."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return check_configuration(values)


def check_configuration(values: Any) -> Configuration:
    """The checked form of parsed JSON. ConfigurationError."""
    if not isinstance(values, dict):
        raise ConfigurationError("not an object")
    _check_keys(values)
    for key, choices in CHOICES.items():
        if values.get(key, choices[0]) not in choices:
            raise ConfigurationError(f"{key}: {values[key]!r} is none of {', '.join(choices)}")
    if not 1 <= values["calls"] <= MOST_CALLS:
        raise ConfigurationError(f"calls: {values['calls']} is not in 1..{MOST_CALLS}")
    if not 0 <= values.get("learning_ms", 0) <= 60_000:
        raise ConfigurationError("learning_ms: not in 0..60000")
    if not 0 <= values.get("busy_poll_us", 0) <= 1000:
        raise ConfigurationError("busy_poll_us: not in 0..1000")
    checked = dict(values)
    checked["cores"] = _cores(values["cores"])
    workers = len(checked["cores"])
    checked["ports"] = _ports("ports", values["ports"], workers)
    checked["interfaces"] = _interfaces(values["interfaces"], checked["ports"], workers)
    return Configuration(**checked)


def _check_keys(values: dict[str, Any]) -> None:
    for key in REQUIRED:
        if key not in values:
            raise ConfigurationError(f"{key}: missing")
    for key, value in values.items():
        if key not in KNOWN:
            raise ConfigurationError(f"{key}: unknown setting")
        if not isinstance(value, KNOWN[key]) or isinstance(value, bool):
            raise ConfigurationError(f"{key}: expected {KNOWN[key].__name__}")


def _cores(cores: list[Any]) -> tuple[int, ...]:
    if not cores or not all(type(core) is int and 0 <= core < 4096 for core in cores):
        raise ConfigurationError("cores: expected a list of CPU numbers")
    if len(cores) > MOST_WORKERS:
        raise ConfigurationError(f"cores: at most {MOST_WORKERS}")
    if len(set(cores)) != len(cores):
        raise ConfigurationError("cores: one worker per core, a core is named twice")
    return tuple(cores)


def _ports(key: str, ports: Any, workers: int) -> tuple[int, int]:
    if not isinstance(ports, list) or len(ports) != 2 or not all(type(port) is int for port in ports):
        raise ConfigurationError(f"{key}: expected [first, last]")
    if not 1024 <= ports[0] <= ports[1] <= 65535:
        raise ConfigurationError(f"{key}: expected [first, last] within 1024..65535")
    if ports[1] - ports[0] + 1 < 4 * workers:
        raise ConfigurationError(f"{key}: fewer than 4 per worker")
    return ports[0], ports[1]


def _interfaces(interfaces: list[Any], ports: tuple[int, int], workers: int) -> tuple[Interface, ...]:
    found: list[Interface] = []
    for entry in interfaces:
        if not isinstance(entry, dict) or set(entry) - {"ports"} != {"name", "address"}:
            raise ConfigurationError("interfaces: each is an object of name, address and, if they are its own, ports")
        try:
            address = str(ipaddress.ip_address(entry["address"]))
        except ValueError as error:
            raise ConfigurationError(f"interfaces: {entry['name']}: {error}") from error
        if any(entry["name"] == other.name or address == other.address for other in found):
            raise ConfigurationError(f"interfaces: {entry['name']}: name or address used twice")
        own = _ports(f"interfaces: {entry['name']}: ports", entry["ports"], workers) if "ports" in entry else ports
        found.append(Interface(str(entry["name"]), address, own))
    if not found:
        raise ConfigurationError("interfaces: none")
    return tuple(found)
