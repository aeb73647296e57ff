"""`srtpgw calls why` on a running gateway: holder, worker and control process, real sockets, the command line
(peers 2 #16; H3)."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.protocols.srtp.suites import SUITES, find
from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from srtpgw.v1 import calls_pb2, sessions_pb2
from tests.kernels.rig import rtp
from tests.system.stack import Stack, crypto, endpoint, running

SUITE = find("AES_CM_128_HMAC_SHA1_80") or SUITES[0]
VOICE = bytes(0x80 | n * 7 // 3 & 0x1F for n in range(160))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(first=42600, last=42699, ng=42590, calls=20) as started:
        yield started


@contextmanager
def phone() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        yield opened


def session_of(key: sessions_pb2.MasterKey) -> Session:
    row = Transform(SUITE.cipher, SUITE.auth, SUITE.key_octets, SUITE.salt_octets, SUITE.rtp_tag, SUITE.rtcp_tag)
    return Session(row, key.key, key.salt, send=True)


def command(stack: Stack, *words: str) -> str:
    """What a person types."""
    door = str(stack.place / "run/control.sock")
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli.main", "calls", *words, "--socket", door],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout


def test_swapped_key_from_the_packet_to_the_person(stack: Stack) -> None:
    """Bob protects with the key that he was given; the command says so, in words and as JSON; once he uses his own, the
    call is healthy; no key is in any answer, nor in the log."""
    with phone() as alice, phone() as bob:
        a = sessions_pb2.SessionLeg(remote_rtp=endpoint(alice.getsockname()[1]))
        b = sessions_pb2.SessionLeg(
            remote_rtp=endpoint(bob.getsockname()[1]), receive=crypto(SUITE.name, SUITE), send=crypto(SUITE.name, SUITE)
        )
        stream = sessions_pb2.SessionStream(a=a, b=b)
        made = stack.sessions.CreateSession(
            sessions_pb2.CreateSessionRequest(call_id="swap", streams=[stream]), timeout=5
        )
        to_a, to_b = (("127.0.0.1", leg.local_rtp.port) for leg in (made.streams[0].a, made.streams[0].b))
        wrong, right = session_of(b.send.keys[0]), session_of(b.receive.keys[0])
        for n in range(20):
            alice.sendto(rtp(n, VOICE), to_a)
            bob.sendto(protected(wrong, n), to_b)
        found = until(stack, calls_pb2.Finding.KEY_SWAPPED)
        assert (found.leg, found.confidence) == ("b", calls_pb2.Finding.CERTAIN)
        text = command(stack, "why", "swap")
        assert text.startswith("1. key-swapped (stream 0, leg b, certain)\n")
        tree: Any = json.loads(command(stack, "why", "swap", "--json"))
        assert tree["findings"][0]["cause"] == "KEY_SWAPPED"
        for n in range(400):
            alice.sendto(rtp(20 + n, VOICE), to_a)
            bob.sendto(protected(right, 100 + n), to_b)
            time.sleep(0.001)
        until(stack, calls_pb2.Finding.FLOWS)
        shown = text + json.dumps(tree) + command(stack, "why", "swap") + stack.log()
        for key in (b.send.keys[0], b.receive.keys[0]):
            for secret in (key.key, key.salt, key.key + key.salt):
                assert base64.b64encode(secret).decode().rstrip("=")[:16] not in shown
                assert secret.hex() not in shown


def protected(session: Session, sequence: int) -> bytes:
    packet = session.protect_rtp(rtp(sequence, VOICE, ssrc=7))
    assert isinstance(packet, bytes)
    return packet


def until(stack: Stack, cause: int, seconds: float = 10) -> calls_pb2.Finding:
    """The first finding, once it is this one."""
    deadline = time.monotonic() + seconds
    while True:
        reply = stack.calls.Why(calls_pb2.WhyRequest(call_id="swap"), timeout=5)
        if reply.findings[0].cause == cause:
            return reply.findings[0]
        assert time.monotonic() < deadline, str(reply)
        time.sleep(0.1)
