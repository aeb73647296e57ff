"""Random sequences of offers and answers with groups, of either side: what comes out is always media that can be
installed, in SDP that says so."""

from __future__ import annotations

import random

import pytest

from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.errors import GatewayError
from appliance.placement.desired import desired_of
from appliance.placement.desired_flows import needed_flows
from appliance.placement.desired_state import NOTHING, diff
from appliance.placement.placed import PlacedStream
from appliance.protocols.sdp.description import Media
from tests.appliance.calls.test_negotiation_bundle import SIP, WEBRTC, phone
from tests.appliance.calls.test_negotiation_shared import browser, line, rejecting, wanted
from tests.kernels.guarded import SEED

from .sdps import Call, Pool, counting, placement, read

KINDS = ("audio", "video", "video", "audio")


class Walk:
    """A browser on one leg, a phone on the other; `calling`: the browser made the call."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.call = Call(certificates=Pool())
        self.calling = self.chance.random() < 0.5
        self.lines: list[str] = []  # kinds of the browser's m-lines
        self.placed: dict[int, PlacedStream] = {}
        self.installed = NOTHING
        self.slots = 0
        self.version = 0

    def sections(self, count: int, mids: list[str] | None = None) -> list[list[str]]:
        """The browser's m-lines: some ended, some bundle-only, some with transports of their own."""
        made = []
        for at in range(count):
            kind, mid = KINDS[at], mids[at] if mids else str(at)
            port = self.chance.choice((9, 9, 9, 0))
            only = ("a=bundle-only",) if port == 0 and self.chance.random() < 0.5 else ()
            own = self.chance.random() < 0.3
            made.append(line(kind, mid, port=port, ufrag=f"own{at}" if own else "ours",
                             extension=self.chance.random() < 0.8, lines=only))  # fmt: skip
        return made

    def group(self, mids: list[str]) -> str:
        named = [mid for mid in mids if self.chance.random() < 0.8]
        if self.chance.random() < 0.3:
            self.chance.shuffle(named)
        return " ".join(named)

    def step(self) -> None:
        self.version += 1
        if self.chance.random() < 0.15:
            self.call.negotiation = Negotiation.from_record(self.call.negotiation.to_record(), counting(), Pool())
        speaks = self.chance.random() < 0.5 if self.version > 1 else self.calling
        (self.browser_offers if speaks else self.phone_offers)()

    def browser_offers(self) -> None:
        count = max(len(self.lines), self.chance.randint(1, 4))
        self.lines = list(KINDS[:count])
        mids = [str(at) for at in range(count)]
        text = browser(*self.sections(count), group=self.group(mids), version=self.version)
        offered = self.call.offer(text, SIP, "alice" if self.calling else "bob")
        self.check(offered)
        refused = [at for at in range(len(read(offered.sdp).media)) if self.chance.random() < 0.2]
        self.check(self.call.answer(rejecting(phone(offered.sdp), *refused), tag="bob" if self.calling else "alice"))

    def phone_offers(self) -> None:
        count = max(len(self.lines), self.chance.randint(1, 4))
        self.lines = list(KINDS[:count])
        offered = self.call.offer(wanted(*self.lines), WEBRTC, "bob" if self.calling else "alice")
        self.check(offered)
        media = read(offered.sdp).media
        mids = [self.mid(section) for section in media]
        sections = self.sections(len(media), mids)
        for section, ours in zip(sections, media, strict=True):
            if not ours.media.port:
                section[0] = f"m={ours.media}"
            section[:] = [text.replace("actpass", "active") for text in section]
        answer = browser(*sections, group=self.group(mids), version=self.version)
        self.check(self.call.answer(answer, tag="alice" if self.calling else "bob"))

    @staticmethod
    def mid(section: Media) -> str:
        return section.attribute("mid") or "none"

    def check(self, done: Negotiated) -> None:
        """As the ledger does: places, slots, desired state."""
        streams = dict(zip(done.lines, done.streams, strict=True))
        for at, media in streams.items():
            placed = self.placed.setdefault(at, PlacedStream(placement(at), "", ""))
            for name in needed_flows(media):
                if name not in placed.flows:
                    self.slots += 1
                    placed.flows[name] = self.slots
        wanted = desired_of(streams, self.placed)
        diff(self.installed, wanted)
        self.installed = wanted
        taken = [(flow.interface, flow.port) for flow in wanted.flows.values() if not flow.member]
        assert len(set(taken)) == len(taken), "a port has one flow"
        assert all((flow.interface, flow.port) in taken for flow in wanted.flows.values())
        for section in read(done.sdp).media:
            assert section.media.port in {0, *(port for _, port in taken)}, "what SDP says is there"


@pytest.mark.row("SDP-15", "G17")
def test_walks() -> None:
    stepped = 0
    for seed in range(SEED, SEED + 150):
        walk = Walk(seed)
        for _ in range(6):
            try:
                walk.step()
            except GatewayError as error:
                assert error.reason != "invalid-request", (seed, error)
            else:
                stepped += 1
    assert stepped > 300
