"""Load endpoints against each other and against a wire that does every wrong thing: what they verify, they notice."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from kernels.load.endpoints import Endpoints
from kernels.load.plan import KeyBytes, StreamConfig, totals
from kernels.srtp.transform import Transform

PORTS = iter(range(28000, 28999, 4))
AES_CM = Transform("AES_CM", "HMAC_SHA1", 16, 14, 10, 10)


def pair(**changes: object) -> list[StreamConfig]:
    """Two endpoints that speak to each other on loopback."""
    a, b = next(PORTS), next(PORTS)
    one = StreamConfig(
        ("127.0.0.1", a), ("127.0.0.1", b), expects=1, ssrc=11, first_sequence=65530, interval_us=2000,
        rtcp_interval_us=20_000,
    )  # fmt: skip
    other = replace(one, local=("127.0.0.1", b), remote=one.local, expects=0, ssrc=22, first_sequence=7)
    return [replace(one, **changes), replace(other, **changes)]  # type: ignore[arg-type]


@contextlib.contextmanager
def wire(change: Callable[[int, bytes], list[bytes]]) -> Iterator[list[StreamConfig]]:
    """Two endpoints, the first one's packets to the second go through `change(number, packet)`."""
    a, middle, b = next(PORTS), next(PORTS), next(PORTS)
    common = {"interval_us": 2000, "rtcp_interval_us": 0}
    stopped = threading.Event()

    relay_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    relay_socket.bind(("127.0.0.1", middle))

    def relay() -> None:
        number = 0
        with relay_socket:
            while not stopped.is_set():
                if select.select([relay_socket], [], [], 0.05)[0]:
                    for packet in change(number, relay_socket.recv(2000)):
                        relay_socket.sendto(packet, ("127.0.0.1", b))
                    number += 1

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield [
            StreamConfig(("127.0.0.1", a), ("127.0.0.1", middle), **common),  # type: ignore[arg-type]
            StreamConfig(("127.0.0.1", b), expects=0, **common),  # type: ignore[arg-type]
        ]
    finally:
        stopped.set()
        thread.join()


def heard(change: Callable[[int, bytes], list[bytes]]) -> tuple[int, ...]:
    """Of 50 packets: received, lost, duplicated, reordered, corrupted, header changed, misrouted."""
    with wire(change) as streams:
        endpoints = Endpoints(streams)
        endpoints.run(5, packets=50, settle_ms=100)
        report = endpoints.report()[1]
        endpoints.close()
    return (report.received, report.lost, report.duplicated, report.reordered, report.corrupted, report.header_changed,
            report.misrouted)  # fmt: skip


def test_plain_call() -> None:
    """A24's plain half: both directions, RTCP on the same port, sequence numbers over a wrap."""
    endpoints = Endpoints(pair())
    endpoints.run(5, packets=100)
    reports = endpoints.report()
    assert [(report.sent, report.received, report.lost) for report in reports] == [(100, 100, 0)] * 2
    assert totals(reports).flawless
    assert all(report.rtcp_received == report.rtcp_sent > 3 for report in reversed(reports))
    assert 0 < reports[0].latency_us.p50 <= reports[0].latency_us.p99 <= reports[0].latency_us.longest < 1e6
    assert endpoints.summary().cpu_ns > 0
    endpoints.close()


TRANSFORMS = [
    Transform(cipher, "NONE" if cipher == "AES_GCM" else "HMAC_SHA1", key, 12 if cipher == "AES_GCM" else 14, tag, rtcp)
    for cipher, key, tag, rtcp in [
        ("AES_CM", 16, 10, 10), ("AES_CM", 24, 4, 10), ("AES_CM", 32, 10, 10), ("AES_F8", 16, 4, 10),
        ("AES_GCM", 16, 16, 16), ("AES_GCM", 32, 8, 8), ("AES_CM", 16, 0, 10), ("NULL", 16, 10, 10),
    ]
]  # fmt: skip


@pytest.mark.parametrize("mki", [b"", b"\0\0\0\7"], ids=len)
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_secure_call(transform: Transform, mki: bytes) -> None:
    """A02, A14, A18: SRTP and SRTCP both ways over a wrap of the sequence number, with and without MKI."""
    keys = [KeyBytes(bytes([n] * transform.key_octets), bytes([n] * transform.salt_octets), mki) for n in (1, 2)]
    one, other = pair(transform=transform)
    endpoints = Endpoints([
        replace(one, send_key=keys[0], receive_key=keys[1]), replace(other, send_key=keys[1], receive_key=keys[0])
    ])  # fmt: skip
    endpoints.run(5, packets=50, settle_ms=100)
    reports = endpoints.report()
    assert [(report.sent, report.received) for report in reports] == [(50, 50)] * 2
    assert totals(reports).flawless and not any(report.drops for report in reports)
    assert all(report.rtcp_received >= 3 for report in reports)
    endpoints.close()


def test_wrong_key_is_noticed() -> None:
    """A05: nothing passes, every packet is counted under its reason."""
    one, other = pair(transform=AES_CM)
    keys = [KeyBytes(bytes([n] * 16), bytes(14)) for n in (1, 2)]
    endpoints = Endpoints([replace(one, send_key=keys[0]), replace(other, receive_key=keys[1], interval_us=0)])
    endpoints.run(5, packets=30, settle_ms=100)
    report = endpoints.report()[1]
    assert report.received == 0 and report.lost == 30 and report.drops["auth_fail"] >= 30
    endpoints.close()


def test_runs_follow_each_other() -> None:
    """Counts start anew, numbers go on. How many of the due packets a busy machine sent is no matter of ours, but the
    other end heard every one of them."""
    endpoints = Endpoints(pair())
    for interval in (4000, 1000):
        endpoints.run(0.2, interval_us=interval)
        one, other = endpoints.report()
        assert (one.received, other.received) == (other.sent, one.sent)
        for report in (one, other):
            assert 0 < report.sent <= 200_000 / interval + 2
    endpoints.close()


def test_a_run_ends_by_itself() -> None:
    """Nobody answers, nothing arrives: the time given, and the settling."""
    port = next(PORTS)
    endpoints = Endpoints([StreamConfig(("127.0.0.1", port), ("127.0.0.1", port + 1), interval_us=5000, expects=0)])
    begin = time.monotonic()
    endpoints.run(0.3, settle_ms=50)
    assert 0.3 <= time.monotonic() - begin < 1.0
    report = endpoints.report()[0]
    assert report.sent + report.send_errors >= 50 and report.received == 0 and report.lost == report.sent
    endpoints.close()


def test_nothing_wrong_is_counted_on_a_good_wire() -> None:
    assert heard(lambda _, packet: [packet]) == (50, 0, 0, 0, 0, 0, 0)


def test_loss() -> None:
    assert heard(lambda number, packet: [] if number in (0, 20, 49) else [packet]) == (47, 3, 0, 0, 0, 0, 0)


def test_duplicates() -> None:
    assert heard(lambda number, packet: [packet, packet] if number == 7 else [packet]) == (50, 0, 1, 0, 0, 0, 0)


def test_reordering() -> None:
    held: list[bytes] = []

    def swap(number: int, packet: bytes) -> list[bytes]:
        if number == 10:
            held.append(packet)
            return []
        return [packet, held.pop()] if held else [packet]

    assert heard(swap) == (50, 0, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("octet", [12, 20, 28, 40, 55, 60, 171])
def test_corruption(octet: int) -> None:
    """A flipped bit anywhere in the payload: its head, its check, its pattern, its last octet."""

    def flip(number: int, packet: bytes) -> list[bytes]:
        return [packet[:octet] + bytes([packet[octet] ^ 1]) + packet[octet + 1 :]] if number == 5 else [packet]

    assert heard(flip) == (49, 1, 0, 0, 1, 0, 0)


@pytest.mark.parametrize("length", [171, 60, 59, 12])
def test_truncation(length: int) -> None:
    assert heard(lambda number, packet: [packet[:length]] if number == 5 else [packet]) == (49, 1, 0, 0, 1, 0, 0)


@pytest.mark.parametrize("octet", [1, 2, 3, 4, 7, 8, 11])
def test_header_changes(octet: int) -> None:
    """Marker and payload type, sequence number, timestamp, SSRC."""

    def flip(number: int, packet: bytes) -> list[bytes]:
        return [packet[:octet] + bytes([packet[octet] ^ 0x10]) + packet[octet + 1 :]] if number == 5 else [packet]

    assert heard(flip) == (50, 0, 0, 0, 0, 1, 0)


def test_another_streams_packets() -> None:
    """A packet that is intact but belongs to another call."""
    a, b, c = next(PORTS), next(PORTS), next(PORTS)
    endpoints = Endpoints([
        StreamConfig(("127.0.0.1", a), ("127.0.0.1", c), interval_us=2000),
        StreamConfig(("127.0.0.1", b), ("127.0.0.1", c), interval_us=2000),
        StreamConfig(("127.0.0.1", c), expects=0),
    ])  # fmt: skip
    endpoints.run(5, packets=20)
    report = endpoints.report()[2]
    assert report.received == 20 and report.misrouted >= 20 and report.lost == 0
    endpoints.close()


def test_rtcp_on_its_own_port_and_ipv6() -> None:
    a, b = next(PORTS), next(PORTS)
    endpoints = Endpoints([
        StreamConfig(("::1", a), ("::1", b), ("::1", a + 1), ("::1", b + 1), rtcp_interval_us=10_000),
        StreamConfig(("::1", b), ("::1", a), ("::1", b + 1), ("::1", a + 1), rtcp_interval_us=10_000),
    ])  # fmt: skip
    assert endpoints.ports() == [(a, a + 1), (b, b + 1)]
    endpoints.run(0.3)
    for report in endpoints.report():
        assert report.rtcp_received >= 20 and report.received >= 14 and not report.rtcp_corrupted
    endpoints.close()


def test_streams_that_share_a_socket() -> None:
    """A trunk: 20 secure calls on one local port, told apart by the far end's port; a stranger is nobody's."""
    hub = next(PORTS)
    keys = [KeyBytes(bytes([n] * 16), bytes(14)) for n in (1, 2)]
    streams = []
    for n in range(20):
        one, other = pair(transform=AES_CM, rtcp_interval_us=50_000)
        one = replace(one, local=("127.0.0.1", hub), number=2 * n, expects=2 * n + 1)
        other = replace(other, remote=("127.0.0.1", hub), number=2 * n + 1, expects=2 * n)
        streams.append(replace(one, send_key=keys[0], receive_key=keys[1]))
        streams.append(replace(other, send_key=keys[1], receive_key=keys[0]))
    endpoints = Endpoints(streams)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"\x80" + bytes(50), ("127.0.0.1", hub))
        endpoints.run(5, packets=50, settle_ms=100)
    reports = endpoints.report()
    assert [(report.sent, report.received) for report in reports] == [(50, 50)] * 40
    assert totals(reports).flawless and not any(report.drops for report in reports)
    assert all(report.rtcp_received >= 1 for report in reports)
    endpoints.close()


def test_what_cannot_share_a_socket() -> None:
    local = ("127.0.0.1", next(PORTS))
    remote = ("127.0.0.1", next(PORTS))
    with pytest.raises(ValueError, match="two streams"):
        Endpoints([StreamConfig(local, remote), StreamConfig(local, remote)])
    with pytest.raises(ValueError, match="RTCP"):
        Endpoints([StreamConfig(local, rtcp_local=("127.0.0.1", next(PORTS))), StreamConfig(local)])
    with pytest.raises(ValueError, match="IPv4"):
        Endpoints([StreamConfig(("::1", local[1])), StreamConfig(("::1", local[1]))])


@pytest.mark.parametrize(
    ("changes", "text"), [({"payload_octets": 47}, "payload_octets"), ({"payload_type": 128}, "payload_type")]
)
def test_impossible_plans_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Endpoints(pair(**changes))


def test_keys_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Endpoints(pair(transform=AES_CM, send_key=KeyBytes(bytes(15), bytes(14))))


def test_streams_on_any_free_port_have_sockets_of_their_own() -> None:
    """Port 0 names no socket to share: every stream gets a pair of ports, RTCP beside it."""
    anywhere = [StreamConfig(local=("127.0.0.1", 0), rtcp_local=("127.0.0.1", 0), ssrc=n) for n in (1, 2, 3)]
    endpoints = Endpoints(anywhere)
    ports = [port for pair in endpoints.ports() for port in pair]
    endpoints.close()
    assert len(set(ports)) == 6
