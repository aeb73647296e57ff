"""Calls that the media plane ended by itself (a wrong certificate, no media for too long, a lost worker) end for their
phones too: Kamailio sends BYE to both (its `dlg.terminate_dlg`)."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from appliance.calls.views import CallEvent
from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable

BY_SIGNALLING = "deleted"  # the reason when it was asked for: whoever asked tells the phones

log = structlog.get_logger("srtpgw.edge")


class Hangups:
    """`media_ended` feeds it; a task of its own asks Kamailio, one call after the other."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._ended: asyncio.Queue[tuple[str, str, str, str]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hangups")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def media_ended(self, event: CallEvent) -> None:
        """A call of the media plane is over; only an answered one has phones to tell."""
        view = event.call
        if view is not None and event.reason != BY_SIGNALLING and view.from_tag and view.to_tag:
            self._ended.put_nowait((event.call_id, view.from_tag, view.to_tag, event.reason))

    async def _run(self) -> None:
        while True:
            call_id, from_tag, to_tag, reason = await self._ended.get()
            try:
                await self._rpc.call("dlg.terminate_dlg", call_id, from_tag, to_tag)
                log.info("hung up", call_id=call_id, reason=reason)
            except RpcRefused:
                continue  # not a call of this SIP edge, or over by now
            except RpcUnavailable as error:
                log.warning("the phones of a call that ended were not told", call_id=call_id, error=str(error))
