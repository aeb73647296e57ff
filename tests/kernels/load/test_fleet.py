"""A fleet over memory ports with a wire of ours between them: loss, duplicates, reordering, corruption are noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from kernels.load.fleet import Fleet
from kernels.load.plan import KeyBytes, Run, StreamConfig, Talker, Totals, totals
from kernels.port.memory import MemoryPort
from tests.kernels.load.test_endpoints import AES_CM, TRANSFORMS

Datagram = tuple[int, bytes, tuple[str, int]]
HOSTS = "10.79.0.1", "10.79.0.2"


def calls(count: int, transform: object = AES_CM, secure: tuple[int, ...] = (1,), **changes: object) -> list[Talker]:
    """Pairs of talkers, one on each side, socket n on port 4000 + 2n; sides in `secure` have SRTP in one direction each
    or in both, as keyed."""
    talkers = []
    for number in range(count):
        for side in (0, 1):
            stream = StreamConfig(
                local=(HOSTS[side], 4000 + 2 * number), remote=(HOSTS[1 - side], 4000 + 2 * number),
                number=2 * number + side, expects=2 * number + 1 - side, ssrc=1000 + 2 * number + side,
                first_sequence=65530,
            )  # fmt: skip
            keyed = {"transform": transform}
            if 1 in secure:  # the second side sends protected, the first opens
                keyed["send_key" if side else "receive_key"] = key(number, transform)
            if 0 in secure:
                keyed["receive_key" if side else "send_key"] = key(number + 1000, transform)
            talkers.append(Talker(side, number, replace(stream, **keyed, **changes)))  # type: ignore[arg-type]
    return talkers


def key(number: int, transform: object) -> KeyBytes:
    octets = number.to_bytes(4, "big") * 8
    return KeyBytes(octets[: transform.key_octets], octets[: transform.salt_octets])  # type: ignore[attr-defined]


def run(
    talkers: list[Talker], change: Callable[[int, Datagram], list[Datagram]], packets: int = 50
) -> tuple[Totals, Fleet]:
    """`change(n, datagram)`: what becomes of the n-th datagram from side 0 to side 1; the other way nothing happens."""
    ports, serial = [MemoryPort(), MemoryPort()], 0
    sockets = len(talkers) // 2
    fleet = Fleet([(port, sockets) for port in ports], talkers)
    fleet.start(Run(20, packets=packets, packets_per_s=20_000, settle_ms=20))
    while not fleet.step():
        for _, data, (_, port) in ports[1].collect():
            ports[0].inject((port - 4000) // 2, data, HOSTS[1], port)
        for datagram in ports[0].collect():
            for _, data, (host, port) in change(serial, datagram):
                ports[1].inject((port - 4000) // 2, data, host, port)
            serial += 1
    return totals(fleet.report()), fleet


def untouched(number: int, datagram: Datagram) -> list[Datagram]:
    return [from_the_first(datagram)]


def from_the_first(datagram: Datagram) -> Datagram:
    socket, data, (_, port) = datagram
    return socket, data, (HOSTS[0], port)


def only(number: int, become: Callable[[Datagram], list[Datagram]]) -> Callable[[int, Datagram], list[Datagram]]:
    return lambda n, one: become(from_the_first(one)) if n == number else [from_the_first(one)]


def flip(octet: int) -> Callable[[Datagram], list[Datagram]]:
    return lambda one: [(one[0], one[1][:octet] + bytes([one[1][octet] ^ 0x10]) + one[1][octet + 1 :], one[2])]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_good_wire(transform: object) -> None:
    """Ten calls, SRTP in both directions over a wrap of the sequence number: nothing is wrong, nothing is missing."""
    sums, fleet = run(calls(10, transform, secure=(0, 1)), untouched)
    assert sums.sent == sums.received == 1000 and sums.flawless and fleet.silent() == 0
    summary = fleet.summary()
    assert summary.late == 0
    assert 0 < summary.latency_us.p50 <= summary.latency_us.p99 <= summary.latency_us.longest < 1e6


def test_loss() -> None:
    sums, _ = run(calls(1), lambda n, one: [] if n in (0, 20, 49) else [from_the_first(one)])
    assert (sums.sent, sums.received, sums.lost) == (100, 97, 3) and not sums.flawless


@pytest.mark.parametrize("secure", [(), (0,)], ids=["plain", "SRTP"])
def test_duplicates(secure: tuple[int, ...]) -> None:
    sums, _ = run(calls(1, secure=secure), only(7, lambda one: [one, one]))
    assert (sums.received, sums.lost, sums.duplicated) == (100, 0, 1)


def test_lateness() -> None:
    """Three packets that the wire keeps for 80 ms: received, and told as late."""
    kept: list[tuple[float, Datagram]] = []

    def delay(number: int, one: Datagram) -> list[Datagram]:
        if number in (3, 4, 5):
            kept.append((time.monotonic() + 0.08, from_the_first(one)))
            return []
        return [from_the_first(one)]

    ports = [MemoryPort(), MemoryPort()]
    fleet, serial = Fleet([(port, 1) for port in ports], calls(1, secure=())), 0
    fleet.start(Run(5, packets=20, packets_per_s=20_000, settle_ms=100))
    while not fleet.step():
        ports[1].collect()
        for one in ports[0].collect():
            for _, data, (host, port) in delay(serial, one):
                ports[1].inject(0, data, host, port)
            serial += 1
        while kept and kept[0][0] < time.monotonic():
            _, data, (host, port) = kept.pop(0)[1]
            ports[1].inject(0, data, host, port)
    assert fleet.report()[1].received == 20 and fleet.summary().late == 3


def test_reordering() -> None:
    held: list[Datagram] = []

    def swap(number: int, one: Datagram) -> list[Datagram]:
        if number == 10:
            held.append(from_the_first(one))
            return []
        return [from_the_first(one), held.pop()] if held else [from_the_first(one)]

    sums, _ = run(calls(1), swap)
    assert (sums.received, sums.lost, sums.reordered) == (100, 0, 1)


@pytest.mark.parametrize("octet", [12, 20, 28, 40, 55, 60, 171])
def test_corruption_of_plain_payload(octet: int) -> None:
    sums, _ = run(calls(1, secure=()), only(5, flip(octet)))
    assert (sums.received, sums.lost, sums.corrupted) == (99, 1, 1)


@pytest.mark.parametrize("octet", [4, 12, 100, 181])
def test_corruption_of_srtp_is_lost(octet: int) -> None:
    sums, fleet = run(calls(1, secure=(0,)), only(5, flip(octet)))
    assert (sums.received, sums.lost) == (99, 1)
    assert fleet.report()[1].drops == {"auth_fail": 1}


@pytest.mark.parametrize("octet", [1, 2, 4, 8, 11])
def test_header_changes(octet: int) -> None:
    sums, _ = run(calls(1, secure=()), only(5, flip(octet)))
    assert (sums.lost, sums.corrupted, sums.header_changed) == (0, 0, 1)


@pytest.mark.parametrize("port", [4002, 4004])
def test_another_talkers_packet(port: int) -> None:
    """On another talker's socket, or on one that nobody has."""
    talkers = calls(2, secure=())
    sums, _ = run(talkers if port == 4002 else talkers[:2],
                  only(0, lambda one: [(one[0], one[1], (one[2][0], port))]))  # fmt: skip
    assert (sums.misrouted, sums.lost) == (1, 1)


def test_another_source() -> None:
    sums, _ = run(calls(1, secure=()), only(3, lambda one: [(one[0], one[1], ("10.79.0.9", one[2][1]))]))
    assert (sums.misrouted, sums.lost) == (1, 1)


def test_dead_talkers_are_counted() -> None:
    sums, fleet = run(calls(3, secure=()), lambda n, one: [] if one[2][1] == 4002 else [from_the_first(one)])
    assert fleet.silent() == 1 and sums.lost == 50


def test_stragglers_of_the_run_before_are_not_heard() -> None:
    ports = [MemoryPort(), MemoryPort()]
    fleet = Fleet([(port, 1) for port in ports], calls(1, secure=()))
    late: list[Datagram] = []
    for attempt in range(2):
        fleet.start(Run(5, packets=5, packets_per_s=50_000, settle_ms=5))
        while not fleet.step():
            late += [from_the_first(one) for one in ports[0].collect()]
            ports[1].collect()
            if attempt and late:
                ports[1].inject(0, *late.pop(0)[1:2], HOSTS[0], 4000)
    sums = totals(fleet.report())
    assert sums.sent == 10 and sums.received <= 5 and sums.lost >= 5 and not sums.duplicated


def test_an_overload_is_told() -> None:
    """More than anything can do: packets are left out, and the report says so."""
    ports = [MemoryPort(), MemoryPort()]
    fleet = Fleet([(port, 1) for port in ports], calls(1, secure=()))
    fleet.start(Run(0.1, packets_per_s=1e9, settle_ms=5))
    while not fleet.step():
        for port in ports:
            port.collect()
    assert fleet.summary().skipped > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [({"side": 2}, "port"), ({"socket": 9}, "socket"), ({"socket": 0}, "another"), ({"remote": None}, "remote"),
     ({"expects": None}, "expects"), ({"payload_octets": 47}, "payload"), ({"number": 0}, "same number")],
)  # fmt: skip
def test_impossible_fleets_are_refused(change: dict[str, object], text: str) -> None:
    talkers = calls(2)
    (name,) = change
    one = talkers[2]
    talkers[2] = (
        replace(one, **change) if name in ("side", "socket") else replace(one, stream=replace(one.stream, **change))
    )  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=text):
        Fleet([(MemoryPort(), 2), (MemoryPort(), 2)], talkers)
    with pytest.raises(ValueError, match="packets_per_s"):
        Fleet([(MemoryPort(), 2), (MemoryPort(), 2)], calls(2)).start(Run(1))
