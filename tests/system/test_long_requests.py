"""Requests that do not fit into one datagram's usual size move to TCP, where the settings say so (row I09)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.system.kamailio_rig import Phone, running
from tests.system.targets import HOST, Gateway

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, CALLEE = 27880, 27888


@pytest.mark.parametrize(("mtu", "transport"), [(1300, "TCP"), (0, "UDP")])
def test_an_invite_above_1300_octets(tmp_path: Path, mtu: int, transport: str) -> None:
    """I09, RFC 3261 section 18.1.1."""
    gateway = Gateway(PORT + 1)
    trunk = {"name": "peers", "match": ["127.0.0.0/8"], "destination": f"sip:{HOST}:{CALLEE}"}
    with (
        running(tmp_path, PORT, trunks=[trunk], sip={"udp_mtu": mtu}),
        Phone(PORT) as caller,
        socket.create_server((HOST, CALLEE)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind((HOST, CALLEE))
        caller.send(caller.request("INVITE", headers=[f"X-Filler-{n}: {'x' * 200}" for n in range(7)]))
        if transport == "TCP":
            stream.settimeout(3)
            link, _ = stream.accept()
            with link:
                link.settimeout(3)
                heard = link.recv(65535).decode()
        else:
            datagrams.settimeout(3)
            heard = datagrams.recv(65535).decode()
        assert heard.startswith("INVITE ") and f"Via: SIP/2.0/{transport} " in heard
    gateway.close()
