"""Verdicts of the XDP program on the frames of the corpus, by test runs in the kernel (issue 3, item 2; M13)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

import pytest

from kernels.port.media import MediaProgram
from kernels.port.xsk import LONGEST
from tests.kernels.wire import frame_corpus as corpus

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root (CAP_BPF) to load a program"),
]
DROP, PASS = 1, 2
LOOPBACK = 1  # ifindex; test runs need a device, nothing is attached
PORTS = range(30_000, 30_100)


@pytest.fixture
def program() -> Iterator[MediaProgram]:
    """Knows our addresses; no ring is owned, so what would be redirected counts as passed_no_ring."""
    made = MediaProgram(4)
    for address in (corpus.HERE4, corpus.HERE6):
        made.set_local(LOOPBACK, address, PORTS, (), 0, 1)
    yield made
    made.close()


def changes(program: MediaProgram, frame: bytes) -> tuple[int, str]:
    """Verdict, and the one counter that rose."""
    before = program.counters()
    verdict = program.run(frame, LOOPBACK)
    (risen,) = [name for name, value in program.counters().items() if value != before[name]]
    return verdict, risen


@pytest.mark.parametrize("row", corpus.rows(), ids=lambda row: row.name)
def test_only_plain_media_is_for_the_ring(program: MediaProgram, row: corpus.Row) -> None:
    assert changes(program, row.frame) == (PASS, "passed_no_ring" if row.ring else "passed")


@pytest.mark.parametrize("family", [4, 6])
def test_cut_frames_are_the_kernel_s(program: MediaProgram, family: int) -> None:
    whole = corpus.good(family)
    for length in range(14, len(whole)):
        assert changes(program, whole[:length]) == (PASS, "passed"), length


@pytest.mark.parametrize("vlans", [(7,), (7, 8)])
def test_tags_must_be_those_of_the_address(program: MediaProgram, vlans: tuple[int, ...]) -> None:
    program.set_local(LOOPBACK, corpus.HERE4, PORTS, vlans, 0, 1)
    assert changes(program, corpus.good(4, *vlans)) == (PASS, "passed_no_ring")
    for others in ((), (6,), (7, 9), (8, 7)):
        assert changes(program, corpus.good(4, *others)) == (PASS, "passed"), others


def test_ports_and_frames_at_the_edge(program: MediaProgram) -> None:
    for port, ring in ((29_999, False), (30_000, True), (30_099, True), (30_100, False)):
        frame = corpus.ethernet(corpus.ipv4(corpus.udp(corpus.FAR4, corpus.HERE4, port=port)))
        assert changes(program, frame)[1] == ("passed_no_ring" if ring else "passed")
    for octets, ring in ((LONGEST, True), (LONGEST + 1, False)):
        frame = corpus.ethernet(corpus.ipv4(corpus.udp(corpus.FAR4, corpus.HERE4, bytes(octets - 42))))
        assert len(frame) == octets
        assert changes(program, frame)[1] == ("passed_no_ring" if ring else "passed")


def test_ports_of_other_programs_are_left_to_them(program: MediaProgram) -> None:
    """A program that had a port of the range before us keeps getting its datagrams; its neighbours are ours."""
    program.set_local(LOOPBACK, corpus.HERE4, PORTS, (), 0, 1, [30_004])
    for port, ring in ((30_003, True), (30_004, False), (30_005, True)):
        frame = corpus.ethernet(corpus.ipv4(corpus.udp(corpus.FAR4, corpus.HERE4, port=port)))
        assert changes(program, frame)[1] == ("passed_no_ring" if ring else "passed"), port
    other = corpus.ethernet(corpus.ipv6(corpus.udp(corpus.FAR6, corpus.HERE6, port=30_004)))
    assert changes(program, other)[1] == "passed_no_ring"


@pytest.mark.parametrize(
    ("network", "family"), [("192.0.2.0/24", 4), ("192.0.2.2/32", 4), ("2001:db8::/32", 6), ("2001:db8::2/128", 6)]
)
def test_banned_sources_are_dropped_and_counted(program: MediaProgram, network: str, family: int) -> None:
    """M13: whatever they send, media or not; others are not concerned; lifted again."""
    banned = ipaddress.ip_network(network)
    program.ban(banned)
    other = corpus.good(6 if family == 4 else 4)
    tcp = corpus.ethernet(corpus.ipv4(b"", proto=6) if family == 4 else corpus.ipv6(b"", next=6))
    assert changes(program, corpus.good(family)) == (DROP, "banned")
    assert changes(program, tcp) == (DROP, "banned")
    assert changes(program, other)[0] == PASS
    assert program.bans() == {banned: 2}
    program.unban(banned)
    assert changes(program, corpus.good(family))[0] == PASS
    assert program.bans() == {}
