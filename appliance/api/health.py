"""Standard health (grpc.health.v1): one answer for the whole gateway and one per service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

DATA_PLANE = "dataplane"


class Health:
    """`""` and every service are SERVING while new calls are taken; "dataplane" while the workers' hearts beat."""

    def __init__(self, services: Sequence[str]) -> None:
        self._names = ("", *services)
        self._servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]

    def add_to(self, server: Any) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, serving: bool, data_plane: bool | None = None) -> None:
        """`data_plane` None: as it was."""
        for name in self._names:
            await self._servicer.set(name, _word(serving))
        if data_plane is not None:
            await self._servicer.set(DATA_PLANE, _word(data_plane))

    async def stop(self) -> None:
        """NOT_SERVING for good: the server is going down."""
        await self._servicer.enter_graceful_shutdown()


def _word(serving: bool) -> Any:
    status = health_pb2.HealthCheckResponse
    return status.SERVING if serving else status.NOT_SERVING
