"""BanService: banned sources, blocks of REGISTER, top talkers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from appliance.api.who import who
from appliance.errors import EdgeUnavailable, InvalidRequest, NotFound
from appliance.sip_edge.management import ban
from appliance.sip_edge.management.bans import position
from appliance.sip_edge.management.top_talkers import Filter, top_talkers
from srtpgw.v1 import bans_pb2

if TYPE_CHECKING:
    from appliance.sip_edge.management.bans import Bans
    from appliance.sip_edge.management.phones import Block, Phones

PAGE, LONGEST_PAGE = 100, 1000
TALKERS = 50
BAN, BLOCK = "ban", "register_block"
BLOCK_TOKEN = "block:"  # of a page that ends with a block; the others end with a network


class BanServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, bans: Bans, phones: Phones) -> None:
        self._bans, self._phones = bans, phones

    async def List(self, request: bans_pb2.ListBansRequest, context: Any) -> bans_pb2.ListBansResponse:
        if request.kind not in ("", BAN, BLOCK):
            raise InvalidRequest(f"kind: {BAN} or {BLOCK}", "kind")
        most = min(request.page_size or PAGE, LONGEST_PAGE)
        around, token = _address(request.address), request.page_token
        bans = self._banned(around, token) if request.kind != BLOCK else []
        blocks = await self._blocked(around, token) if request.kind != BAN and len(bans) <= most else []
        page, rest = bans[:most], blocks[: max(0, most - len(bans))]
        counts = await self._bans.dropped([one.network for one in page])
        last = f"{BLOCK_TOKEN}{rest[-1].key}" if rest else str(page[-1].network) if page else ""
        return bans_pb2.ListBansResponse(
            bans=[*(self._show(one, count) for one, count in zip(page, counts, strict=True)), *map(_block, rest)],
            next_page_token=last if len(bans) + len(blocks) > most else "", state=self._state(),
        )  # fmt: skip

    def _banned(self, around: ban.Address | None, token: str) -> list[ban.Ban]:
        """Bans behind a page's token."""
        if token.startswith(BLOCK_TOKEN):
            return []
        found = self._bans.bans(around)
        last = position(ban.network(token)) if token else (0, 0, 0)
        return [one for one in found if position(one.network) > last]

    async def _blocked(self, around: ban.Address | None, token: str) -> Sequence[Block]:
        """Blocks behind a page's token; none without a registrar, or while Kamailio is away (the state says so)."""
        try:
            found = await self._phones.blocks()
        except (NotFound, EdgeUnavailable):
            return ()
        last = token.removeprefix(BLOCK_TOKEN) if token.startswith(BLOCK_TOKEN) else ""
        return [one for one in found if one.key > last and (around is None or one.address == str(around))]

    async def Ban(self, request: bans_pb2.BanRequest, context: Any) -> bans_pb2.BannedSource:
        made = await self._bans.ban(
            who(context), request.network, request.seconds or None, permanent=request.permanent, reason=request.reason,
            force=request.force,
        )  # fmt: skip
        return self._show(made, 0)

    async def Unban(self, request: bans_pb2.UnbanRequest, context: Any) -> bans_pb2.BannedSource:
        if request.kind not in ("", BAN, BLOCK):
            raise InvalidRequest(f"kind: {BAN} or {BLOCK}", "kind")
        if request.kind == BLOCK:
            return _block(await self._phones.unblock(who(context), request.target))
        return self._show(await self._bans.unban(who(context), request.target), 0)

    async def TopTalkers(self, request: bans_pb2.TopTalkersRequest, context: Any) -> bans_pb2.TopTalkersResponse:
        which = Filter(bans_pb2.TopTalkersRequest.Filter.Name(request.filter))
        found = await top_talkers(self._bans.edge.rpc, which, min(request.limit or TALKERS, LONGEST_PAGE))
        return bans_pb2.TopTalkersResponse(
            talkers=[
                bans_pb2.TopTalker(
                    address=one.address, hits=one.hits, hits_before=one.hits_before, expires_s=one.expires_s,
                    status=one.status, banned=bool(self._bans.bans(_address(one.address))),
                )
                for one in found
            ]
        )  # fmt: skip

    def _show(self, one: ban.Ban, dropped: int) -> bans_pb2.BannedSource:
        where = list(self._bans.means)
        return bans_pb2.BannedSource(
            target=str(one.network), kind=BAN, rule=one.rule, reason=one.reason, who=one.who, since=_time(one.since),
            until=None if one.until is None else _time(one.until), dropped=dropped, enforced=where,
        )  # fmt: skip

    def _state(self) -> bans_pb2.BanState:
        bans, kernel = self._bans, self._bans.kernel
        state = bans_pb2.BanState(
            bans=len(bans), most=bans.rules.most, gave_way=bans.given_way, kernel=bans.rules.kernel,
            kernel_why=bans.rules.kernel_why, kamailio_why=bans.table.why,
            database_why=bans.unsaved_why or bans.edge.database_why, refused=bans.refused, lost=bans.lost,
        )  # fmt: skip
        if kernel is not None:
            state.dropped.update(kernel.state.total)
            state.connections_ended = kernel.state.closed
            state.connections_why = kernel.state.connections
            state.kernel_why = "; ".join(filter(None, (bans.rules.kernel_why, kernel.why)))
        return state


def _block(one: Block) -> bans_pb2.BannedSource:
    return bans_pb2.BannedSource(
        target=one.key, kind=BLOCK, rule="register_blocked", since=_time(one.since), until=_time(one.until),
        enforced=["kamailio"], reason=f"{one.attempts} attempts",
    )  # fmt: skip


def _address(text: str) -> ban.Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]")) if text else None
    except ValueError as error:
        raise InvalidRequest(f"address: {error}", "address") from None


def _time(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1000)
