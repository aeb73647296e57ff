"""SystemService: how the gateway is, and draining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.api import show
from srtpgw.v1 import system_pb2

if TYPE_CHECKING:
    from appliance.api.health import Health
    from appliance.calls.service import CallService


class SystemServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, calls: CallService, health: Health) -> None:
        self._calls = calls
        self._health = health

    async def GetStatus(self, request: system_pb2.GetStatusRequest, context: Any) -> system_pb2.Status:
        return show.status(self._calls.statistics())

    async def Drain(self, request: system_pb2.DrainRequest, context: Any) -> system_pb2.Status:
        await self._calls.drain()
        await self._health.set(serving=False)
        return show.status(self._calls.statistics())

    async def Resume(self, request: system_pb2.ResumeRequest, context: Any) -> system_pb2.Status:
        await self._calls.resume()
        await self._health.set(serving=True)
        return show.status(self._calls.statistics())

    async def DrainWorker(self, request: system_pb2.WorkerRequest, context: Any) -> system_pb2.Status:
        await self._calls.drain_worker(request.worker)
        return show.status(self._calls.statistics())

    async def UndrainWorker(self, request: system_pb2.WorkerRequest, context: Any) -> system_pb2.Status:
        await self._calls.drain_worker(request.worker, drained=False)
        return show.status(self._calls.statistics())
