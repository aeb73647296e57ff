"""Streams that share a port on one leg (BUNDLE): members and routes in the desired state, and there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.calls.media import Address, Bundled, LegMedia, LocalPorts, StreamMedia, StreamPlacement
from appliance.errors import InvalidRequest
from appliance.placement.desired import desired_of
from appliance.placement.desired_state import NOTHING, Desired, diff
from appliance.placement.placed import PlacedStream
from appliance.state.records import media_in, media_out
from kernels.control.commands import Command, InstallRoutes, Route

PLACED = {
    line: PlacedStream(
        StreamPlacement(0, LocalPorts("10.1.0.1", 30000 + 10 * line, 30001 + 10 * line),
                        LocalPorts("10.2.0.1", 30002 + 10 * line, 30003 + 10 * line)),
        "web", "core", {"a_rtp": 10 * line, "b_rtp": 10 * line + 1, "b_rtcp": 10 * line + 2}, {},
    )
    for line in range(3)
}  # fmt: skip
WEB = LegMedia("web", Address("10.1.0.9", 5000), mux=True, secure=True)
PHONE = LegMedia("core", Address("10.2.0.9", 4000), Address("10.2.0.9", 4001))
AUDIO = StreamMedia("audio", replace(WEB, bundle=Bundled(0, False, "0", (111, 8), 4)), PHONE)
VIDEO = StreamMedia("video", replace(WEB, bundle=Bundled(0, True, "1", (96,), 4)), PHONE)
TOGETHER = {0: AUDIO, 1: VIDEO}
APART = {line: replace(media, a=WEB) for line, media in TOGETHER.items()}


def state(streams: dict[int, StreamMedia]) -> Desired:
    return desired_of(streams, PLACED)


def names(commands: list[Command]) -> list[str]:
    return [f"{type(command).__name__} {command.slot}" for command in commands]  # type: ignore[union-attr]


@pytest.mark.row("SDP-15")
def test_members_have_the_carriers_port() -> None:
    """They stand behind all others, whatever the order of lines; the other leg's flows name them as any."""
    wanted = state({1: VIDEO, 0: AUDIO})
    assert list(wanted.flows)[-1] == 10
    carrier, member = wanted.flows[0], wanted.flows[10]
    assert (carrier.port, carrier.member, member.port, member.member) == (30000, False, 30000, True)
    assert (member.rtp_partner, wanted.flows[11].rtp_partner, wanted.flows[11].port) == (11, 10, 30012)
    assert wanted.routes == {0: InstallRoutes(0, (Route(10, (96,), "1"), Route(0, (111, 8), "0")), 4)}
    assert wanted.told()[-1] == wanted.routes[0]


@pytest.mark.row("SDP-15")
def test_a_carrier_that_is_only_the_port() -> None:
    """Its own m-line has ended: nothing is routed to it."""
    husk = replace(AUDIO, a=replace(WEB, bundle=Bundled(0)))
    assert state({0: husk, 1: VIDEO}).routes == {0: InstallRoutes(0, (Route(10, (96,), "1"),), 4)}


@pytest.mark.row("SDP-15")
@pytest.mark.parametrize(
    ("before", "after", "commands"),
    [
        ({}, TOGETHER, [*(f"InstallFlow {slot}" for slot in (0, 1, 2, 11, 12, 10)), "InstallRoutes 0"]),
        # who named a flow that was removed has forgotten it (RemoveFlow): partners are told again
        (APART, TOGETHER, ["RemoveFlow 10", "InstallFlow 11", "InstallFlow 12", "InstallFlow 10", "InstallRoutes 0"]),
        (TOGETHER, APART, ["RemoveFlow 10", "InstallFlow 10", "InstallFlow 11", "InstallFlow 12", "InstallRoutes 0"]),
        (TOGETHER, {0: AUDIO}, ["RemoveFlow 11", "RemoveFlow 12", "RemoveFlow 10", "InstallRoutes 0"]),
        (TOGETHER, {}, [f"RemoveFlow {slot}" for slot in (0, 1, 2, 11, 12, 10)]),
        (TOGETHER, TOGETHER, []),
        (TOGETHER, {0: AUDIO, 1: replace(VIDEO, a=replace(VIDEO.a, may_send=False))}, ["InstallFlow 10"]),
    ],
)
def test_there_and_back(before: dict[int, StreamMedia], after: dict[int, StreamMedia], commands: list[str]) -> None:
    now = state(after) if after else NOTHING
    found = diff(state(before) if before else NOTHING, now)
    assert names(found) == commands
    if before and after == APART:
        assert found[-1] == InstallRoutes(0, ())


@pytest.mark.parametrize(
    "streams",
    [
        {1: VIDEO},
        {0: replace(AUDIO, a=WEB), 1: VIDEO},
        {0: AUDIO, 1: replace(VIDEO, a=replace(WEB, bundle=Bundled(1, True)))},
        {0: replace(AUDIO, a=replace(WEB, bundle=Bundled(1, True))), 1: VIDEO},
    ],
)
def test_members_without_carrier(streams: dict[int, StreamMedia]) -> None:
    with pytest.raises(InvalidRequest, match="carrier"):
        state(streams)


def test_records() -> None:
    assert media_in(media_out(TOGETHER)) == TOGETHER
