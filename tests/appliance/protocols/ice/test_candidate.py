"""a=candidate lines (RFC 8839 section 5.1) and which of them are checked (ICE-1, D11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.ice.candidate import (
    MOST,
    InvalidCandidate,
    canonical,
    host_candidates,
    is_pwd,
    is_ufrag,
    parse,
    priority,
    reachable,
    read,
    usable,
)  # fmt: skip

HOST = "1 1 UDP 2130706431 192.0.2.1 5000 typ host"
CHROME = "842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999"


def test_chrome() -> None:
    candidate = parse(f"candidate:{CHROME}")
    assert (candidate.foundation, candidate.component, candidate.priority) == ("842163049", 1, 1677729535)
    assert (candidate.address, candidate.type) == (("203.0.113.7", 46154), "srflx")
    assert candidate.related == ("0.0.0.0", 0)  # noqa: S104 - a browser hides its own
    assert candidate.extensions == (("generation", "0"), ("network-cost", "999"))
    assert str(candidate) == CHROME


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1 1 UDP 2130706431 192.0.2.1 5000",
        "1 1 UDP 2130706431 192.0.2.1 65536 typ host",
        "1 0 UDP 2130706431 192.0.2.1 5000 typ host",
        "1 257 UDP 2130706431 192.0.2.1 5000 typ host",
        "1 1 UDP 4294967296 192.0.2.1 5000 typ host",
        "1 1 UDP 0 192.0.2.1 5000 typ host",
        "1 1 UDP -1 192.0.2.1 5000 typ host",
        "1 1 UDP 1 192.0.2.1 5000 typ host name",
        "x y 1 UDP 1 192.0.2.1 5000 typ host",
        "1 1 UDP 1 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 65536",
        f"{'1' * 33} 1 UDP 1 192.0.2.1 5000 typ host",
        f"{HOST} {'x ' * 400}y",
    ],
)
def test_invalid(line: str) -> None:
    with pytest.raises(InvalidCandidate):
        parse(line)
    assert read([line, HOST]) == (parse(HOST),)


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    ("line", "checked"),
    [
        (HOST, True),
        (CHROME, True),
        ("1 1 UDP 1 2001:db8::1 5000 typ relay raddr :: rport 9", True),
        ("1 1 TCP 1 192.0.2.1 9 typ host tcptype active", False),
        ("1 1 UDP 1 192.0.2.1 0 typ host", False),
        ("1 1 UDP 1 4a2b1c9e-3d4f-4b6a-9e0d-1c2b3a4f5e6d.local 5000 typ host", False),
        ("1 1 UDP 1 peer.example.org 5000 typ host", False),
        ("1 1 UDP 1 224.0.0.1 5000 typ host", False),
        ("1 1 UDP 1 ff02::1 5000 typ host", False),
        ("1 1 UDP 1 255.255.255.255 5000 typ host", False),
        ("1 1 UDP 1 0.0.0.0 5000 typ host", False),
        ("1 1 UDP 1 ::ffff:192.0.2.1 5000 typ host", False),
        ("1 1 UDP 1 fe80::1%eth0 5000 typ host", False),
        ("1 1 UDP 1 192.0.2.1 5000 typ token", False),
    ],
)
def test_usable(line: str, checked: bool) -> None:
    assert usable(parse(line)) is checked
    assert bool(read([line])) is checked


def test_reachable() -> None:
    """A peer's candidate does not lead into this machine, nor to another family."""
    assert reachable("192.0.2.1", "198.51.100.1") and reachable("127.0.0.2", "127.0.0.1")
    assert reachable("fe80::1", "fe80::2") and reachable("2001:db8::1", "2001:db8::2")
    for host, base in (("127.0.0.1", "198.51.100.1"), ("::1", "2001:db8::1"), ("169.254.0.1", "198.51.100.1"),
                       ("192.0.2.1", "2001:db8::1"), ("name.example", "192.0.2.1")):  # fmt: skip
        assert not reachable(host, base), host


def test_bounded_and_unique() -> None:
    lines = [f"1 1 UDP {n} 192.0.2.1 {n} typ host" for n in range(1, 2000)]
    assert len(read(lines)) == MOST
    assert len(read([HOST] * 50)) == 1


def test_generation() -> None:
    """RFC 8838 section 10: of an earlier generation, where it says so."""
    assert read([f"{HOST} ufrag abcd"], "efgh") == ()
    assert len(read([f"{HOST} ufrag abcd"], "abcd")) == len(read([HOST], "abcd")) == 1


@pytest.mark.row("ICE-1")
def test_ours() -> None:
    """One host candidate per family and component; the first address is the preferred one."""
    v4, v6 = ("192.0.2.1", 30000), ("2001:db8::1", 30000)
    ours = host_candidates([(1, v4), (2, ("192.0.2.1", 30001)), (1, v6)])
    assert [str(one) for one in ours] == [
        "1 1 udp 2130706431 192.0.2.1 30000 typ host",
        "1 2 udp 2130706430 192.0.2.1 30001 typ host",
        "2 1 udp 2130706175 2001:db8::1 30000 typ host",
    ]
    assert priority("prflx") == 0x6EFFFFFF


def test_canonical() -> None:
    assert canonical("2001:DB8:0:0::1") == "2001:db8::1"
    assert canonical("peer.example") == "peer.example"


def test_credentials() -> None:
    assert is_ufrag("abcd") and not is_ufrag("abc") and not is_ufrag("abc d") and not is_ufrag("a" * 257)
    assert is_pwd("a" * 22) and not is_pwd("a" * 21) and not is_pwd("a" * 21 + "\n")


@given(st.text(max_size=200))
def test_nothing_but_the_documented_error(text: str) -> None:
    try:
        candidate = parse(text)
    except InvalidCandidate:
        return
    assert parse(str(candidate)) == candidate
