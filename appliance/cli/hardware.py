"""`srtpgw hardware`: what this box is, what carries media on it, and what would help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree

HopsOption = Annotated[bool, typer.Option("--next-hops", help="Also how each media peer is reached.")]


def register(app: typer.Typer) -> None:
    @app.command("hardware")
    def hardware(
        socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False, next_hops: HopsOption = False
    ) -> None:
        """What this machine is and has: cores, network cards, memory, and advice."""
        from srtpgw.v1 import hardware_pb2, hardware_pb2_grpc

        with connected(socket) as channel:
            request = hardware_pb2.GetHardwareRequest(next_hops=next_hops)
            found = hardware_pb2_grpc.HardwareServiceStub(channel).GetHardware(request, timeout=TIMEOUT_S)
        if as_json:
            print_json(tree(found))
        else:
            _print(found)


def _print(found: Any) -> None:
    print_table(("machine", ""), _machine(found))
    print_table(("core", ">node", "siblings", "isolated", "tick", "governor", "runs"), map(_core, found.cores))
    columns = ("nic", "driver", ">node", ">mtu", "link", ">queues", "xdp", "steering", "media")
    print_table(columns, [_nic(nic) for nic in found.nics])
    if found.accelerators:
        print_table(("accelerator", "at", "driver"), [(one.name, one.bus, one.driver) for one in found.accelerators])
    if found.next_hops:
        headings = ("interface", "peer", "state", "by", "mac", ">vlan", ">mtu", "why")
        print_table(headings, [_next_hop(row) for row in found.next_hops])
    if found.events:
        print_table(("time (UTC)", "event"), [(_time(event), event.text) for event in found.events])
    print_table(("advice",), [(line,) for line in found.advice] or [("none: this machine is set up well",)])


def _machine(found: Any) -> list[tuple[str, object]]:
    limits, memory = found.limits, found.memory
    lock = f"{limits.lock_limit_octets >> 20} MiB" if limits.HasField("lock_limit_octets") else "unlimited"
    bpf = [name for name, has in (("BTF", limits.btf), ("JIT", limits.bpf_jit)) if has]
    return [
        ("processor", found.processor),
        ("features", " ".join(found.processor_features) or "none that matter"),
        ("kernel", f"{limits.kernel} ({', '.join(bpf) or 'neither BTF nor JIT'})"),
        ("clock", limits.clocksource),
        ("memory", f"{memory.available_kib >> 10} of {memory.total_kib >> 10} MiB available, {lock} may be locked"),
        ("huge pages", _huge(memory.huge_pages)),
        ("may", " ".join(limits.capabilities) or "nothing special"),
    ]


def _huge(pools: Any) -> str:
    """Pools that have pages."""
    sizes = {2048: "2 MiB", 1 << 20: "1 GiB"}
    return (
        ", ".join(
            f"node {pool.node}: {pool.free} of {pool.total} x {sizes.get(pool.size_kib, f'{pool.size_kib} KiB')} free"
            for pool in pools
            if pool.total
        )
        or "none"
    )


def _core(core: Any) -> tuple[object, ...]:
    return (
        core.index,
        core.node,
        ",".join(map(str, core.siblings)),
        "yes" if core.isolated else "no",
        "off" if core.tickless else "on",
        core.governor,
        f"worker {core.worker}" if core.HasField("worker") else "",
    )


def _nic(nic: Any) -> tuple[object, ...]:
    state = "down" if not nic.up else "no link" if not nic.carrier else _speed(nic.speed_mbps)
    queues = f"{nic.queues}/{nic.queues_max}"
    return (
        f"{nic.name} (VLAN {nic.vlan} on {nic.parent})" if nic.vlan else nic.name,
        nic.driver,
        nic.node,
        nic.mtu,
        state,
        queues,
        _xdp(nic),
        _steering(nic.steering),
        " ".join(nic.interfaces),
    )


def _speed(mbps: int) -> str:
    return "up" if not mbps else f"{mbps // 1000} Gbit/s" if mbps >= 1000 else f"{mbps} Mbit/s"


def _xdp(nic: Any) -> str:
    if nic.unsuitable:
        return f"no: {nic.unsuitable}"
    ability = "zero-copy" if nic.xdp.zero_copy else "native" if nic.xdp.native else "generic"
    return f"{ability}, program {nic.xdp.program} {nic.xdp.attached}" if nic.xdp.program else ability


def _steering(steering: Any) -> str:
    if not steering.ntuple:
        return "hand-off"
    return f"ntuple, {steering.rules} rules" if steering.active else "ntuple, off"


def _next_hop(row: Any) -> tuple[object, ...]:
    by = row.gateway or "link"
    return (row.interface, row.destination, row.state, by, row.destination_mac, row.vlan or "", row.mtu, row.why)


def _time(event: Any) -> str:
    return str(event.time.ToDatetime().replace(microsecond=0))
