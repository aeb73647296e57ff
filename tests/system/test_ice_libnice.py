"""libnice through the whole gateway: another maker's ICE agent, in each role, lite and full (G20, ICE-1 to ICE-7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.system.ice_peer import LOOPBACK, PlainPeer, rtp
from tests.system.ng import NgClient
from tests.system.nice_peer import NicePeer
from tests.system.stack import Stack, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

MUX = {"rtcp-mux": ["offer", "require"], "transport-protocol": "RTP/AVP"}
FULL, LITE = {"ICE": "force", "ICE-lite": "off", **MUX}, {"ICE": "force", "ICE-lite": "both", **MUX}
PLAIN = {"ICE": "remove", "rtcp-mux": ["demux"], "transport-protocol": "RTP/AVP"}


JUNK = [  # what a peer of ours may write besides, none of which is an error (RFC 8839 section 5.1, RFC 6544, RFC 8828)
    "7 1 tcp 2105458942 127.0.31.1 9 typ host tcptype active generation 0 ufrag abcd network-id 1 network-cost 10",
    "8 1 udp 2113937151 5c7c1f1e-0001-4c8e-9e0f-6b5a4d3c2b1a.local 50001 typ host generation 0 network-cost 999",
    "9 1 udp 2113937150 2001:db8::1 50002 typ host",
    "10 1 udp 2113937149 127.0.31.1 50003 typ holographic",
    "11 1 udp 2113937148 127.0.31.1 99999 typ host",
    "12 1 udp 2113937147 224.0.0.1 50004 typ host",
    "13 1 SCTP 2113937146 127.0.31.1 50005 typ host",
    "14 2 udp 2113937145 127.0.31.1 50006 typ host",
    "15 1 udp 41885439 127.0.31.7 50007 typ relay raddr 127.0.31.1 rport 50008 x-vendor y",
    "no candidate at all",
    *(f"{n} 1 udp {n} 127.0.31.{n} 50010 typ srflx raddr 0.0.0.0 rport 0" for n in range(20, 140)),
]


SIX = """
[[interfaces]]
name = "six"
address = "::1"
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(42120, 42199, 42110, more=SIX) as stack:
        yield stack


@pytest.fixture
def ng(stack: Stack) -> Iterator[NgClient]:
    client = NgClient(stack.ng)
    yield client
    client.close()


class Call:
    """Between a peer with ICE and a plain one. `words`: of the leg with ICE."""

    def __init__(self, ng: NgClient, peer: NicePeer, plain: PlainPeer, **words: Any) -> None:
        self.ng, self.peer, self.plain, self.words, self.name = ng, peer, plain, words, f"nice-{id(self)}"
        self.answer = ""  # the last one to the peer

    async def ask(self, command: str, **words: Any) -> dict[str, Any]:
        """Peers go on meanwhile."""
        return await asyncio.to_thread(self.ng.request, command, call_id=self.name, **words)

    async def they_call(self, sdp: str = "", *, answered: bool = True) -> None:
        """An offer of theirs, the first one or a later one."""
        both = {word: self.words[word] for word in ("ICE-lite", "direction") if word in self.words}
        offered = await self.ask("offer", from_tag="a", sdp=sdp or self.peer.sdp(), **PLAIN, **both)
        if not answered:
            return
        self.plain.hear(offered["sdp"])
        done = await self.ask("answer", from_tag="a", to_tag="b", sdp=self.plain.sdp(), **self.words)
        self.answer = done["sdp"]
        await self.peer.hear(self.answer)

    async def we_call(self) -> None:
        offered = await self.ask("offer", from_tag="a", sdp=self.plain.sdp(), **self.words)
        await self.peer.hear(offered["sdp"])
        done = await self.ask("answer", from_tag="a", to_tag="b", sdp=self.peer.sdp(), **PLAIN)
        self.plain.hear(done["sdp"])

    async def talk(self, first: int) -> None:
        """Both ways, numbered from `first`; what is sent before there is a pair is lost."""
        assert (await self._heard_by_peer(first))[12:19] == b"payload"
        await self.peer.send(rtp(first, b"back"))
        assert await self.plain.receive() == rtp(first, b"back")

    async def _heard_by_peer(self, first: int) -> bytes:
        for number in range(first, first + 100):
            self.plain.send(rtp(number))
            try:
                heard = await asyncio.wait_for(self.peer.receive(), 0.05)
            except TimeoutError:
                continue
            if int.from_bytes(heard[2:4]) >= first:  # not one of before
                return heard
        raise TimeoutError("nothing arrives at the ICE peer")


@pytest.fixture
async def call(request: pytest.FixtureRequest, ng: NgClient) -> AsyncIterator[Any]:
    """Makes one: options and words of the peer, then words of NG."""
    made: list[Call] = []

    async def make(*options: str, words: dict[str, Any], **peers: Any) -> Call:
        peer, plain = NicePeer(*options, **peers), PlainPeer()
        made.append(Call(ng, peer, plain, **words))
        await plain.open()
        await peer.gather()
        return made[-1]

    yield make
    for one in made:
        await one.ask("delete")
        await one.peer.close()
        one.plain.close()


@pytest.mark.row("G20", "ICE-1", "ICE-2", "ICE-3", "ICE-4")
@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("words", [FULL, LITE])
@pytest.mark.parametrize("options", [(), ("REGULAR_NOMINATION", "CONSENT_FRESHNESS")])
async def test_a_full_agent_calls(call: Any, options: tuple[str, ...], words: dict[str, Any], components: int) -> None:
    """It controls. Aggressive nomination of RFC 5245, regular one of RFC 8445; RTCP with a pair of its own."""
    words = words | ({"rtcp-mux": ["demux"]} if components == 2 else {})
    made = await call(*options, controlling=True, components=components, words=words)
    await made.they_call()
    assert ("a=ice-lite" in made.answer) == (words["ICE-lite"] == "both")
    for component in range(1, components + 1):
        await made.peer.connect(component)
    await made.talk(1)
    found = (await made.ask("query"))["tags"]["a"]["medias"][0]
    assert {"ICE", "ICE-lite self"} & set(found["flags"]) == {"ICE", *["ICE-lite self"] * (words["ICE-lite"] == "both")}
    for line, stream in zip(made.peer.candidates, found["streams"], strict=True):
        _, _, _, _, host, port, *_ = line.split()
        assert (stream["endpoint"]["address"], stream["endpoint"]["port"]) == (host, int(port))


@pytest.mark.row("G20", "ICE-1", "ICE-2", "ICE-4")
@pytest.mark.parametrize("words", [FULL, LITE])
async def test_a_full_agent_is_called(call: Any, words: dict[str, Any]) -> None:
    """Full, we control. Lite, it has to (RFC 8445 section 6.1.1), and is told so when it does not know."""
    for knows in (True, False) if words is LITE else (False,):
        made = await call(controlling=knows, words=words)
        await made.we_call()
        await made.peer.connect()
        await made.talk(1)


@pytest.mark.row("G20", "ICE-2", "ICE-4")
@pytest.mark.parametrize("they_call", [True, False])
async def test_a_lite_agent(call: Any, they_call: bool) -> None:
    """We are full towards it, unasked when it calls, and control."""
    made = await call("LITE_MODE", controlling=False, words={"ICE": "force", **MUX} if they_call else FULL)
    await (made.they_call() if they_call else made.we_call())
    await made.peer.connect()
    await made.talk(1)


@pytest.mark.row("ICE-5")
@pytest.mark.parametrize("words", [FULL, LITE])
async def test_a_restart_and_one_that_is_refused(call: Any, words: dict[str, Any]) -> None:
    """Its re-INVITE with new credentials is refused (488): nothing has changed, and a later one with those before is no
    restart. One that is answered is; media goes on through all of it."""
    made = await call("CONSENT_FRESHNESS", controlling=True, words=words)
    await made.they_call()
    await made.peer.connect()
    await made.talk(1)
    before = credentials(made.answer)
    kept = made.peer.sdp()
    refused = re.sub("ice-ufrag:.*", "ice-ufrag:refused1", re.sub("ice-pwd:.*", "ice-pwd:" + "r" * 24, kept))
    await made.they_call(refused, answered=False)
    await made.talk(200)
    await made.they_call(kept)
    assert credentials(made.answer) == before
    await made.talk(300)
    await made.peer.restart()
    made.peer.states.clear()
    await made.they_call()
    assert not set(credentials(made.answer)) & set(before)
    await made.talk(400)
    await made.peer.connect()
    await made.talk(500)


@pytest.mark.row("ICE-5", "ICE-2")
@pytest.mark.parametrize("words", [FULL, LITE])
async def test_a_restart_of_the_one_who_was_called(call: Any, words: dict[str, Any]) -> None:
    """It offers now; full, both keep the roles that they had or settle the conflict (RFC 8445 section 7.3.1.1)."""
    made = await call(controlling=words is LITE, words=words)
    await made.we_call()
    await made.peer.connect()
    await made.talk(1)
    await made.peer.restart()
    made.peer.states.clear()
    both = {"from_tag": "b", "to_tag": "a"}
    offered = await made.ask("offer", sdp=made.peer.sdp(), **both, **PLAIN, **{"ICE-lite": words["ICE-lite"]})
    made.plain.hear(offered["sdp"])
    await made.talk(100)
    done = await made.ask("answer", sdp=made.plain.sdp(), **both, **words)
    await made.talk(200)
    await made.peer.hear(done["sdp"])
    await made.peer.connect()
    await made.talk(300)


@pytest.mark.row("G20", "D11", "ICE-1")
@pytest.mark.parametrize("words", [FULL, LITE])
async def test_candidates_of_every_kind(call: Any, words: dict[str, Any]) -> None:
    """TCP, mDNS, another family, unknown types, transports and attributes, 130 of them: the one that works is found,
    whoever looks for it."""
    lite_peer = words is FULL  # it checks nothing by itself: our agent has to find it
    made = await call(*["LITE_MODE"] * lite_peer, controlling=not lite_peer, words=words)
    lines = [*JUNK[:10], *made.peer.candidates, *JUNK[10:]]
    await made.they_call(made.peer.sdp(lines=lines))
    await made.peer.connect()
    await made.talk(1)


@pytest.mark.row("G20", "ICE-1")
@pytest.mark.parametrize("words", [FULL, LITE])
async def test_both_families(call: Any, words: dict[str, Any]) -> None:
    """A peer with IPv4 and IPv6, a leg of ours with IPv6."""
    made = await call(controlling=True, addresses=(LOOPBACK, "::1"), words=words | {"direction": ["six", "default"]})
    assert {line.split()[4] for line in made.peer.candidates} == {LOOPBACK, "::1"}
    await made.they_call()
    assert "c=IN IP6 ::1" in made.answer and len(re.findall("a=candidate.* ::1 [0-9]+ typ host", made.answer)) == 1
    await made.peer.connect()
    await made.talk(1)


def credentials(sdp: str) -> tuple[str, str]:
    return re.findall("a=ice-ufrag:(.*)\\r", sdp)[0], re.findall("a=ice-pwd:(.*)\\r", sdp)[0]
