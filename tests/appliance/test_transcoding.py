"""Transcoding between the laws of G.711 (row P06) over NG, with real processes and sockets: a PCMU phone on plain RTP,
a PCMA phone on SRTP."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.appliance.processes import Machine, NgClient, Phone, machine, media_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

pytestmark = pytest.mark.row("P06")
NG, PORTS = 33_800, (33_810, 33_849)
PCMU, PCMA = 0, 8
TONE = b"".join(round(9000 * math.sin(at / 3)).to_bytes(2, "little", signed=True) for at in range(160))


class Telephone(Phone):
    """That has one law alone."""

    law = PCMU
    sequence = 0

    def sdp(self, profile: str = "RTP/AVP", crypto: str = "") -> str:
        formats = f"{profile} {self.law} 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        return super().sdp(profile, crypto).replace(f"{profile} 0\r\n", formats)

    def talk(self, port: int, kind: int | None = None) -> None:
        kind = self.law if kind is None else kind
        payload = audioop.lin2ulaw(TONE, 2) if self.law == PCMU else audioop.lin2alaw(TONE, 2)
        self.sequence += 1
        head = bytes((0x80, kind)) + self.sequence.to_bytes(2) + (160 * self.sequence).to_bytes(4) + (7).to_bytes(4)
        self.send(head + payload, port)

    def hear(self) -> tuple[int, bytes]:
        """Payload type, and the sound as 16-bit samples."""
        packet = self.receive()
        decode = audioop.ulaw2lin if self.law == PCMU else audioop.alaw2lin
        return packet[1], decode(packet[12:], 2)


class ALawTelephone(Telephone):
    law = PCMA


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, NgClient]]:
    with machine(tmp_path_factory.mktemp("gateway"), NG, PORTS, calls=8) as started:
        yield started


@pytest.fixture
def phones() -> Iterator[tuple[Telephone, Telephone]]:
    with closing(Telephone()) as a, closing(ALawTelephone()) as b:
        yield a, b


def is_the_tone(sound: bytes) -> bool:
    """The noise of two quantisations is about 35 dB below the tone."""
    error = audioop.rms(audioop.add(sound, audioop.mul(TONE, 2, -1), 2), 2)
    return len(sound) == len(TONE) and error * 30 < audioop.rms(TONE, 2)


def shown(built: Machine, call_id: str) -> str:
    words = [sys.executable, "-m", "appliance.cli.main", "calls", "show", call_id, "--socket"]
    return subprocess.run([*words, str(built.run / "control.sock")], capture_output=True, text=True, check=True).stdout


def talk(a: Telephone, b: Telephone, here: int, there: int) -> None:
    """Both hear the other's tone, in their own law under its number; telephone-event is not sound."""
    for speaker, port, listener in ((a, here, b), (b, there, a)):
        speaker.talk(port)
        kind, sound = listener.hear()
        assert kind == listener.law
        assert is_the_tone(sound)
        speaker.talk(port, 101)
        packet = listener.receive()
        assert packet[1] == 101
        assert packet[12:] == (audioop.lin2ulaw if speaker.law == PCMU else audioop.lin2alaw)(TONE, 2)


def test_both_hear_each_other(gateway: tuple[Machine, NgClient], phones: tuple[Telephone, Telephone]) -> None:
    """Plain PCMU <-> SRTP PCMA; a control process that is killed changes nothing; a re-INVITE to a common law ends
    it."""
    built, client = gateway
    a, b = phones
    words = {"call_id": "c", "from_tag": "a"}
    offered = client.ask(
        "offer", **words, sdp=a.sdp(), transport_protocol="RTP/SAVP", flags=["codec-transcode-PCMA"],
        SDES=["only-AES_CM_128_HMAC_SHA1_80"],
    )  # fmt: skip
    assert " RTP/SAVP 0 8 101\r\n" in offered["sdp"]
    assert "warning" not in offered
    answered = client.ask("answer", **words, to_tag="b", sdp=b.answer(offered["sdp"]))
    assert " RTP/AVP 0 101\r\n" in answered["sdp"]
    here, there = media_port(answered["sdp"]), media_port(offered["sdp"])
    talk(a, b, here, there)
    assert "plain, PCMA to PCMU" in shown(built, "c")
    assert "HMAC_SHA1_80, PCMU to PCMA" in shown(built, "c")
    assert client.ask("statistics")["statistics"]["currentstatistics"]["transcodedmedia"] == 1
    built.kill_control()
    built.start_control()
    assert client.ask("ping")["result"] == "pong"
    assert "PCMU to PCMA" in shown(built, "c")
    talk(a, b, here, there)
    a.law = PCMA
    offered = client.ask("offer", **words, to_tag="b", sdp=a.sdp(), transport_protocol="RTP/SAVP",
                         flags=["codec-transcode-PCMA"])  # fmt: skip
    assert " RTP/SAVP 8 101\r\n" in offered["sdp"]
    client.ask("answer", **words, to_tag="b", sdp=b.answer(offered["sdp"]))
    talk(a, b, here, there)
    assert " to PCM" not in shown(built, "c")
    client.ask("delete", **words)


def test_what_cannot_be_made_is_refused(gateway: tuple[Machine, NgClient], phones: tuple[Telephone, Telephone]) -> None:
    """An error for a codec that is not G.711; a warning where other wishes hold; nothing without the word."""
    _, client = gateway
    words = {"from_tag": "a", "sdp": phones[0].sdp()}
    refused = client.ask("offer", call_id="d", **words, flags=["codec-transcode-G729"])
    assert refused["result"] == "error"
    assert "transcode=G729: not from pcmu/8000" in refused["error-reason"]
    warned = client.ask("offer", call_id="e", **words, codec={"transcode": ["opus", "PCMA"], "mask": ["all"]})
    assert " RTP/AVP 8 101\r\n" in warned["sdp"]
    assert warned["warning"] == "not available: transcode=opus"
    plain = client.ask("offer", call_id="f", **words)
    assert " RTP/AVP 0 101\r\n" in plain["sdp"]
    assert client.ask("list")["calls"] == ["e", "f"]
