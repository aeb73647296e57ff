"""Desired state and its differences, as tables: what is commanded, in which order, and that nothing is commanded
twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.calls.media import Address, ContextSpec, LegMedia, LocalPorts, MasterKey, StreamMedia, StreamPlacement
from appliance.errors import InvalidRequest
from appliance.placement.desired import desired
from appliance.placement.desired_contexts import contexts, transform_of
from appliance.placement.desired_flows import needed_flows
from appliance.placement.desired_state import NOTHING, diff, merge
from appliance.placement.placed import PlacedStream
from appliance.protocols.srtp import suites
from kernels.control.commands import AddKey, InstallCrypto, InstallFlow, RemoveCrypto, RemoveFlow

FLOWS = {"a_rtp": 1, "a_rtcp": 2, "b_rtp": 3, "b_rtcp": 4}
CRYPTOS = {"a_receive": 5, "a_send": 6, "b_receive": 7, "b_send": 8}
PLACED = PlacedStream(
    StreamPlacement(0, LocalPorts("127.0.0.1", 30000, 30001), LocalPorts("127.0.0.1", 30002, 30003)),
    "lan", "wan", FLOWS, CRYPTOS,
)  # fmt: skip


def spec(key: int, mki: bytes = b"", more: tuple[int, ...] = ()) -> ContextSpec:
    keys = tuple(MasterKey(bytes([k]) * 16, bytes([k]) * 14, mki and bytes([k])) for k in (key, *more))
    return ContextSpec("AES_CM_128_HMAC_SHA1_80", keys)


PLAIN = StreamMedia("audio", LegMedia("lan", Address("10.0.0.1", 4000), Address("10.0.0.1", 4001)), LegMedia("wan"))
SECURE = replace(PLAIN, b=LegMedia("wan", secure=True, receive=spec(1), send=spec(2)))


def names(commands: list[object]) -> list[str]:
    return [f"{type(command).__name__} {command.slot}" for command in commands]  # type: ignore[attr-defined]


CASES = {
    "nothing to plain": (None, PLAIN, ["InstallFlow 1", "InstallFlow 2", "InstallFlow 3", "InstallFlow 4"]),
    "nothing to secure": (
        None, SECURE,
        ["InstallCrypto 7", "InstallCrypto 8", "InstallFlow 1", "InstallFlow 2", "InstallFlow 3", "InstallFlow 4"],
    ),
    "secure to nothing": (
        SECURE, None,
        ["RemoveFlow 1", "RemoveFlow 2", "RemoveFlow 3", "RemoveFlow 4", "RemoveCrypto 7", "RemoveCrypto 8"],
    ),
    "same": (SECURE, SECURE, []),
    "plain to secure": (PLAIN, SECURE, ["InstallCrypto 7", "InstallCrypto 8", "InstallFlow 3", "InstallFlow 4"]),
    "secure to plain": (SECURE, PLAIN, ["InstallFlow 3", "InstallFlow 4", "RemoveCrypto 7", "RemoveCrypto 8"]),
    "new receive key": (SECURE, replace(SECURE, b=replace(SECURE.b, receive=spec(9))), ["InstallCrypto 7"]),
    "further key": (
        replace(SECURE, b=replace(SECURE.b, receive=spec(1, b"x"))),
        replace(SECURE, b=replace(SECURE.b, receive=spec(1, b"x", (3,)))), ["AddKey 7"],
    ),
    "address": (SECURE, replace(SECURE, b=replace(SECURE.b, remote_rtp=Address("10.0.0.2", 5000))), ["InstallFlow 3"]),
    "hold": (SECURE, replace(SECURE, a=replace(SECURE.a, may_send=False)), ["InstallFlow 1"]),
    "mux agreed": (
        PLAIN, replace(PLAIN, b=replace(PLAIN.b, mux=True)),
        ["RemoveFlow 4", "InstallFlow 2", "InstallFlow 3"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "commands"), CASES.values(), ids=CASES)
def test_diff(before: StreamMedia | None, after: StreamMedia | None, commands: list[str]) -> None:
    """Receive contexts before the flows that use them; flows before the contexts they used."""
    one, other = (NOTHING if media is None else desired(media, PLACED) for media in (before, after))
    assert names(list(diff(one, other))) == commands


def test_a_flow_that_changes_its_port_is_removed_first() -> None:
    moved = replace_ports(PLACED, LocalPorts("127.0.0.1", 30010, 30011))
    commands = diff(desired(PLAIN, PLACED), desired(PLAIN, moved))
    assert names(commands)[:2] == ["RemoveFlow 1", "RemoveFlow 2"]
    assert isinstance(commands[0], RemoveFlow) and isinstance(commands[2], InstallFlow)


def replace_ports(placed: PlacedStream, a: LocalPorts) -> PlacedStream:
    return replace(placed, placement=replace(placed.placement, a=a))


def test_partners_with_mux_on_one_leg() -> None:
    """A muxed leg's RTCP leaves by the other leg's RTCP port, and the other way round comes in by the one port."""
    flows = desired(replace(PLAIN, b=replace(PLAIN.b, mux=True)), PLACED).flows
    assert set(flows) == {1, 2, 3}
    assert (flows[3].rtp_partner, flows[3].rtcp_partner, flows[3].rtcp) == (1, 2, True)
    assert (flows[1].rtp_partner, flows[1].rtcp_partner, flows[1].rtcp) == (3, None, False)
    assert (flows[2].rtp_partner, flows[2].rtcp_partner) == (None, 3)


def test_rtcp_flows_on_hold() -> None:
    """RFC 3264 section 5.1: RTCP is sent whatever the direction attribute says."""
    flows = desired(replace(PLAIN, a=replace(PLAIN.a, may_send=False, may_receive=False)), PLACED).flows
    assert not flows[1].may_send and not flows[1].may_receive and flows[2].may_send and flows[2].may_receive


def test_needs() -> None:
    assert needed_flows(PLAIN) == ("a_rtp", "a_rtcp", "b_rtp", "b_rtcp")
    assert contexts(PLAIN) == {} and list(contexts(SECURE)) == ["b_receive", "b_send"]


@pytest.mark.parametrize("suite", suites.SUITES, ids=lambda suite: suite.name)
def test_every_suite_has_a_transform(suite: suites.Suite) -> None:
    """A12: a suite is a row; nothing here names one."""
    transform = transform_of(suite.name)
    assert (transform.key_octets, transform.rtp_tag, transform.rtcp_tag) == (
        suite.key_octets,
        suite.rtp_tag,
        suite.rtcp_tag,
    )


def test_freeswitch_srtcp_tag() -> None:
    """Trap 5: the SRTCP tag as long as SRTP's."""
    quirk = replace(spec(1), suite="AES_CM_128_HMAC_SHA1_32", srtcp_tag_as_srtp=True)
    installed = desired(replace(SECURE, b=replace(SECURE.b, receive=quirk)), PLACED).cryptos[7].install
    assert installed.transform.rtcp_tag == 4


def test_keys_do_not_show() -> None:
    state = desired(SECURE, PLACED)
    text = repr(state) + repr(diff(NOTHING, state)) + repr(SECURE)
    assert repr(bytes([1]) * 14)[2:-1] not in text and "0101" not in text
    assert merge([state]) is state
    assert not any(isinstance(command, AddKey | RemoveCrypto) for command in diff(NOTHING, state))
    assert sum(isinstance(command, InstallCrypto) for command in diff(NOTHING, state)) == 2


@pytest.mark.parametrize("port", [30000, 30001, 30002, 30003])
@pytest.mark.parametrize("leg", ["a", "b"])
@pytest.mark.parametrize("component", ["remote_rtp", "remote_rtcp"])
def test_a_leg_may_not_name_the_streams_own_ports(leg: str, component: str, port: int) -> None:
    """A13: an SDP with our own media address would make packets go round for ever."""
    changed = replace(getattr(PLAIN, leg), **{component: Address("127.0.0.1", port)})
    with pytest.raises(InvalidRequest, match="own port"):
        desired(replace(PLAIN, **{leg: changed}), PLACED)


def test_another_calls_port_is_a_hairpin_not_a_loop() -> None:
    desired(replace(PLAIN, a=replace(PLAIN.a, remote_rtp=Address("127.0.0.1", 30004))), PLACED)


def flows_of(a: dict[str, object], b: dict[str, object]) -> list[InstallFlow]:
    media = replace(PLAIN, a=replace(PLAIN.a, **a), b=replace(PLAIN.b, **b))  # type: ignore[arg-type]
    wanted = desired(media, PLACED).flows
    return [wanted[FLOWS[name]] for name in ("a_rtp", "a_rtcp", "b_rtp", "b_rtcp")]


def test_what_a_leg_wants_of_the_packet_path() -> None:
    """A22, G13, G25, TOS: blocking, feedback and TOS concern both flows of a leg, rewriting its RTP only."""
    types, ids = ((96, 111),), ((1, 2),)
    a_rtp, a_rtcp, b_rtp, b_rtcp = flows_of(
        {"blocked": True, "tos": 0xB8}, {"feedback": False, "payload_types": types, "extensions": ids}
    )
    assert [flow.blocked for flow in (a_rtp, a_rtcp, b_rtp, b_rtcp)] == [True, True, False, False]
    assert [flow.tos for flow in (a_rtp, a_rtcp, b_rtp, b_rtcp)] == [0xB8, 0xB8, 0, 0]
    assert [flow.feedback for flow in (a_rtp, a_rtcp, b_rtp, b_rtcp)] == [True, True, False, False]
    assert [flow.payload_types for flow in (a_rtp, a_rtcp, b_rtp, b_rtcp)] == [(), (), types, ()]
    assert [flow.extensions for flow in (a_rtp, a_rtcp, b_rtp, b_rtcp)] == [None, None, ids, None]


@pytest.mark.parametrize("mux", [False, True])
def test_an_echoing_leg_is_its_own_partner(mux: bool) -> None:
    """peers 1.1 media echo: what it sends goes back to it as it came; what the other leg sends still reaches it."""
    a_rtp, *_ = flows_of({"echo": True, "mux": False, "payload_types": ((0, 8),)}, {"payload_types": ((8, 0),)})
    assert (a_rtp.rtp_partner, a_rtp.payload_types) == (FLOWS["a_rtp"], ())
    media = replace(PLAIN, a=replace(PLAIN.a, echo=True, mux=mux))
    placed = replace(PLACED, flows={name: FLOWS[name] for name in needed_flows(media)})
    wanted = desired(media, placed).flows
    rtcp = FLOWS["a_rtp" if mux else "a_rtcp"]
    assert wanted[FLOWS["a_rtp"]].rtp_partner == FLOWS["a_rtp"]
    assert wanted[rtcp].rtcp_partner == rtcp
    assert (wanted[FLOWS["b_rtp"]].rtp_partner, wanted[FLOWS["b_rtcp"]].rtcp_partner) == (FLOWS["a_rtp"], rtcp)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payload_types": ((0, 72),)}, "payload_types"),
        ({"payload_types": ((128, 0),)}, "payload_types"),
        ({"payload_types": tuple((n, n) for n in range(33))}, "payload_types"),
        ({"extensions": ((0, 1),)}, "extensions"),
        ({"extensions": ((1, 256),)}, "extensions"),
        ({"extensions": tuple((n, n) for n in range(1, 32))}, "extensions"),
        ({"tos": 256}, "tos"),
    ],
)
def test_rewriting_that_no_flow_can_do_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        flows_of({}, change)
    assert refused.value.field == field
