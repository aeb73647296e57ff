"""The media of calls in the lab: endpoints in both outer namespaces, each verifying what it hears."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from appliance.demo.established import SdpMedia, read_sdp
from appliance.demo.media import split, transform
from appliance.protocols.srtp import suites
from appliance.sip_edge import sipp
from kernels.load.endpoints import Endpoints
from kernels.load.plan import StreamConfig, StreamReport
from tests.system import lab as labs
from tests.system.calls import MEDIA, Call


@dataclass(frozen=True)
class Heard:
    """Reports of both sides, one per call."""

    access: Sequence[StreamReport]
    core: Sequence[StreamReport]

    def assert_flawless(self, packets: int) -> None:
        """A24: every packet of both directions arrived once, payload and header as sent; RTCP came too.

        An endpoint that was late sends what is due in one go and may end a packet or two above `packets`."""
        for here, there in ((self.access, self.core), (self.core, self.access)):
            for sender, receiver in zip(here, there, strict=True):
                assert packets <= sender.sent < packets + 100, sender
                assert (receiver.received, receiver.lost, receiver.corrupted) == (sender.sent, 0, 0), receiver
                assert (receiver.header_changed, receiver.misrouted, receiver.duplicated) == (0, 0, 0), receiver
                assert receiver.rtcp_received > 0, receiver
                assert receiver.rtcp_corrupted == 0, receiver


class Talk:
    """Both ends of every call of a `Call`, sockets open in their namespaces."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.pairs = answered(call)
        self._stack = ExitStack()
        self.access, self.core = (labs.inside(role, lambda role=role: self._open(role)) for role in ("access", "core"))

    def __enter__(self) -> Talk:
        self._join()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, seconds: float, packets: int = 0, interval_us: int = 20_000, settle_ms: int = 500) -> Heard:
        """Both sides send; returns when both are done."""
        threads = [
            threading.Thread(target=ends.run, args=(seconds, packets, interval_us, settle_ms))
            for ends in (self.access, self.core)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Heard(self.access.report(), self.core.report())

    def _open(self, role: str) -> Endpoints:
        host, side = (self.call.here, 0) if role == "access" else (self.call.there, 1)
        return self._stack.enter_context(
            closing(
                Endpoints(
                    [
                        StreamConfig(
                            local=(host, MEDIA + 4 * place),
                            rtcp_local=(host, MEDIA + 4 * place + 1),
                            ssrc=0x10000 * (side + 1) + place,
                            number=2 * place + side,
                            expects=2 * place + 1 - side,
                        )
                        for place in range(self.call.calls)
                    ]
                )
            )
        )

    def _join(self) -> None:
        suite = suites.find(self.call.suite)
        assert suite is not None
        for pair in self.pairs:
            self.access.connect(pair.caller_place, pair.answer.rtp, pair.answer.rtcp)
            self.core.connect(pair.callee_place, pair.offer.rtp, pair.offer.rtcp)
            for ends, place, key, gateway, keyed in (
                (self.access, pair.caller_place, self.call.caller_key, pair.answer, pair.caller_keyed),
                (self.core, pair.callee_place, self.call.key, pair.offer, pair.callee_keyed),
            ):
                if gateway.keys and keyed:
                    theirs = split(suite, gateway.keys[self.call.suite])
                    ends.secure(place, transform(suite), split(suite, key), theirs)


@dataclass(frozen=True)
class Pair:
    """One call as its two ends saw it; places are those of the ports that each end wrote into its SDP."""

    caller_place: int
    callee_place: int
    answer: SdpMedia
    offer: SdpMedia
    caller_keyed: bool  # its own SDP has a key: with the gateway's, the leg is SRTP
    callee_keyed: bool


def answered(call: Call) -> list[Pair]:
    """Offers and answers of every call, put together by the caller's From tag, which travels unchanged."""
    here, there = call.at_caller(), call.at_callee()
    answers = _by_tag(here, "SIP/2.0 200", sent=False)
    invites = _by_tag(here, "INVITE", sent=True)
    offers = _by_tag(there, "INVITE", sent=False)
    replies = _by_tag(there, "SIP/2.0 200", sent=True)
    return [
        Pair(_place(invites[tag]), _place(replies[tag]), read_sdp(answer.body), read_sdp(offers[tag].body),
             _keyed(invites[tag]), _keyed(replies[tag]))
        for tag, answer in answers.items()
    ]


def _by_tag(messages: Sequence[sipp.Message], start: str, *, sent: bool) -> dict[str, sipp.Message]:
    """The last message of each call: after a re-INVITE its SDP is the one in force."""
    wanted = [m for m in messages if m.sent == sent and m.start_line.startswith(start) and m.body.strip()]
    return {m.header("From").rpartition("tag=")[2]: m for m in wanted}


def _keyed(message: sipp.Message) -> bool:
    return "a=crypto:" in message.body


def _place(message: sipp.Message) -> int:
    found = re.search(r"^m=audio ([1-9]\d*)", message.body, re.MULTILINE)
    assert found is not None
    return (int(found[1]) - MEDIA) // 4
