"""Two implementations, one truth (STYLE guide 19): engine and plain-Python reference get the same impaired traffic.

Both senders must produce the same octets, both receivers the same octets or the same verdict, packet by packet:
loss, duplicates, reordering, tampering, truncation, jumps and wraps of the sequence number, several SSRCs, SRTCP in
between, MKI switches, key derivation rates, lifetimes, every suite (A02..A05, A08, A14..A21, B01..B17, C06)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.protocols.srtp.packet import Drop
from appliance.protocols.srtp.reference import Context, Key, Parameters
from appliance.protocols.srtp.suites import RTCP_INDEXES, RTP_INDEXES, SUITES, Suite
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop as EngineDrop

pytestmark = pytest.mark.usefixtures("every_cipher")

Verdict = bytes | str


@dataclass(frozen=True, slots=True)
class Setting:
    """One agreement between two ends, as both implementations take it."""

    suite: Suite
    mki_octets: int = 0
    keys: int = 1
    window: int = 64
    kdr_log2: int | None = None
    plain_rtp: bool = False
    plain_rtcp: bool = False
    unauthenticated: bool = False
    ssrc_limit: int = 3
    initial_roc: int = 0
    rtp_lifetime: int = 0
    rtcp_lifetime: int = 0
    other_flag: bool = False  # the receiver expects the other E flag (RFC 3711 section 3.4)

    def mki(self, key: int) -> bytes:
        return (key + 1).to_bytes(self.mki_octets, "big") if self.mki_octets else b""

    def secret(self, key: int) -> tuple[bytes, bytes]:
        return bytes([key + 1] * self.suite.key_octets), bytes([key + 65] * self.suite.salt_octets)

    def plain(self, *, send: bool) -> bool:
        """Whether this end takes SRTCP to be unencrypted."""
        return self.plain_rtcp if send else self.plain_rtcp ^ self.other_flag

    def reference(self, *, send: bool) -> Context:
        parameters = Parameters(
            self.suite, self.window, self.kdr_log2, not self.plain_rtp, not self.plain(send=send),
            not self.unauthenticated, ssrc_limit=self.ssrc_limit,
            initial_roc=self.initial_roc,
        )  # fmt: skip
        lifetimes = self.rtp_lifetime or RTP_INDEXES, self.rtcp_lifetime or RTCP_INDEXES
        return Context(parameters, *(Key(*self.secret(n), self.mki(n), *lifetimes) for n in range(self.keys)))

    def engine(self, *, send: bool, lane: bool = True) -> Session:
        suite = self.suite
        lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
        session = Session(
            Transform(suite.cipher, suite.auth, *lengths), *self.secret(0), send=send, mki=self.mki(0),
            window=self.window, kdr_log2=self.kdr_log2, plain_rtp=self.plain_rtp, plain_rtcp=self.plain(send=send),
            unauthenticated_rtp=self.unauthenticated, ssrc_limit=self.ssrc_limit, initial_roc=self.initial_roc,
            rtp_lifetime=self.rtp_lifetime, rtcp_lifetime=self.rtcp_lifetime, lane=lane,
        )  # fmt: skip
        for n in range(1, self.keys):
            key, salt = self.secret(n)
            session.add_key(
                key, salt, self.mki(n), rtp_lifetime=self.rtp_lifetime, rtcp_lifetime=self.rtcp_lifetime
            )
        return session


@st.composite
def agreements(draw: st.DrawFn, suite: Suite) -> Setting:
    mki_octets = draw(st.sampled_from([0, 0, 1, 4, 128]))
    return Setting(
        suite,
        mki_octets=mki_octets,
        keys=draw(st.integers(1, 3)) if mki_octets else 1,
        window=draw(st.sampled_from([64, 65, 128, 1024])),
        kdr_log2=draw(st.sampled_from([None, None, 1, 3, 16, 24])),
        plain_rtp=draw(st.booleans()) and draw(st.booleans()),
        plain_rtcp=draw(st.booleans()) and draw(st.booleans()),
        unauthenticated=suite.auth != "NONE" and draw(st.booleans()) and draw(st.booleans()),
        initial_roc=draw(st.sampled_from([0, 0, 1, 77, 0xFFFFFFFE, 0xFFFFFFFF])),
        rtp_lifetime=draw(st.sampled_from([0, 0, 0, 5])),
        rtcp_lifetime=draw(st.sampled_from([0, 0, 0, 3])),
        other_flag=draw(st.sampled_from([False, False, False, True])),
    )


# One packet of the sender: kind, SSRC, step of the sequence number, payload octets, shape of the header.
packets = st.tuples(
    st.sampled_from(["rtp", "rtp", "rtp", "rtcp"]),
    st.integers(1, 4),
    st.one_of(st.just(1), st.integers(-70, 70), st.sampled_from([0x4001, 0x7FFF, 0x8000, 0x8001, -0x8000, 300])),
    st.one_of(st.integers(0, 40), st.sampled_from([160, 1200])),
    st.sampled_from(["", "", "csrc", "extension", "both", "lying", "version"]),
)
# What the wire does to it; numbers say where.
fates = st.one_of(
    st.just(("deliver", 0)),
    st.just(("deliver", 0)),
    st.just(("lose", 0)),
    st.just(("twice", 0)),
    st.tuples(st.just("late"), st.integers(1, 80)),
    st.tuples(st.just("flip"), st.integers(0, 10_000)),
    st.tuples(st.just("cut"), st.integers(0, 80)),
    st.tuples(st.just("switch"), st.integers(0, 2)),
)
traffic = st.lists(st.tuples(packets, fates), min_size=1, max_size=60)
SHAPES = {"csrc": 0x82, "extension": 0x90, "both": 0x91, "lying": 0x9F, "version": 0x40}
HEADERS = {
    "csrc": b"CSRC" * 2,
    "extension": b"\xbe\xde\0\1extn",
    "both": b"CSRC\xbe\xde\0\2extnextn",
}


def rtp(ssrc: int, sequence: int, octets: int, shape: str) -> bytes:
    fixed = bytes([SHAPES.get(shape, 0x80), 0x08]) + sequence.to_bytes(2, "big") + b"time" + ssrc.to_bytes(4, "big")
    return fixed + HEADERS.get(shape, b"") + bytes(n & 0xFF for n in range(octets))


def rtcp(ssrc: int, octets: int, shape: str) -> bytes:
    first = 0x40 if shape == "version" else 0x80
    header = bytes([first, 0xC8]) + (octets // 4 + 1).to_bytes(2, "big") + ssrc.to_bytes(4, "big")
    return header + bytes(n & 0xFF for n in range(octets))


def name(verdict: bytes | Drop | EngineDrop) -> Verdict:
    if isinstance(verdict, EngineDrop):
        return verdict.name.removeprefix("DROP_").lower()
    return verdict


class Ends:
    """The two senders and the two receivers."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.sender, self.fast_sender = setting.reference(send=True), setting.engine(send=True)
        self.receiver, self.fast_receiver = setting.reference(send=False), setting.engine(send=False)

    def protect(self, kind: str, packet: bytes) -> Verdict:
        slow = name(self.sender.protect(packet, rtcp=kind == "rtcp"))
        protect = self.fast_sender.protect_rtcp if kind == "rtcp" else self.fast_sender.protect_rtp
        assert name(protect(packet)) == slow
        return slow

    def unprotect(self, arrivals: Sequence[tuple[str, bytes]], batch: int) -> None:
        """Hand over what arrived, `batch` packets of one kind at a time."""
        while arrivals:
            kind, together = arrivals[0][0], 1
            while together < min(batch, len(arrivals)) and arrivals[together][0] == kind:
                together += 1
            group, arrivals = [packet for _, packet in arrivals[:together]], arrivals[together:]
            slow = [name(self.receiver.unprotect(packet, rtcp=kind == "rtcp")) for packet in group]
            many = self.fast_receiver.unprotect_rtcp_many if kind == "rtcp" else self.fast_receiver.unprotect_rtp_many
            assert [name(verdict) for verdict in many(group)] == slow

    def switch(self, key: int) -> None:
        mki = self.setting.mki(key % self.setting.keys)
        if mki:
            self.sender.select_key(mki)
            self.fast_sender.select_key(mki)


Step = tuple[tuple[str, int, int, int, str], tuple[str, int]]


def travel(ends: Ends, steps: Sequence[Step]) -> list[tuple[str, bytes]]:
    """Protect everything on both sides; what arrives, in order of arrival."""
    sequences: dict[int, int] = {}
    arrivals: list[tuple[int, int, str, bytes]] = []
    for place, ((kind, ssrc, step, octets, shape), (fate, where)) in enumerate(steps):
        if fate == "switch":
            ends.switch(where)
        if kind == "rtp":
            sequences[ssrc] = (sequences.get(ssrc, 65500) + step) & 0xFFFF
        plain = rtp(ssrc, sequences[ssrc], octets, shape) if kind == "rtp" else rtcp(ssrc, octets // 4 * 4, shape)
        sealed = ends.protect(kind, plain)
        if isinstance(sealed, str) or fate == "lose":
            continue
        if fate == "flip":
            where %= 8 * len(sealed)
            sealed = sealed[: where // 8] + bytes([sealed[where // 8] ^ 1 << where % 8]) + sealed[where // 8 + 1 :]
        if fate == "cut":
            sealed = sealed[: max(0, len(sealed) - where)]
        arrivals.append((place + (where if fate == "late" else 0), place, kind, sealed))
        if fate == "twice":
            arrivals.append((place + where, place, kind, sealed))
    return [(kind, sealed) for _, _, kind, sealed in sorted(arrivals, key=lambda arrival: arrival[:2])]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_same_octets_and_same_verdicts(suite: Suite, data: st.DataObject) -> None:
    setting = data.draw(agreements(suite))
    ends = Ends(setting)
    arrivals = travel(ends, data.draw(traffic))
    # Which verdict a bad packet gets beside the one that uses up the key depends on the batch: nothing to agree on.
    batches = [1] if setting.rtp_lifetime or setting.rtcp_lifetime else [1, 2, 7, 64]
    ends.unprotect(arrivals, data.draw(st.sampled_from(batches)))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_long_run_over_two_wraps(suite: Suite) -> None:
    """A14, deterministic: 1,000 packets in leaps over two wraps, each block reversed, every third twice."""
    ends = Ends(Setting(suite, window=128))
    arrivals: list[tuple[str, bytes]] = []
    for block in range(20):
        sealed = []
        for n in range(50):
            packet = ends.protect("rtp", rtp(7, (block * 8000 + n) & 0xFFFF, n, ""))
            assert isinstance(packet, bytes)
            sealed += [("rtp", packet)] * (2 if n % 3 == 0 else 1)
        arrivals += reversed(sealed)
    ends.unprotect(arrivals, 64)
    assert ends.receiver.sources[7].rtp.newest == 19 * 8000 + 49


@pytest.mark.parametrize("kind", ["rtp", "rtcp"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_batch_does_not_outlive_its_key(suite: Suite, kind: str) -> None:
    """A17: of 20 packets in one batch exactly as many pass as the key has left."""
    endless, limited = Ends(Setting(suite)), Ends(Setting(suite, rtp_lifetime=7, rtcp_lifetime=7))
    plain = [rtp(7, n, n, "") if kind == "rtp" else rtcp(7, 20, "") for n in range(20)]
    sealed = [(kind, endless.protect(kind, packet)) for packet in plain]
    limited.unprotect(sealed, 64)  # type: ignore[arg-type]
    assert limited.receiver.sending.rtp_used + limited.receiver.sending.rtcp_used == 7


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite.rtp_tag], ids=lambda suite: suite.name)
def test_forgeries_get_the_same_verdicts(suite: Suite) -> None:
    """A05, A14: 300 forged packets of many SSRCs between good ones; the budget of resync trials is the same."""
    ends = Ends(Setting(suite))
    for n in range(300):
        good = ends.protect("rtp", rtp(7, n, 20, ""))
        assert isinstance(good, bytes)
        forged = rtp(n % 5 + 5, (n * 7919) & 0xFFFF, 30, "")
        ends.unprotect([("rtp", forged)] + ([("rtp", good)] if n % 100 == 99 else []), 1)
    assert set(ends.receiver.sources) == {7}
