"""Record headers, the splitter, the cookie front (D11, DTLS-22; attack D3)."""

from __future__ import annotations

from random import Random

import pytest

from appliance.calls.media import Address
from appliance.protocols.dtls import records
from appliance.protocols.dtls.cookie import EPOCH_S, CookieFront
from tests.appliance.protocols.dtls.wire import CLIENT, SERVER, client_hello, cookie_of, message, record


@pytest.mark.row("D11")
@pytest.mark.parametrize("mtu", [200, 548, 1200])
def test_records_are_packed_whole(mtu: int) -> None:
    """Nothing is cut, lost or reordered, no datagram is longer than the MTU, and two neighbours never fit into one."""
    source = Random(mtu)
    for _ in range(300):
        flight = b"".join(
            record(22, source.randbytes(source.randrange(0, mtu - 12)), number=n) for n in range(source.randrange(1, 9))
        )
        packed = records.pack(flight, mtu)
        assert b"".join(packed) == flight
        assert max(map(len, packed)) <= mtu
        assert all(record.data for data in packed for record in records.records(data))
        firsts = [records.records(data)[0].data for data in packed]
        assert all(len(one) + len(next_) > mtu for one, next_ in zip(packed, firsts[1:], strict=False))


def test_nothing_is_packed_into_nothing() -> None:
    assert records.pack(b"", 1200) == ()


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_cut_datagram_ends_early(cut: int) -> None:
    first, second = record(22, bytes(20)), record(20, b"\1", 1, 5)
    found = list(records.records((first + second)[: len(first) + cut]))
    assert [(r.type, r.epoch, r.data) for r in found] == (
        [(22, 0, first), (20, 1, second)] if cut > 13 else [(22, 0, first)]
    )


def test_messages() -> None:
    whole, part = message(14, b"", 5), message(11, bytes(10), 6, length=30, offset=20)
    assert list(records.messages(whole + part)) == [records.Message(14, 0, 5, 0, 0), records.Message(11, 30, 6, 20, 10)]
    for wrong in (part[:-1], message(11, bytes(11), 6, length=30, offset=20), whole[:11]):
        assert list(records.messages(wrong)) == [None]


@pytest.mark.row("DTLS-22")
def test_a_cookie_round() -> None:
    """Nothing is remembered between the two hellos: any front of the secret takes it."""
    first, second = CookieFront(b"s" * 32), CookieFront(b"s" * 32)
    answer = first.hello(client_hello(), CLIENT, 10.0)
    assert isinstance(answer, bytes) and records.is_verify_request(answer)
    again = client_hello(cookie=cookie_of(answer), sequence=1)
    assert second.hello(again, CLIENT, 10.5) is True
    assert CookieFront(b"t" * 32).hello(again, CLIENT, 10.5) is None
    assert second.hello(again, SERVER, 10.5) is None
    assert second.hello(again, Address(CLIENT.host, CLIENT.port + 1), 10.5) is None


@pytest.mark.row("DTLS-22")
def test_cookies_age() -> None:
    """Good in its epoch and the next; each epoch has another."""
    front = CookieFront(b"s" * 32)
    answer = front.hello(client_hello(), CLIENT, 10.0)
    assert isinstance(answer, bytes)
    again = client_hello(cookie=cookie_of(answer), sequence=1)
    assert front.hello(again, CLIENT, EPOCH_S + 29.0) is True
    assert front.hello(again, CLIENT, 2 * EPOCH_S + 1.0) is None
    assert len({cookie_of(front.hello(client_hello(), CLIENT, n * EPOCH_S) or b"") for n in range(50)}) == 50  # type: ignore[arg-type]


def test_no_amplifier() -> None:
    """D3: 10^4 hellos from forged sources: fewer octets go out than come in, and nothing is kept."""
    front = CookieFront(b"s" * 32)
    hello, source = client_hello(), Random(1)
    out = 0
    for _ in range(10_000):
        where = Address(f"203.0.113.{source.randrange(256)}", source.randrange(1, 65536))
        out += len(front.hello(hello, where, 1.0))  # type: ignore[arg-type]
    assert out < 0.5 * 10_000 * len(hello)


@pytest.mark.parametrize("datagram", [
    b"", b"\x16", bytes(100), client_hello()[:40], client_hello()[:60], record(20, b"\1"),
    record(22, message(1, b"")), record(22, message(2, bytes(60))), record(22, message(1, bytes(34) + b"\xff")),
    record(22, message(1, bytes(35) + b"\xff" + bytes(9))), record(22, message(1, bytes(50), length=90, offset=40)),
    record(22, client_hello()[13:], epoch=1), record(22, message(1, bytes(36))[:-1]), client_hello(sequence=2),
])  # fmt: skip
def test_what_is_no_hello(datagram: bytes) -> None:
    assert CookieFront(bytes(32)).hello(datagram, CLIENT, 0.0) is None


def test_the_first_fragment_is_enough() -> None:
    """A ClientHello of a browser with post-quantum keys has two; the second gets no answer of its own."""
    hello = client_hello()
    body = hello[25:]
    front, cut = CookieFront(bytes(32)), 80
    assert front.hello(record(22, message(1, body[:cut], length=len(body))), CLIENT, 0.0)
    assert front.hello(record(22, message(1, body[cut:], length=len(body), offset=cut)), CLIENT, 0.0) is None
