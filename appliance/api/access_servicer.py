"""AccessService: who may use the SIP edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from appliance.api.pieces import pieces
from appliance.api.who import who
from appliance.errors import InvalidRequest
from appliance.sip_edge.management import acl_knowledge, acl_trial
from appliance.sip_edge.management.access import ADDRESS, MEMBER, TRUSTED, Access, Summary
from appliance.sip_edge.management.edge import Applied, Edge
from appliance.sip_edge.management.permission_files import PermissionFiles
from appliance.sip_edge.tables import access_rows
from srtpgw.v1 import access_pb2

if TYPE_CHECKING:
    from appliance.config.schema import Settings
    from appliance.sip_edge.tables.access_rows import AnyRow

PAGE, LONGEST_PAGE = 1000, 10_000
ANONYMOUS = "sip:anonymous@anonymous.invalid"  # RFC 3261 section 8.1.1.3
NOTE = "counts from the next start of the SIP edge on"


class AccessServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, edge: Edge, settings: Callable[[], Settings]) -> None:
        """`settings`: as they are now."""
        self._settings = settings
        self._access, self._files = Access(edge, settings()), PermissionFiles(edge, settings())

    async def ListAddresses(
        self, request: access_pb2.ListAddressesRequest, context: Any
    ) -> access_pb2.ListAddressesResponse:
        found = await self._access.rows(ADDRESS, request.group or None)
        start, most = _number(request.page_token), min(request.page_size or PAGE, LONGEST_PAGE)
        later = [(number, row) for number, row in found if number > start]
        token = str(later[most - 1][0]) if len(later) > most else ""
        return access_pb2.ListAddressesResponse(
            addresses=[_address(*one) for one in later[:most]], next_page_token=token, total=len(found)
        )

    async def AddAddresses(self, request: access_pb2.AddAddressesRequest, context: Any) -> access_pb2.AccessChange:
        rows = _rows(ADDRESS, request.addresses, _address_values, "addresses")
        return _change(await self._access.add(who(context), ADDRESS, rows))

    async def ReplaceAddresses(
        self, request: access_pb2.ReplaceAddressesRequest, context: Any
    ) -> access_pb2.AccessChange:
        if not request.group:
            raise InvalidRequest("group must be given", "group")
        rows = _rows(ADDRESS, request.addresses, _address_values, "addresses")
        return _change(await self._access.replace(who(context), ADDRESS, rows, request.group))

    async def RemoveAddresses(self, request: access_pb2.RemoveRowsRequest, context: Any) -> access_pb2.AccessChange:
        group = _number(request.group, "group") if request.group else None
        return await self._remove(ADDRESS, request, group, context)

    async def ListTrusted(self, request: access_pb2.ListTrustedRequest, context: Any) -> access_pb2.ListTrustedResponse:
        return access_pb2.ListTrustedResponse(peers=[_peer(*one) for one in await self._access.rows(TRUSTED)])

    async def AddTrusted(self, request: access_pb2.AddTrustedRequest, context: Any) -> access_pb2.AccessChange:
        rows = _rows(TRUSTED, request.peers, _peer_values, "peers")
        return _change(await self._access.add(who(context), TRUSTED, rows))

    async def RemoveTrusted(self, request: access_pb2.RemoveRowsRequest, context: Any) -> access_pb2.AccessChange:
        if request.group:
            raise InvalidRequest("trusted peers have no groups", "group")
        return await self._remove(TRUSTED, request, None, context)

    async def ListMembers(self, request: access_pb2.ListMembersRequest, context: Any) -> access_pb2.ListMembersResponse:
        found = await self._access.rows(MEMBER, request.group or None)
        return access_pb2.ListMembersResponse(members=[_member(*one) for one in found])

    async def AddMembers(self, request: access_pb2.AddMembersRequest, context: Any) -> access_pb2.AccessChange:
        rows = _rows(MEMBER, request.members, _member_values, "members")
        return _change(await self._access.add(who(context), MEMBER, rows))

    async def RemoveMembers(self, request: access_pb2.RemoveRowsRequest, context: Any) -> access_pb2.AccessChange:
        return await self._remove(MEMBER, request, request.group or None, context)

    async def Import(
        self, requests: AsyncIterator[access_pb2.ImportAccessRequest], context: Any
    ) -> access_pb2.AccessChange:
        first, content = await pieces(requests)
        if first.table and first.table not in access_rows.READERS:
            raise InvalidRequest(f"table: one of {', '.join(access_rows.READERS)}", "table")
        applied = await self._access.import_rows(who(context), first.table, content, replace=first.replace)
        total = Summary(
            sum(one.value.added for one in applied.values()), sum(one.value.removed for one in applied.values()),
            tuple(f"{table}: {warning}" for table, one in applied.items() for warning in one.value.warnings),
        )  # fmt: skip
        return _change(Applied(total, all(one.live for one in applied.values())))

    async def ListPermissionFiles(
        self, request: access_pb2.ListPermissionFilesRequest, context: Any
    ) -> access_pb2.ListPermissionFilesResponse:
        return access_pb2.ListPermissionFilesResponse(
            files=[
                access_pb2.PermissionFile(subject=subject, side=side, path=str(path), exists=path.exists())
                for subject, side, path in self._files.names()
            ]
        )

    async def GetPermissionFile(
        self, request: access_pb2.PermissionFileRequest, context: Any
    ) -> access_pb2.PermissionFile:
        path = self._files.path(request.subject, request.side)
        return access_pb2.PermissionFile(
            subject=request.subject, side=request.side, path=str(path), exists=path.exists(),
            content=await self._files.text(request.subject, request.side),
        )  # fmt: skip

    async def ReplacePermissionFile(
        self, requests: AsyncIterator[access_pb2.ReplacePermissionFileRequest], context: Any
    ) -> access_pb2.AccessChange:
        first, content = await pieces(requests)
        applied = await self._files.replace(who(context), first.subject, first.side, content)
        return access_pb2.AccessChange(live=applied.live, warnings=[*applied.value, NOTE])

    async def Reload(self, request: access_pb2.ReloadAccessRequest, context: Any) -> access_pb2.AccessChange:
        return access_pb2.AccessChange(live=await self._access.reload(who(context)))

    async def Test(self, request: access_pb2.TestAccessRequest, context: Any) -> access_pb2.TestAccessResponse:
        try:
            known = await acl_knowledge.gather(self._access, self._settings())
            outcome = acl_trial.ask(known, _question(request))
        except (OSError, ValueError) as error:
            raise InvalidRequest(str(error)) from None
        return access_pb2.TestAccessResponse(
            status=outcome.status, rule=outcome.rule, trunk=outcome.trunk, destination=outcome.destination,
            user=outcome.uri_user,
            steps=[access_pb2.TestAccessStep(rule=step.rule, verdict=step.verdict, detail=step.detail)
                   for step in outcome.steps],
        )  # fmt: skip

    async def _remove(
        self, kind: str, request: access_pb2.RemoveRowsRequest, group: int | str | None, context: Any
    ) -> access_pb2.AccessChange:
        if bool(request.ids) == (group is not None):
            raise InvalidRequest("name rows by ids, or a group", "ids")
        return _change(await self._access.remove(who(context), kind, list(request.ids), group))


def _rows(kind: str, messages: Iterable[Any], values: Callable[[Any], Mapping[str, Any]], field: str) -> list[AnyRow]:
    rows = []
    for place, message in enumerate(messages):
        try:
            rows.append(access_rows.READERS[kind](values(message)))
        except ValueError as error:
            raise InvalidRequest(str(error), f"{field}[{place}]") from None
    return rows


def _address_values(message: access_pb2.Address) -> Mapping[str, Any]:
    if not message.group:
        raise ValueError("group must be given, from 1")
    return {"grp": message.group, "ip_addr": message.address, "port": message.port, "tag": message.tag}


def _peer_values(message: access_pb2.TrustedPeer) -> Mapping[str, Any]:
    names = ("src_ip", "from_pattern", "ruri_pattern", "tag", "priority")
    return {"proto": message.proto or "any", **{name: getattr(message, name) for name in names}}


def _member_values(message: access_pb2.Member) -> Mapping[str, Any]:
    return {"username": message.username, "domain": message.domain, "grp": message.group}


def _address(number: int, row: Any) -> access_pb2.Address:
    place = row.ip_addr if row.single else str(row.network)
    return access_pb2.Address(id=number, group=row.grp, address=place, port=row.port, tag=row.tag)


def _peer(number: int, row: Any) -> access_pb2.TrustedPeer:
    return access_pb2.TrustedPeer(
        id=number, src_ip=row.src_ip, proto=row.proto, from_pattern=row.from_pattern, ruri_pattern=row.ruri_pattern,
        tag=row.tag, priority=row.priority,
    )  # fmt: skip


def _member(number: int, row: Any) -> access_pb2.Member:
    return access_pb2.Member(id=number, username=row.username, domain=row.domain, group=row.grp)


def _change(applied: Applied[Summary]) -> access_pb2.AccessChange:
    done = applied.value
    return access_pb2.AccessChange(
        added=done.added, removed=done.removed, live=applied.live, warnings=_cut(done.warnings)
    )


def _cut(warnings: Sequence[str]) -> list[str]:
    return [warning[:500] for warning in warnings[:200]]


def _number(text: str, field: str = "page_token") -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidRequest(f"{field}: must be a number", field)
    return int(text or 0)


def _question(request: access_pb2.TestAccessRequest) -> acl_trial.Question:
    return acl_trial.Question(
        source=request.source, port=request.port or 5060, transport=(request.transport or "udp").lower(),
        method=(request.method or "INVITE").upper(), from_uri=request.from_uri or ANONYMOUS, uri=request.uri,
        refer_to=request.refer_to, contact=request.contact, user=request.user,
        certificate=tuple(request.certificate), received_on=request.received_on,
    )  # fmt: skip
