"""The whole gateway with NG on every transport, as `gateway.py` opens them from the settings."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import ssl
from pathlib import Path

import aiohttp
from cryptography import x509

from appliance.api.ng_http import SUBPROTOCOL
from tests.appliance.api.test_mutual_tls import Authority
from tests.appliance.processes import machine

UDP, TCP, HTTP, HTTPS = range(42300, 42304)


async def speak(url: str, trust: ssl.SSLContext | None) -> None:
    connector = aiohttp.TCPConnector(ssl=trust) if trust else None
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(f"{url}/ping") as reply:
            assert await reply.text() == "pong\n"
        async with session.ws_connect(url, protocols=[SUBPROTOCOL]) as websocket:
            await websocket.send_str('1 {"command":"list"}')
            assert await websocket.receive_str() == '1 {"result":"ok","calls":[]}'


def test_every_transport(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    key, chain = authority.issue("gateway", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "chain.pem").write_bytes(chain)
    ng = (
        f'listen_tcp = ["127.0.0.1:{TCP}"]\nlisten_http = ["127.0.0.1:{HTTP}"]\nlisten_https = ["127.0.0.1:{HTTPS}"]\n'
        f'certificate = "{tmp_path}/chain.pem"\nkey = "{tmp_path}/key.pem"\n[ng.templates]\noffer = "SDES-nopad"'
    )
    folder = tmp_path / "gateway"
    folder.mkdir()
    with machine(folder, UDP, (42310, 42349), calls=5, ng=ng) as (built, _):
        with socket.create_connection(("127.0.0.1", TCP), timeout=5) as wire:
            wire.sendall(b"1 d7:command4:pinge")
            assert wire.recv(100) == b"1 d6:result4:ponge"
        asyncio.run(speak(f"http://127.0.0.1:{HTTP}", None))
        asyncio.run(speak(f"https://127.0.0.1:{HTTPS}", ssl.create_default_context(cafile=str(authority.file))))
        assert built.kill_control(signal.SIGTERM) == 0, built.log
        assert "Traceback" not in built.log
