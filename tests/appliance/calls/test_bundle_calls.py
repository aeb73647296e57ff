"""Calls whose streams share a port on one leg (BUNDLE), on a plane that obeys commands: installed, ended, moved."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.calls.media import Address, Bundled, LegMedia, StreamMedia
from appliance.calls.views import SessionRequest
from tests.appliance.calls.test_moving import ends_clean
from tests.appliance.rig import Rig

WEB = LegMedia("default", Address("127.0.0.1", 40000), mux=True)
PHONE = LegMedia("outside", Address("127.0.0.1", 50000), Address("127.0.0.1", 50001))
AUDIO = StreamMedia("audio", replace(WEB, bundle=Bundled(0, False, "0", (111,), 4)), PHONE)
VIDEO = StreamMedia("video", replace(WEB, bundle=Bundled(0, True, "1", (96,), 4)), PHONE)


@pytest.mark.row("SDP-15")
async def test_they_share_a_port_and_move_with_it() -> None:
    """After a move members and routes are told again, with the slots that they have there. Both streams are seen at
    the port; the ports that the member does not use are its call's all the same."""
    rig = Rig()
    name = (await rig.calls.create_session(SessionRequest((AUDIO, VIDEO)))).call_id
    view = rig.calls.get(name)
    assert view.streams[0].a.local == view.streams[1].a.local
    for _ in range(2):
        home = rig.calls.get(name).worker
        await rig.calls.move_call(name, 1 - home)
        await asyncio.sleep(0.02)
        there, left = rig.plane.workers[1 - home], rig.plane.workers[home]
        assert not left.flows and not left.routes
        [routes] = there.routes.values()
        carrier, member = (there.flows[route.flow] for route in routes.routes)
        assert (carrier.slot, carrier.member, member.member) == (routes.slot, False, True)
        assert (carrier.interface, carrier.port) == (member.interface, member.port)
        assert there.flows[member.rtp_partner or 0].rtp_partner == member.slot
        assert rig.calls.get(name).streams[1].a.local == view.streams[0].a.local
    await ends_clean(rig)


@pytest.mark.row("SDP-15")
async def test_groups_form_and_end() -> None:
    rig = Rig()
    apart = tuple(replace(media, a=WEB) for media in (AUDIO, VIDEO))
    name = (await rig.calls.create_session(SessionRequest(apart))).call_id
    worker = rig.plane.workers[rig.calls.get(name).worker]
    ports = {stream.a.local.rtp for stream in rig.calls.get(name).streams}
    assert len(ports) == 2 and not worker.routes
    await rig.calls.update_session(SessionRequest((AUDIO, VIDEO), name))
    assert len(worker.routes) == 1 and sum(flow.member for flow in worker.flows.values()) == 1
    await rig.calls.update_session(SessionRequest(apart, name))
    assert {stream.a.local.rtp for stream in rig.calls.get(name).streams} == ports, "each has its own again"
    assert not any(table.routes for table in worker.routes.values())
    await ends_clean(rig)
