"""HardwareService: the machine under the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.api import show_hardware
from srtpgw.v1 import hardware_pb2

if TYPE_CHECKING:
    from appliance.machine.hardware import Hardware


class HardwareServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    async def GetHardware(self, request: hardware_pb2.GetHardwareRequest, context: Any) -> hardware_pb2.Hardware:
        return show_hardware.hardware(await self._hardware.view(), request.next_hops)
