"""SIGHUP with calls up: settings that can change while everything runs do, the others are told by name (row P12)."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator

import bencodepy
import pytest

from tests.system import stack
from tests.system.lab import wait_for
from tests.system.parties import ACCESS, CORE, Dialog, Message, Party, dialog_of, sdp
from tests.system.two_sides import tables

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("P12", "P11")]

SIP, NG, A, B, C = 44100, 44102, 44104, 44106, 44108
SECURE = 'rtp_secure_media = "mandatory"\nsdes_over_cleartext = "allow"'
TABLES = tables(SIP, A, B, core=SECURE)
OTHER = f"""[[trunks]]
name = "other"
match = ["{CORE}3/32"]
destination = "sip:{ACCESS}2:{A}"
listen = "udp:{CORE}1:{SIP}"
rtp_secure_media = "forbidden"
"""
KEY = "AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNk"
Three = tuple[Party, Party, Party]


@pytest.fixture(scope="module")
def gateway(sip_programs: None) -> Iterator[stack.Stack]:
    with stack.running(44120, 44159, NG, calls=8, sip=TABLES) as started:
        yield started
        assert "Traceback" not in started.log() + log(started, "sip") + log(started, "control")


@pytest.fixture
def parties() -> Iterator[Three]:
    made = tuple(Party(f"{network}", port, (f"{network[:-1]}1", SIP))
                 for network, port in ((f"{ACCESS}2", A), (f"{CORE}2", B), (f"{CORE}3", C)))  # fmt: skip
    yield made  # type: ignore[misc]
    for one in made:
        one.close()


def log(gateway: stack.Stack, name: str) -> str:
    return (gateway.place / "run" / "log" / f"{name}.log").read_text(errors="replace")


def events(gateway: stack.Stack, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log(gateway, "control").splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def reload(gateway: stack.Stack, *changes: tuple[str, str]) -> str:
    """The file with these changes, and the signal; what `srtpgw up` says of it."""
    file = gateway.place / "srtpgw.toml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    before = len(told(gateway))
    os.kill(gateway.process.pid, signal.SIGHUP)
    wait_for(lambda: len(told(gateway)) > before, 10, gateway.log)
    return told(gateway)[-1]


def told(gateway: stack.Stack) -> list[str]:
    return re.findall(r"^SIP edge: .*$", gateway.log(), re.MULTILINE)


def answer(offer: Message, callee: Party, version: int = 1) -> str:
    """Its SDP, with a key where one is asked for."""
    asked = re.search(r"^a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80 ", offer.body, re.MULTILINE)
    words = {"protocol": "RTP/SAVP", "crypto": [f"{asked[1]} {KEY}"]} if asked else {}
    return sdp(callee.address, 41000, version=version, **words)  # type: ignore[arg-type]


def answered(caller: Party, callee: Party) -> tuple[Dialog, Dialog, Message]:
    call = caller.calls(body=sdp(caller.address, 40000))
    invite = callee.hears("INVITE")
    ok = callee.answer(invite, 200, body=answer(invite, callee))
    dialog = call.dialog(caller.hears(200))
    caller.within(dialog, "ACK", number=1)
    callee.hears("ACK")
    return dialog, dialog_of(invite, ok), invite


def pings(source: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((source, 0))
        link.settimeout(0.5)
        link.sendto(b"1 " + bencodepy.encode({"command": "ping"}), ("127.0.0.1", NG))
        try:
            return b"pong" in link.recv(2048)
        except TimeoutError:
            return False


def test_what_changes_and_what_waits(gateway: stack.Stack, parties: Three) -> None:
    """The next call goes elsewhere, under another policy; the one that is up keeps its trunk, which is gone by now."""
    alice, bob, carol = parties
    assert pings("127.0.0.1") and pings("127.0.0.7")
    dialog, back, invite = answered(alice, bob)
    assert "RTP/SAVP" in invite.body
    gone = TABLES[TABLES.index('[[trunks]]\nname = "core"') :]
    line = reload(
        gateway, (f"sip:{CORE}2:{B}", f"sip:{CORE}3:{C}"), (gone, OTHER), ("workers = 1", "workers = 2"),
        ('allow = ["127.0.0.0/8"]', 'allow = ["127.0.0.1/32"]'), ("calls = 8", "calls = 9"),
    )  # fmt: skip
    assert line == "SIP edge: reloaded: trunks; waiting for a restart: sip.workers"
    (told,) = wait_for(lambda: events(gateway, "settings reloaded"), 5, lambda: log(gateway, "control"))
    assert told["at_once"] == ["ng.allow"] and told["restart"] == ["media.calls"] and told["level"] == "warning"
    assert set(told["sip_edge"]) == {"sip.workers", "trunks"}  # type: ignore[call-overload]
    assert pings("127.0.0.1") and not pings("127.0.0.7")

    def goes_to_carol() -> bool:
        call = alice.calls(body=sdp(alice.address, 40000))
        where = carol if not carol.silent("INVITE", 0.3) else bob
        invite = where.heard[-1] if where is carol else bob.hears("INVITE")
        where.answer(invite, 486)
        call.acknowledge(alice.hears(486))
        where.hears("ACK")
        return where is carol and "RTP/SAVP" not in invite.body

    wait_for(goes_to_carol, 5, "the old route still holds")
    alice.within(dialog, "INVITE", body=sdp(alice.address, 40000, version=2))
    again = bob.hears("INVITE")
    assert "RTP/SAVP" in again.body  # no downgrade because its trunk is not there any more
    bob.answer(again, 200, body=answer(again, bob, 2))
    alice.hears(200)
    alice.within(dialog, "ACK", number=dialog.number)
    bob.hears("ACK")
    bob.within(back, "BYE")
    alice.answer(alice.hears("BYE"), 200)
    bob.hears(200)


def test_a_file_with_mistakes_changes_nothing(gateway: stack.Stack, parties: Three) -> None:
    alice, _, carol = parties
    line = reload(gateway, (f"sip:{CORE}3:{C}", "no URI"))
    assert line.startswith("SIP edge: not reloaded: ") and "trunks[0].destination" in line
    wait_for(lambda: events(gateway, "settings not reloaded"), 5, lambda: log(gateway, "control"))
    dialog, _, _ = answered(alice, carol)
    alice.within(dialog, "BYE")
    carol.answer(carol.hears("BYE"), 200)
    alice.hears(200)
