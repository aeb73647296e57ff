"""DestinationService: destination sets of the SIP edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.api.who import who
from appliance.errors import InvalidRequest
from appliance.sip_edge.tables.dispatcher_rows import Row
from srtpgw.v1 import destinations_pb2 as pb

if TYPE_CHECKING:
    from appliance.sip_edge.management.destinations import Destinations, Shown
    from appliance.sip_edge.management.edge import Applied

CHANGEABLE = ("setid", "destination", "flags", "priority", "attrs", "description")


class DestinationServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    async def List(self, request: pb.ListDestinationsRequest, context: Any) -> pb.ListDestinationsResponse:
        setid = request.setid if request.HasField("setid") else None
        found = await self._destinations.shown(setid)
        return pb.ListDestinationsResponse(destinations=map(_status, found))

    async def Add(self, request: pb.AddDestinationRequest, context: Any) -> pb.DestinationChange:
        return _change(await self._destinations.add(who(context), _row(request.destination)))

    async def Update(self, request: pb.UpdateDestinationRequest, context: Any) -> pb.DestinationChange:
        changes = {name: getattr(request, name) for name in CHANGEABLE if request.HasField(name)}
        if not changes:
            raise InvalidRequest("nothing to change")
        return _change(await self._destinations.update(who(context), request.id, **changes))

    async def Remove(self, request: pb.RemoveDestinationRequest, context: Any) -> pb.DestinationChange:
        return _change(await self._destinations.remove(who(context), request.id))

    async def SetState(self, request: pb.SetDestinationStateRequest, context: Any) -> pb.DestinationChange:
        return _change(await self._destinations.set_state(who(context), request.id, request.state))

    async def Replace(self, request: pb.ReplaceSetsRequest, context: Any) -> pb.ReplaceSetsResponse:
        sets: dict[int, list[Row]] = {setid: [] for setid in request.setids}
        for row in map(_row, request.destinations):
            if row.setid not in sets:
                raise InvalidRequest(f"set {row.setid} is not one of setids", "destinations")
            sets[row.setid].append(row)
        done = await self._destinations.replace(who(context), sets)
        return pb.ReplaceSetsResponse(destinations=map(_destination, done.value), live=done.live)

    async def Reload(
        self, request: pb.ReloadDestinationsRequest, context: Any
    ) -> pb.ReloadDestinationsResponse:
        await self._destinations.reload(who(context))
        return pb.ReloadDestinationsResponse()

    async def Ping(self, request: pb.PingDestinationsRequest, context: Any) -> pb.PingDestinationsResponse:
        if request.HasField("active"):
            await self._destinations.ping_active(who(context), request.active)
        return pb.PingDestinationsResponse(active=await self._destinations.pinging())

    async def Choose(
        self, request: pb.ChooseDestinationRequest, context: Any
    ) -> pb.ListDestinationsResponse:
        algorithm = request.algorithm if request.HasField("algorithm") else None
        found = await self._destinations.choose(request.setid, tuple(request.values), algorithm)
        return pb.ListDestinationsResponse(destinations=map(_status, found))


def _row(said: pb.Destination) -> Row:
    return Row(said.setid, said.destination, said.flags, said.priority, said.attrs, said.description)


def _destination(row: Row) -> pb.Destination:
    return pb.Destination(
        id=row.id, setid=row.setid, destination=row.destination, flags=row.flags, priority=row.priority,
        attrs=row.attrs, description=row.description,
    )  # fmt: skip


def _change(done: Applied[Row]) -> pb.DestinationChange:
    return pb.DestinationChange(destination=_destination(done.value), live=done.live)


def _status(shown: Shown) -> pb.DestinationStatus:
    status = pb.DestinationStatus(row=_destination(shown.row), state=pb.DestinationStatus.UNKNOWN)
    live = shown.live
    if live is not None:
        status.state = pb.DestinationStatus.State.Value(live.state.upper())
        status.probing, status.load = live.probing, live.load
        if live.latency:
            found = live.latency
            status.latency.CopyFrom(pb.DestinationLatency(
                average_ms=found.get("AVG", 0), deviation_ms=found.get("STD", 0), estimate_ms=found.get("EST", 0),
                most_ms=found.get("MAX", 0), timeouts=int(found.get("TIMEOUT", 0)),
            ))  # fmt: skip
    return status
