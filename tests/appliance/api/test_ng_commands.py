"""What NG commands do beyond the plain call: parties, delays, templates, loops, limits, statistics (peers 1.1, 1.2)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from appliance.api import ng_statistics
from appliance.api.ng_commands import ABSENT, COMMANDS
from appliance.api.ng_delayed import DelayedDeletes
from appliance.api.ng_query import query
from appliance.api.ng_rules import NgRules
from appliance.api.ng_tally import INTERVAL_S, NgTally
from appliance.calls.registry import Call, Treatment
from appliance.calls.views import DtlsView
from appliance.errors import UnknownCall
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import reference
from appliance.values import changed
from tests.appliance.api.test_ng_server import Face
from tests.appliance.calls.test_service import answer_to
from tests.appliance.rig import OFFER


def face_with(**rules: Any) -> Face:
    return Face(rules=NgRules(lambda: MediaOptions(sdes_requires_tls=False), **rules))


async def up(face: Face, call_id: str = "x", **wishes: Any) -> Call:
    """A call of a (labelled) and b."""
    offered = await face.ask("offer", call_id=call_id, from_tag="a", label="caller", sdp=OFFER.decode(), **wishes)
    assert offered["result"] == "ok", offered
    answer = answer_to(offered["sdp"].encode()).decode()
    answered = await face.ask("answer", call_id=call_id, from_tag="a", to_tag="b", sdp=answer)
    assert answered["result"] == "ok", answered
    call = face.rig.calls.ledger.registry.get(call_id)
    assert call is not None
    return call


@pytest.fixture
async def face() -> Face:
    return face_with()


def treated(call: Call) -> tuple[Treatment, Treatment]:
    return call.branches[0].treatments["a"], call.branches[0].treatments["b"]


PLAIN, BLOCKED, ECHO = Treatment(), Treatment(blocked=True), Treatment(echo=True)

# ---------------------------------------------------------------- block, echo, subscribe


@pytest.mark.parametrize(
    ("who", "outcome"),
    [({}, (BLOCKED, BLOCKED)), ({"from_tag": "a"}, (BLOCKED, PLAIN)), ({"from_tag": "b"}, (PLAIN, BLOCKED)),
     ({"flags": ["all"]}, (BLOCKED, BLOCKED)), ({"from_tag": "a", "all": "all"}, (BLOCKED, BLOCKED))],
)  # fmt: skip
async def test_block_media(face: Face, who: dict[str, Any], outcome: tuple[Treatment, Treatment]) -> None:
    call = await up(face)
    assert await face.ask("block media", call_id="x", **who) == {"result": "ok"}
    assert treated(call) == outcome
    assert await face.ask("unblock media", call_id="x", **who) == {"result": "ok"}
    assert treated(call) == (PLAIN, PLAIN)


@pytest.mark.parametrize(
    ("command", "body", "reason"),
    [
        ("block media", {"from_tag": "z"}, "From-tag given, but no such tag exists"),
        ("block media", {"address": "192.0.2.99"}, "Failed to match address to any tag"),
        ("unblock media", {"label": "nobody"}, "No monologue matching the given label"),
        ("block media", {"call_id": "y"}, "Unknown call-ID"),
        ("block DTMF", {"call_id": "y"}, "Unknown call-ID"),
        ("block DTMF", {}, "DTMF blocking is not available: block media stops everything a party sends"),
        ("unblock DTMF", {"from_tag": "z"}, "From-tag given, but no such tag exists"),
        ("subscribe request", {}, "No monologues matched"),
        ("subscribe request", {"from_tag": "z"}, "From-tag given, but no such tag exists"),
        ("subscribe request", {"label": "nobody"}, "No monologue matching the given label"),
        ("subscribe request", {"address": "192.0.2.99"}, "Failed to match address to any tag"),
        ("subscribe request", {"call_id": "y"}, "Unknown call-ID"),
        ("subscribe answer", {}, "No to-tag in message"),
        ("subscribe answer", {"to_tag": "s"}, "No SDP body in message"),
        ("subscribe answer", {"to_tag": "s", "sdp": OFFER.decode()}, "To-tag not found"),
        ("unsubscribe", {}, "No to-tag in message"),
    ],
)
async def test_parties_that_are_not_there(face: Face, command: str, body: dict[str, Any], reason: str) -> None:
    """rtpengine's words, as tests/system/test_ng_oracle.py hears them from Debian's daemon."""
    await up(face)
    assert await face.ask(command, **({"call_id": "x"} | body)) == {"result": "error", "error-reason": reason}


async def test_unsubscribe_twice_is_no_error(face: Face) -> None:
    await up(face)
    assert (await face.ask("unsubscribe", call_id="x", to_tag="s"))["result"] == "ok"


@pytest.mark.parametrize(
    ("wish", "outcome"),
    [
        ({"media_echo": "both"}, (ECHO, ECHO)),
        ({"media_echo": "blackhole"}, (BLOCKED, BLOCKED)),
        ({"media_echo": "forward"}, (BLOCKED, ECHO)),
        ({"media_echo": "backwards"}, (ECHO, BLOCKED)),
        ({"drop_traffic": "start"}, (BLOCKED, BLOCKED)),
        ({"rtpp_flags": "media-echo=both"}, (ECHO, ECHO)),
    ],
)
async def test_media_echo_and_drop_traffic(
    face: Face, wish: dict[str, Any], outcome: tuple[Treatment, Treatment]
) -> None:
    """rtpengine: `forward` echoes towards the receiver of the message, `backwards` towards its sender; the other
    side's media is discarded."""
    call = await up(face, **wish)
    assert treated(call) == outcome
    await face.ask("offer", call_id="x", from_tag="a", to_tag="b", sdp=OFFER.decode(), drop_traffic="stop")
    assert not any(treatment.blocked for treatment in treated(call))


async def test_unknown_echo_is_a_warning(face: Face) -> None:
    reply = await face.ask("offer", call_id="x", from_tag="a", sdp=OFFER.decode(), media_echo="loud", nonsense=1)
    assert reply["result"] == "ok" and reply["warning"] == "not understood: nonsense, media-echo=loud"


# ---------------------------------------------------------------- offer and answer


async def test_warnings_name_what_is_not_to_be_had(face: Face) -> None:
    body = {"flags": ["generate RTCP", "frobnicate"], "ICE": "force-relay", "bundle": ["accept"]}
    reply = await face.ask("offer", call_id="x", from_tag="a", sdp=OFFER.decode(), **body)
    assert reply["warning"] == "not understood: frobnicate; not available: generate-RTCP, ICE=force-relay"


async def test_loop_protect(face: Face) -> None:
    """Our own SDP that comes back, in another call even, passes untouched and makes no call."""
    offered = await face.ask("offer", call_id="x", from_tag="a", sdp=OFFER.decode(), flags=["loop protect"])
    assert "a=srtpgw:" in offered["sdp"]
    again = await face.ask("offer", call_id="y", from_tag="c", sdp=offered["sdp"], flags=["loop-protect"])
    assert again == {"result": "ok", "sdp": offered["sdp"]}
    assert (await face.ask("list"))["calls"] == ["x"]
    unprotected = await face.ask("offer", call_id="y", from_tag="c", sdp=offered["sdp"])
    assert unprotected["sdp"] != offered["sdp"]


async def test_tos(face: Face) -> None:
    """TOS of the whole call: all legs; kept with a negative value, the default without the key."""
    call = await up(face, TOS=184)
    offer = {"call_id": "x", "from_tag": "a", "to_tag": "b", "sdp": OFFER.decode()}

    def octets() -> set[int | None]:
        return {leg.tos for media in call.branches[0].media.values() for leg in (media.a, media.b)}

    await face.ask("offer", **offer, TOS=184)
    assert octets() == {184}
    await face.ask("offer", **offer, TOS=-1)
    assert octets() == {184}
    await face.ask("offer", **offer)
    assert octets() == {None}


async def test_new_branch(face: Face) -> None:
    offer = {"call_id": "x", "from_tag": "a", "sdp": OFFER.decode()}
    for flags in ([], [], ["new branch"], ["new-branch"]):
        await face.ask("offer", **offer, flags=flags)
    call = face.rig.calls.ledger.registry.get("x")
    assert call is not None and len(call.branches) == 3


async def test_templates_of_the_settings() -> None:
    """`default`, then the command's, then the message's own words."""
    face = face_with(templates={"default": "transport-protocol=RTP/SAVP", "offer": "SDES-only-AEAD_AES_256_GCM"})
    reply = await face.ask("offer", call_id="x", from_tag="a", sdp=OFFER.decode())
    assert "RTP/SAVP" in reply["sdp"] and reply["sdp"].count("a=crypto") == 1 and "AEAD_AES_256_GCM" in reply["sdp"]
    reply = await face.ask("offer", call_id="y", from_tag="a", sdp=OFFER.decode(), transport_protocol="RTP/AVP")
    assert "RTP/AVP" in reply["sdp"]


async def test_interfaces_by_route_and_family() -> None:
    """inbound-peer, outbound-peer, address-family choose an interface; what leads nowhere is a warning."""
    rules = NgRules(interfaces={"other": "192.0.2.1", "default": "127.0.0.1", "six": "::1"})
    face = Face(rules=rules)
    message = {"call_id": "x", "from_tag": "a", "sdp": OFFER.decode()}
    reply = await face.ask("offer", **message, inbound_peer="127.0.0.9", outbound_peer="127.0.0.1")
    assert reply["result"] == "ok" and "warning" not in reply
    reply = await face.ask("offer", **message, inbound_peer="nowhere")
    assert reply["warning"] == "not available: inbound-peer=nowhere"
    assert rules._of_family("ip6") == "six" and rules._of_family("IP4") == "other" and rules._of_family("x") == ""


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("sdp", "reason"),
    [("rubbish", "Failed to parse SDP"), (OFFER.decode().replace("c=IN IP4 127.0.0.1\r\n", ""),
      "Incomplete SDP specification")],
)  # fmt: skip
async def test_bad_sdp(face: Face, sdp: str, reason: str) -> None:
    """rtpengine's reason; the line and the rule behind it as a warning."""
    reply = await face.ask("offer", call_id="x", from_tag="a", sdp=sdp)
    assert (reply["result"], reply["error-reason"]) == ("error", reason) and "line" in reply["warning"]


async def test_load_limit(face: Face) -> None:
    """Peers 1.2: clients that support it get `load limit`, others an error with the same words."""
    await up(face)
    face.rig.calls.ledger.most_calls = 1
    offer = {"call_id": "y", "from_tag": "a", "sdp": OFFER.decode()}
    reply = await face.ask("offer", **offer, supports=["load limit"])
    assert (reply["result"], reply["message"]) == ("load limit", "Parallel session limit reached")
    reply = await face.ask("offer", **offer)
    assert (reply["result"], reply["error-reason"]) == ("error", "Parallel session limit reached")
    await face.rig.calls.drain()
    assert (await face.ask("offer", **offer, supports="load limit"))["result"] == "load limit"
    assert (await face.ask("offer", call_id="x", from_tag="a", to_tag="b", sdp=OFFER.decode()))["result"] == "ok"


@pytest.mark.parametrize("command", ABSENT)
async def test_absent_commands(face: Face, command: str) -> None:
    """As an older rtpengine answers them."""
    assert command not in COMMANDS
    assert await face.ask(command, call_id="x") == {"result": "error", "error-reason": "Unrecognized command"}


# ---------------------------------------------------------------- delete, list, query


async def test_delete_delay(face: Face) -> None:
    """The call lives on until the delay is over; then it is gone."""
    await up(face)
    reply = await face.ask("delete", call_id="x", from_tag="a", delete_delay=1)
    assert reply["result"] == "ok" and set(reply["tags"]) == {"a", "b"}
    assert (await face.ask("list"))["calls"] == ["x"]
    await face.ask("delete", call_id="x", from_tag="a", flags=["fast"])
    assert (await face.ask("list"))["calls"] == [] and len(face.requests.commands.delayed) == 0


async def test_delete_delay_of_the_settings() -> None:
    face = face_with(delete_delay_s=3600)
    await up(face)
    await face.ask("delete", call_id="x", from_tag="a")
    assert (await face.ask("list"))["calls"] == ["x"] and len(face.requests.commands.delayed) == 1
    await face.ask("offer", call_id="x", from_tag="a", to_tag="b", sdp=OFFER.decode())  # wanted again
    assert len(face.requests.commands.delayed) == 0
    await face.ask("delete", **{"call_id": "x", "rtpp-flags": "delete-delay=0"})
    assert (await face.ask("list"))["calls"] == []
    assert "warning" in await face.ask("delete", call_id="x")


async def test_delayed_deletes() -> None:
    done: list[tuple[str, ...]] = []

    async def delete(*names: str) -> None:
        done.append(names)
        raise UnknownCall("gone meanwhile")

    delayed = DelayedDeletes(delete)
    assert delayed.put(0, "x", ("a", "", "")) and delayed.put(0, "x", ("a", "", ""))
    delayed.put(60, "y", ("", "", ""))
    delayed.put(60, "y", ("a", "", ""))
    assert len(delayed) == 3
    for _ in range(100):
        await asyncio.sleep(0.001)
        if done:
            break
    assert done == [("x", "a", "", "")] and len(delayed) == 2
    delayed.cancel("y")
    assert len(delayed) == 0
    delayed.put(60, "z", ("", "", ""))
    delayed.close()
    assert len(delayed) == 0


async def test_list_limit(face: Face) -> None:
    for name in "abc":
        await face.ask("offer", call_id=name, from_tag="a", sdp=OFFER.decode())
    assert (await face.ask("list", limit="2"))["calls"] == ["a", "b"]
    assert (await face.ask("list", limit=0))["calls"] == []
    assert (await face.ask("list", limit="many"))["calls"] == ["a", "b", "c"]


async def test_query_by_tag(face: Face) -> None:
    await face.ask("offer", call_id="x", from_tag="a", sdp=OFFER.decode())
    assert set((await face.ask("query", call_id="x"))["tags"]) == {"a", "<untagged 1>"}
    await up(face, "y")
    assert set((await face.ask("query", call_id="y", from_tag="b"))["tags"]) == {"a", "b"}
    assert (await face.ask("query", call_id="y", from_tag="z"))["tags"] == {}


@pytest.mark.row("G20", "ICE-2")
async def test_query_tells_keys_and_ice(face: Face) -> None:
    """Peers 1.1: rtpengine's flag words of a leg: which agent we are, who keys it and in which role."""
    offer = OFFER.decode() + "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"

    async def flags(call: str, tag: str, text: str = offer, **words: Any) -> set[str]:
        await face.ask("offer", call_id=call, from_tag="a", sdp=text, **words)
        found = (await face.ask("query", call_id=call))["tags"][tag]["medias"][0]["flags"]
        return {word for word in found if "ICE" in word or "DTLS" in word or word == "SDES"}

    assert await flags("lite", "<untagged 1>") == {"ICE", "ICE-lite self"}
    full = {"ICE": "force", "ICE-lite": "off"}
    assert await flags("full", "<untagged 1>", OFFER.decode(), **full) == {"ICE", "ICE controlling"}
    view = face.rig.calls.get("lite")
    [stream] = view.streams
    for keyed, words in ((None, {"SDES"}), (DtlsView(role="client"), {"DTLS-SRTP", "DTLS role active"})):
        leg = changed(stream.b, secure=True, dtls=keyed)
        body: Any = query(changed(view, streams=(changed(stream, b=leg),)))
        assert set(body["tags"]["<untagged 1>"]["medias"][0]["flags"]) & {"SDES", *words} == words


# ---------------------------------------------------------------- statistics


async def test_statistics(face: Face) -> None:
    """Counts by proxy and in all, in rtpengine's keys."""
    await up(face)
    await face.ask("query", call_id="nobody")
    figures = (await face.ask("statistics"))["statistics"]
    control = figures["controlstatistics"]
    (proxy,) = control["proxies"]
    assert (proxy["proxy"], proxy["offercount"], proxy["answercount"], proxy["errorcount"]) == ("127.0.0.1", 1, 1, 1)
    assert control["totaloffercount"] == 1 and control["totalquerycount"] == 1
    assert figures["currentstatistics"]["sessionsown"] == 1 and figures["totalstatistics"]["managedsessions"] == 1
    assert set(ng_statistics.COMMANDS) >= set(COMMANDS)


def test_the_document_is_up_to_date() -> None:
    """docs/ng.md is made of the tables, and names every command."""
    text = (Path(__file__).parents[3] / "docs" / "ng.md").read_text()
    assert text == reference.markdown(), "run: python -m appliance.protocols.ng.reference > docs/ng.md"
    assert all(f"`{command}`" in text for command in COMMANDS)


def test_interval() -> None:
    """Rates and delays are those of the last whole minute."""
    now = 0.0
    tally = NgTally(lambda: now)
    tally.note("h", "offer", 0.5, error=False)
    tally.note("h", "offer", 1.5, error=True)
    assert tally.interval("offer").count == 0
    now = INTERVAL_S
    delays = tally.interval("offer")
    assert (delays.count, delays.least, delays.most, delays.average) == (2, 0.5, 1.5, 1.0)
    now = 4 * INTERVAL_S
    assert tally.interval("offer").count == 0 and tally.proxies["h"].errors == 1
