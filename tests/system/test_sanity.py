"""Sanity checks on the wire (K01-K03): a malformed message for each check, sizes at their limits and one above."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT = 27820
SIZES = {"message_size": 4000, "headers_size": 1500, "body_size": 2000, "header_size": 300, "method_size": 12,
         "uri_size": 100}  # fmt: skip


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running(tmp_path_factory.mktemp("sanity"), PORT, sip_sanity=SIZES, sip_flood={"enabled": False}) as edge:
        yield edge


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Phone(PORT) as made:
        yield made


def changed(message: str, pattern: str, by: str) -> str:
    """`message` with one thing different."""
    made, count = re.subn(pattern, by, message, count=1, flags=re.MULTILINE)
    assert count == 1
    return made


@pytest.mark.parametrize(
    ("pattern", "by", "status"),
    [
        pytest.param(r"SIP/2\.0\r\n", "SIP/3.0\r\n", {505, 0}, id="ruri_sip_version"),
        pytest.param(r"^OPTIONS sip:", "OPTIONS foo:", {400}, id="ruri_scheme"),
        pytest.param(r"^From: .*\r\n", "", {400, 0}, id="required_headers"),
        pytest.param(r"1 OPTIONS", "1 INVITE", {400}, id="cseq_method"),
        pytest.param(r"^CSeq: 1 ", "CSeq: 99999999999 ", {400}, id="cseq_value"),
        pytest.param(r"^CSeq: 1 ", "CSeq: x ", {400, 0}, id="cseq_number"),
        pytest.param(r"^Content-Length: 0", "Content-Length: 70", {400, 0}, id="cl"),
        pytest.param(r"^Max-Forwards", "Expires: never\r\nMax-Forwards", {400}, id="expires_value"),
        pytest.param(r"^From: <sip:me@127.0.0.1>", "From: <sip:me@[::1>", {400}, id="parse_uris_from"),
        pytest.param(r"^To: <sip:1000@127.0.0.1>", "To: <nonsense>", {400}, id="parse_uris_to"),
        pytest.param(r"^Max-Forwards: 70", "Max-Forwards: 0", {483}, id="max_forwards"),
        pytest.param(r"^Via: SIP/2\.0/UDP [^;]+", "Via: nonsense", {400, 0}, id="via1"),
    ],
)
def test_a_malformed_request_is_refused_or_dropped(
    edge: Edge, phone: Phone, pattern: str, by: str, status: set[int]
) -> None:
    """K01: never routed; what can be answered is, precisely. And the edge goes on."""
    assert phone.status(changed(phone.request(), pattern, by), patience=0.5) in status
    assert phone.status(phone.request()) == 200


def test_a_refusal_has_counter_and_event(edge: Edge, phone: Phone) -> None:
    """K01: the rule is named."""
    before = counted(edge, "malformed")
    message = changed(phone.request(call_id="named"), r"1 OPTIONS", "1 INVITE")
    assert phone.status(message) == 400
    wait_for(lambda: named(edge) == ["malformed"], 10, edge.log)  # sanity answers, then the script tells and counts
    wait_for(lambda: counted(edge, "malformed") == before + 1, 10, edge.log)


def named(edge: Edge) -> list[str]:
    return [one["reason"] for one in edge.events("sip_refused") if one["call_id"] == "named"]


def padded(message: str, octets: int, header: str = "X-Pad") -> str:
    """With one more header of so many octets, its name counted."""
    line = f"{header}: " + "x" * (octets - len(header) - 2)
    return message.replace("Content-Length", f"{line}\r\nContent-Length", 1)


def of_headers(phone: Phone, octets: int) -> str:
    """A request whose request line and headers, with the empty line, are so many octets."""
    message = phone.request(branch="z9hG4bK" + "b" * 12)
    while octets - len(message) > 250:
        message = padded(message, 200)
    return padded(message, octets - len(message) - 2)


def test_header_sizes(edge: Edge, phone: Phone) -> None:
    """K03: at the limit accepted, one octet above refused with the reply that says which."""
    assert phone.status(padded(phone.request(), 300)) == 200
    assert phone.status(padded(phone.request(), 301)) == 400
    folded = padded(phone.request(), 200).replace("X-Pad: xx", "X-Pad: xx\r\n " + "y" * 110)
    assert phone.status(folded) == 400
    assert phone.status(of_headers(phone, 1500)) == 200
    assert phone.status(of_headers(phone, 1501)) == 513


def test_body_and_message_sizes(edge: Edge, phone: Phone) -> None:
    """K03."""
    kind = ["Content-Type: text/plain"]
    assert phone.status(phone.request(body="x" * 2000, headers=kind)) == 200
    assert phone.status(phone.request(body="x" * 2001, headers=kind)) == 413
    assert phone.status(phone.request(body="x" * 4000, headers=kind)) == 513


def test_method_and_uri_sizes(edge: Edge, phone: Phone) -> None:
    """K03: a method at the limit is merely unknown; URIs in the request line 414, in From and To 400."""
    assert phone.status(phone.request("M" * 12)) == 405
    assert phone.status(phone.request("M" * 13)) == 400
    room = 100 - len("sip:@127.0.0.1")
    assert phone.status(phone.request(to=f"sip:{'u' * room}@127.0.0.1")) == 200
    assert phone.status(phone.request(to=f"sip:{'u' * (room + 1)}@127.0.0.1")) == 414
    assert phone.status(phone.request(sender="u" * room)) == 200
    assert phone.status(phone.request(sender="u" * (room + 1))) == 400


@pytest.mark.parametrize("agent", ["friendly-scanner", "SIPVicious/0.3", "VaxSIPUserAgent/3.5"])
def test_scanners_get_no_reply(edge: Edge, phone: Phone, agent: str) -> None:
    """K07, K10: not even a sign that somebody is here; counted."""
    before = counted(edge, "scanner")
    assert phone.status(phone.request(headers=[f"User-Agent: {agent}"]), patience=0.3) == 0
    assert counted(edge, "scanner") == before + 1
    assert phone.status(phone.request(headers=["User-Agent: Z 5.2.28"])) == 200


@pytest.mark.parametrize(
    "octets", [b"\xff\xfe\x00", b"\r\n\r\n" * 100, b"INVITE", b"\x80" * 2000, b"SIP/2.0 200 OK\r\n\r\n"]
)
def test_what_is_no_sip_is_silently_gone(edge: Edge, phone: Phone, octets: bytes) -> None:
    """K01, K10."""
    assert phone.ask(octets, patience=0.2) == ""
    assert phone.status(phone.request()) == 200


def test_octets_that_are_no_utf8_do_not_stop_the_script(edge: Edge, phone: Phone) -> None:
    """K01: headers in Latin-1 come from real phones."""
    message = phone.request(headers=["Subject: caf@"]).encode().replace(b"caf@", b"caf\xe9")
    assert phone.status(message) == 200
    assert phone.status(phone.request(headers=["User-Agent: x@"]).encode().replace(b"x@", b"x\xff\xfe")) == 200


def test_a_malformed_reply_goes_nowhere(edge: Edge, phone: Phone) -> None:
    """K02: 17604/6 for replies."""
    before = counted(edge, "malformed_reply")
    reply = (
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:27820;branch=z9hG4bKx\r\n"
        f"Via: SIP/2.0/UDP {phone.at[0]}:{phone.at[1]};branch=z9hG4bKy\r\n"
        "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <nonsense>;tag=2\r\nCall-ID: r\r\nCSeq: 1 INVITE\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    assert phone.ask(reply, patience=0.3) == ""
    assert counted(edge, "malformed_reply") == before + 1
