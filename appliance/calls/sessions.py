"""Low-level sessions: calls whose streams and keys are said by whoever creates them, without SDP."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from appliance.calls.ledger import Ledger, placed
from appliance.calls.media import LegMedia, StreamMedia
from appliance.calls.names import check_names
from appliance.calls.registry import Branch, Call
from appliance.calls.session_keys import check_keys
from appliance.calls.views import CallView, EventKind, SessionRequest
from appliance.errors import CallExists, InvalidRequest
from appliance.placement.reconciler import Placement

MOST_STREAMS = 64

CarryOut: TypeAlias = Callable[[Call, Branch, dict[int, StreamMedia]], Awaitable[None]]


class Sessions:
    """The steps of `CallService.create_session` and `update_session`."""

    def __init__(self, ledger: Ledger, default_interface: str, carry_out: CarryOut) -> None:
        self._ledger, self._default_interface, self._carry_out = ledger, default_interface, carry_out

    async def create(self, request: SessionRequest) -> CallView:
        """CallExists, NoCapacity, InvalidRequest."""
        ledger = self._ledger
        call_id = request.call_id or secrets.token_hex(16)
        check_names(call_id, request.label)
        streams = self._streams(request)
        if ledger.registry.get(call_id) is not None:
            raise CallExists("a call of this name is up")
        call = await ledger.begin(call_id, request.label)
        call.low_level = True
        branch = Branch(from_tag="", answered=True)
        call.branches.append(branch)
        try:
            with ledger.attempt(call, branch):
                branch.placement = ledger.reconciler.reserve(_legs(streams))
                await self._carry_out(call, branch, streams)
            ledger.publish(EventKind.CREATED, call)
            return ledger.snapshots.call(call)
        finally:
            ledger.unlock(call)

    async def update(self, request: SessionRequest) -> CallView:
        """UnknownCall, InvalidRequest."""
        ledger, streams = self._ledger, self._streams(request)
        call = await ledger.existing(request.call_id)
        try:
            if not call.low_level:
                raise InvalidRequest("this call is negotiated by SDP", "call_id")
            branch = call.branches[0]
            with ledger.attempt(call, branch):
                _check_interfaces(placed(branch), streams)
                ledger.reconciler.extend(placed(branch), _legs(streams))
                await self._carry_out(call, branch, streams)
            ledger.publish(EventKind.UPDATED, call)
            return ledger.snapshots.call(call)
        finally:
            ledger.unlock(call)

    def _streams(self, request: SessionRequest) -> dict[int, StreamMedia]:
        if not 0 < len(request.streams) <= MOST_STREAMS:
            raise InvalidRequest(f"a session has 1 to {MOST_STREAMS} streams", "streams")
        check_keys(request.streams)
        return {
            line: replace(stream, a=self._leg(stream.a), b=self._leg(stream.b))
            for line, stream in enumerate(request.streams)
        }

    def _leg(self, leg: LegMedia) -> LegMedia:
        """A leg with keys is a secure leg, whatever the caller says: nothing unprotected passes there."""
        return replace(
            leg,
            interface=leg.interface or self._default_interface,
            secure=leg.secure or leg.dtls is not None or leg.receive is not None or leg.send is not None,
        )


def _legs(streams: Mapping[int, StreamMedia]) -> list[tuple[int, str, str]]:
    return [(line, media.a.interface, media.b.interface) for line, media in streams.items()]


def _check_interfaces(placement: Placement, streams: Mapping[int, StreamMedia]) -> None:
    """InvalidRequest: ports stay where they are while a stream lives."""
    for line, a, b in _legs(streams):
        stream = placement.streams.get(line)
        if stream is not None and (stream.interface_a, stream.interface_b) != (a, b):
            raise InvalidRequest(f"stream {line} cannot move to another interface", "interface")
