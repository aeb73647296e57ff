"""CPU per packet of the gateway's workers, from their own statistics over gRPC."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from appliance.config.schema import Settings
from srtpgw.v1 import system_pb2, system_pb2_grpc

TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Work:
    """Sums over all workers since start."""

    busy_ns: int
    packets: int


def measure(settings: Settings) -> Work | None:
    """What the workers have done so far; None when the gateway cannot be asked."""
    options = [("grpc.enable_http_proxy", 0)]
    try:
        with grpc.insecure_channel(f"unix:{settings.paths.control_socket}", options=options) as channel:
            stub = system_pb2_grpc.SystemServiceStub(channel)
            status = stub.GetStatus(system_pb2.GetStatusRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError:
        return None
    counters = [worker.counters for worker in status.workers]
    return Work(sum(each["busy_ns"] for each in counters), sum(each["received"] for each in counters))


def per_packet(before: Work | None, after: Work | None) -> float | None:
    """Nanoseconds of worker time per packet between two measurements; None without packets."""
    if before is None or after is None or after.packets <= before.packets:
        return None
    return (after.busy_ns - before.busy_ns) / (after.packets - before.packets)
