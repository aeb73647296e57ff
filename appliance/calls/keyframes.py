"""A phone without RTCP feedback asks for a whole picture by SIP INFO (RFC 5168); the other leg has feedback and is
asked by PLI. Not the other way: the gateway begins no INFO."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appliance.calls.ledger import Ledger
from appliance.calls.media import Address, LegMedia
from appliance.calls.names import check_names
from appliance.calls.registry import Branch
from appliance.calls.snapshots import Readings
from appliance.errors import NotAcceptable, UnknownCall
from appliance.protocols.rtcp import pictures
from kernels.control.status import FlowStatus

Inject = Callable[[int, int, bytes, Address], None]
NOBODY = 1  # SSRC of a phone that has sent nothing yet


class Keyframes:
    """`readings` looks at flows, `inject` sends from one's socket; RTCP of a secure leg is sealed on its way out."""

    def __init__(self, ledger: Ledger, readings: Readings, inject: Inject) -> None:
        self._ledger, self._readings, self._inject = ledger, readings, inject

    async def ask(self, call_id: str, tag: str) -> int:
        """The party with this tag wants whole pictures; how many senders were asked. UnknownCall (no such call or
        party), NotAcceptable: nobody sends it pictures and can be asked."""
        check_names(call_id, tag)
        call = await self._ledger.existing(call_id)
        try:
            sides = [(branch, "b" if tag == branch.from_tag else "a") for branch in call.branches if _has(branch, tag)]
            if not sides:
                raise UnknownCall("nobody in this call is meant")
            asked = 0
            for branch, side in sides:
                for worker, slot, data, to in self._requests(branch, side):
                    self._inject(worker, slot, data, to)
                    asked += 1
            if not asked:
                raise NotAcceptable("no sender of pictures takes requests")
            return asked
        finally:
            self._ledger.unlock(call)

    def _requests(self, branch: Branch, side: str) -> Iterator[tuple[int, int, bytes, Address]]:
        """For every picture that leg `side` sends."""
        placement = branch.placement
        for line, media in branch.own_media.items() if placement is not None else ():
            assert placement is not None
            leg: LegMedia = media.leg(side)
            if media.kind != "video" or not leg.feedback or not leg.may_send or line not in placement.streams:
                continue
            here = placement.streams[line]
            carrier = leg.bundle.carrier if leg.bundle else line
            port = placement.streams.get(carrier, here)
            slot = port.flows.get(f"{side}_rtp" if leg.mux else f"{side}_rtcp")
            pictures_come_by = self._flow(placement.worker, here.flows.get(f"{side}_rtp"))
            goes_by = self._flow(placement.worker, slot)
            if pictures_come_by is None or pictures_come_by.ssrc_in is None or goes_by is None or slot is None:
                continue
            asking = self._flow(placement.worker, here.flows.get(f"{'b' if side == 'a' else 'a'}_rtp"))
            sender = asking.ssrc_in if asking is not None and asking.ssrc_in is not None else NOBODY
            to = goes_by.current or goes_by.remote
            if to is not None:
                data = pictures.picture_loss(sender, pictures_come_by.ssrc_in)
                yield placement.worker, slot, data, Address(*to)

    def _flow(self, worker: int, slot: int | None) -> FlowStatus | None:
        try:
            return None if slot is None else self._readings.flow(worker, slot)
        except (LookupError, OSError):
            return None


def _has(branch: Branch, tag: str) -> bool:
    return bool(tag) and tag in (branch.from_tag, branch.to_tag)
