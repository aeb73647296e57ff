"""A fleet from its JSON form: its `raw` ports, each opened in its own network namespace, and the talkers on them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernels.load.fleet import PATTERN_KEY, Fleet
from kernels.load.namespace import entered
from kernels.load.plan import StreamConfig, Talker, stream_from_json, stream_to_json
from kernels.load.raw import RawPort


@dataclass(frozen=True, slots=True)
class Wire:
    """One interface that the fleet speaks on. `macs`: the far end's address and ours, 24 hexadecimal digits."""

    interface: str
    host: str
    macs: str
    namespace: str | None = None
    generic: bool = False


def fleet_to_json(wires: Sequence[Wire], streams: Sequence[tuple[int, StreamConfig]]) -> dict[str, Any]:
    """`streams`: (which wire, stream). It carries keys in clear: for a pipe to a child process only."""
    return {
        "wires": [asdict(wire) for wire in wires],
        "talkers": [[side, stream_to_json(stream)] for side, stream in streams],
    }


def fleet_from_json(document: Mapping[str, Any]) -> tuple[Fleet, list[RawPort]]:
    """Open the ports and put everybody in place; the ports are to be closed afterwards. ValueError, OSError."""
    wires = [Wire(**values) for values in document["wires"]]
    locals_: list[list[int]] = [[] for _ in wires]
    talkers = []
    for side, values in document["talkers"]:
        stream = stream_from_json(values)
        talkers.append(Talker(side, len(locals_[side]), stream))
        locals_[side].append(stream.local[1])
    ports: list[RawPort] = []
    try:
        for wire, numbers in zip(wires, locals_, strict=True):
            ports.append(_open(wire, numbers))
        sides = [(port, len(numbers)) for port, numbers in zip(ports, locals_, strict=True)]
        return Fleet(sides, talkers, int(document.get("pattern_key", PATTERN_KEY))), ports
    except Exception:
        for port in ports:
            port.close()
        raise


def _open(wire: Wire, numbers: list[int]) -> RawPort:
    with entered(wire.namespace):
        index = socket.if_nametoindex(wire.interface)
        return RawPort(index, bytes.fromhex(wire.macs), wire.host, numbers, wire.generic)
