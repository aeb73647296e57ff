"""SessionService: sessions without SDP. The short way into the gateway, so nothing here but conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.api import read, show
from srtpgw.v1 import calls_pb2, sessions_pb2

if TYPE_CHECKING:
    from appliance.calls.service import CallService


class SessionServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, calls: CallService) -> None:
        self._calls = calls

    async def CreateSession(self, request: sessions_pb2.CreateSessionRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.create_session(read.session_request(request)))

    async def UpdateSession(self, request: sessions_pb2.UpdateSessionRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.update_session(read.session_request(request, call_id_required=True)))

    async def DeleteSession(self, request: sessions_pb2.DeleteSessionRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.delete_session(read.name(request.call_id, "call_id")))
