"""SubscriberService: users of the SIP edge, their phones, blocks of REGISTER."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from appliance.api.pieces import pieces
from appliance.api.who import who
from appliance.errors import InvalidRequest
from srtpgw.v1 import subscribers_pb2 as pb

if TYPE_CHECKING:
    from appliance.sip_edge.management.phones import Phones
    from appliance.sip_edge.management.subscribers import Subscribers, User

PAGE, LONGEST_PAGE = 100, 1000


class SubscriberServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, subscribers: Subscribers, phones: Phones) -> None:
        self._subscribers, self._phones = subscribers, phones

    async def List(self, request: pb.ListSubscribersRequest, context: Any) -> pb.ListSubscribersResponse:
        most = min(request.page_size or PAGE, LONGEST_PAGE)
        found = await self._subscribers.list(most + 1, _after(request.page_token))
        page = found[:most]
        token = json.dumps([page[-1].username, page[-1].domain]) if len(found) > most else ""
        return pb.ListSubscribersResponse(subscribers=map(_show, page), next_page_token=token)

    async def Add(self, request: pb.AddSubscriberRequest, context: Any) -> pb.Subscriber:
        return _show(await self._subscribers.add(who(context), request.username, request.domain, request.password))

    async def SetPassword(self, request: pb.SetPasswordRequest, context: Any) -> pb.Subscriber:
        words = (request.username, request.domain, request.password)
        return _show(await self._subscribers.set_password(who(context), *words))

    async def Remove(self, request: pb.RemoveSubscriberRequest, context: Any) -> pb.RemoveSubscriberResponse:
        await self._subscribers.remove(who(context), request.username, request.domain)
        return pb.RemoveSubscriberResponse()

    async def Import(
        self, requests: AsyncIterator[pb.ImportSubscribersRequest], context: Any
    ) -> pb.ImportSubscribersResponse:
        _, text = await pieces(requests)
        return pb.ImportSubscribersResponse(added=await self._subscribers.load(who(context), text))

    async def ListContacts(self, request: pb.ListContactsRequest, context: Any) -> pb.ListContactsResponse:
        return pb.ListContactsResponse(contacts=[pb.Contact(**asdict(one)) for one in await self._phones.contacts()])

    async def Deregister(self, request: pb.DeregisterRequest, context: Any) -> pb.DeregisterResponse:
        await self._phones.deregister(who(context), request.user)
        return pb.DeregisterResponse()

    async def ListBlocks(self, request: pb.ListBlocksRequest, context: Any) -> pb.ListBlocksResponse:
        return pb.ListBlocksResponse(blocks=[pb.RegisterBlock(**asdict(one)) for one in await self._phones.blocks()])

    async def Unblock(self, request: pb.UnblockRequest, context: Any) -> pb.UnblockResponse:
        await self._phones.unblock(who(context), request.key)
        return pb.UnblockResponse()


def _show(user: User) -> pb.Subscriber:
    return pb.Subscriber(username=user.username, domain=user.domain, algorithms=user.algorithms)


def _after(token: str) -> tuple[str, str]:
    if not token:
        return "", ""
    try:
        name, realm = json.loads(token)
    except (ValueError, TypeError):
        raise InvalidRequest("no token of ours", "page_token") from None
    return str(name), str(realm)
