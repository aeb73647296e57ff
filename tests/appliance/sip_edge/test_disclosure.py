"""Which addresses are one side's business (row K04): pure decisions."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.rules import disclosure
from appliance.sip_edge.ksr.rules.disclosure import Sides

pytestmark = pytest.mark.row("K04")

SIDES = Sides(("203.0.113.0/28",), ("198.51.100.7/32", "10.9.0.0/16"), "192.0.2.5", ("10.1.0.1", "8.8.4.4"), "8.8.4.4")


@pytest.mark.parametrize(
    "address", ["203.0.113.9", "192.0.2.5", "10.1.0.1", "192.168.1.1", "127.0.0.1", "fd00::1", "[fe80::1]"]
)
def test_hidden(address: str) -> None:
    """Of the sender's trunk, where it came from, ours towards it, private."""
    assert SIDES.hides(address)


@pytest.mark.parametrize(
    "address", ["8.8.4.4", "198.51.100.7", "10.9.3.4", "9.9.9.9", "::", "example.org", "1.2.3"]
)
def test_not_hidden(address: str) -> None:
    """Ours towards the receiver, its own, anybody's on the Internet, nobody's."""
    assert not SIDES.hides(address)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("<sip:bob@10.1.2.3:5070;transport=tcp>", "<sip:bob@8.8.4.4;transport=tcp>"),
        ("sips:10.1.2.3", "sips:8.8.4.4"),
        ("<sip:bob@[fd00::9]:5060>", "<sip:bob@8.8.4.4>"),
        ("<sip:bob@10.9.2.3:5070>", "<sip:bob@10.9.2.3:5070>"),
        ("<sip:bob@example.org>", "<sip:bob@example.org>"),
        ('399 10.1.2.3 "at 10.1.2.3:5060."', '399 8.8.4.4 "at 8.8.4.4:5060."'),
        ("v1.10.1.2 build 10.1.2 of 12:30:45", "v1.10.1.2 build 10.1.2 of 12:30:45"),
        ("http://[fd00::9]/x", "http://[8.8.4.4]/x"),
        ("Replaces=abc%40x%3Bto-tag%3D1", "Replaces=abc%40x%3Bto-tag%3D1"),
    ],
)
def test_cleaned(given: str, wanted: str) -> None:
    assert SIDES.clean(given) == wanted


def test_an_ipv6_address_of_ours_stands_in_brackets() -> None:
    sides = Sides((), (), "10.0.0.1", (), "2001:db8::1")
    assert sides.clean("<sip:bob@10.0.0.1:5060>") == "<sip:bob@[2001:db8::1]>"


HEAD = (
    "INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.9\r\nFrom: <sip:a@10.1.0.9>\r\nX-One: 10.1.0.9\r\n"
    "History-Info: <sip:a@9.9.9.9>\r\nhistory-info: <sip:b@10.1.0.9>,\r\n <sip:c@10.1.0.8>\r\n"
    "X-Two: nothing\r\nGarbage\r\n"
    "Proxy-Authorization: Digest realm=\"ours\"\r\nProxy-Authorization: Digest realm=\"theirs\""
)  # fmt: skip


def test_only_headers_that_say_too_much_are_written_anew() -> None:
    """All of one name, in order; Via and From are others' work."""
    found = dict(disclosure.changes(HEAD, SIDES, lambda key, value: disclosure.realm(value) == "ours"))
    assert found == {
        "X-One": ["8.8.4.4"],
        "History-Info": ["<sip:a@9.9.9.9>", "<sip:b@8.8.4.4>, <sip:c@8.8.4.4>"],
        "Proxy-Authorization": ['Digest realm="theirs"'],
    }


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("message/sipfrag;version=2.0", "SIP/2.0 603 No\r\nContact: <sip:10.1.0.9>\r\n", "SIP/2.0 603 No\r\n"),
        ("message/sipfrag", "\r\nSIP/2.0 200 OK at 10.1.0.9", "SIP/2.0 200 OK at 8.8.4.4\r\n"),
        ("application/pidf+xml", "<a>sip:x@10.1.0.9</a>", "<a>sip:x@8.8.4.4</a>"),
        ("text/plain", "my address is 10.1.0.9", "my address is 10.1.0.9"),
        ("application/dtmf-relay", "Signal=1", "Signal=1"),
    ],
)
def test_bodies(kind: str, given: str, wanted: str) -> None:
    assert disclosure.body(kind, given, SIDES) == wanted


def test_contacts_are_told_apart() -> None:
    head = 'SIP/2.0 300 X\r\nContact: "a, b" <sip:a@h;x=1,2>, <sip:b@h>\r\nm: sip:c@h\r\n'
    assert disclosure.contacts(head) == ['"a, b" <sip:a@h;x=1,2>', "<sip:b@h>", "sip:c@h"]
    assert disclosure.contacts('x\r\nContact: "a\\", b" <sip:a@h>, "c') == ['"a\\", b" <sip:a@h>', '"c']
    assert disclosure.contacts("x\r\nContact: ,,") == []


@pytest.mark.parametrize(
    ("uri", "host", "port", "wanted"),
    [
        ("sip:bob@10.1.0.1:5060;x=1", "h.example", "", "sip:bob@h.example;x=1"),
        ("sip:bob@10.1.0.1", "198.51.100.7", ":5070", "sip:bob@198.51.100.7:5070"),
        ("sip:10.1.0.1", "fd00::1", "", "sip:[fd00::1]"),
    ],
)
def test_the_same_user_elsewhere(uri: str, host: str, port: str, wanted: str) -> None:
    assert disclosure.at(uri, host, port) == wanted


@pytest.mark.parametrize(("uri", "port"), [("sip:h:5070;lr", ":5070"), ("sip:h", ""), ("sip:[::1]:1", ":1"), ("x", "")])
def test_ports(uri: str, port: str) -> None:
    assert disclosure.port_of(uri) == port


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Route: <sip:9.9.9.9;lr;vsf=AAA-;ftag=1>", True),
        ("route : <sip:9.9.9.9;lr>,\r\n\t<sip:9.9.9.8;lr;vst=AAA->", True),
        ("Route: <sip:9.9.9.9;lr;ftag=1>", False),
        ("X-Route: <sip:9.9.9.9;lr;vsf=AAA->", False),
        ("Record-Route: <sip:9.9.9.9;lr;vst=AAA->", False),
    ],
)
def test_who_knows_the_parties_of_a_dialog(line: str, kept: bool) -> None:
    """uac, by what it wrote into the route."""
    assert disclosure.kept_by_uac(f"BYE sip:a@9.9.9.9 SIP/2.0\r\n{line}\r\nMax-Forwards: 70") is kept


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"Alice" <sip:alice@10.1.2.3:5070>;tag=1', "10.1.2.3"),
        ("sips:[fd00::9]", "fd00::9"),
        ("<sip:example.org>", "example.org"),
        ("<tel:+49301>", ""),
    ],
)
def test_the_host_of_a_party(text: str, found: str) -> None:
    assert disclosure.host(text) == found
