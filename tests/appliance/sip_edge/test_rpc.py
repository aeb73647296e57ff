"""Kamailio's RPC from our side: one question, one answer, and every way in which that fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable
from tests.appliance.sip_edge.fake_rpc import FakeRpc, Refusal


def _refuses(*_: object) -> None:
    raise Refusal(404, "Resource Not Found")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeRpc]:
    answers = {"core.echo": lambda *words: list(words), "dispatcher.set_state": _refuses, "core.version": lambda: "k 5"}
    with FakeRpc(tmp_path / "rpc.sock", answers) as running:
        yield running


async def test_answer(server: FakeRpc) -> None:
    rpc = Rpc(server.path)
    assert await rpc.call("core.echo", "a", 1) == ["a", 1]
    assert await rpc.call("core.version") == "k 5"
    assert server.asked == [("core.echo", ("a", 1)), ("core.version", ())]
    assert await rpc.up()


async def test_many_at_once(server: FakeRpc) -> None:
    rpc = Rpc(server.path)
    found = await asyncio.gather(*(rpc.call("core.echo", number) for number in range(50)))
    assert found == [[number] for number in range(50)]


async def test_refused(server: FakeRpc) -> None:
    with pytest.raises(RpcRefused) as caught:
        await Rpc(server.path).call("dispatcher.set_state", "ip", 1)
    assert (caught.value.code, caught.value.message) == (404, "Resource Not Found")
    with pytest.raises(RpcRefused, match="Method Not Found"):
        await Rpc(server.path).call("nothing")


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(RpcUnavailable, match="No such file"):
        await Rpc(tmp_path / "absent.sock").call("core.version")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(RpcUnavailable, match="refused"):
        await Rpc(tmp_path / "dead.sock").call("core.version")
    assert not await Rpc(tmp_path / "dead.sock").up()


async def test_silence_ends(server: FakeRpc) -> None:
    server.silent = True
    with pytest.raises(RpcUnavailable, match="did not answer"):
        await Rpc(server.path, timeout_s=0.05).call("core.version")


@pytest.mark.parametrize("rubbish", [b"\xff\xfe", b"{", b"[]", b"null", b'{"id": 999, "result": "forged"}', b'"text"'])
async def test_what_is_no_answer_is_passed_over(server: FakeRpc, rubbish: bytes) -> None:
    server.rubbish = rubbish
    assert await Rpc(server.path).call("core.version") == "k 5"


async def test_nobody_else_can_answer(server: FakeRpc) -> None:
    """Our socket is connected: the kernel refuses datagrams of others, whatever they guess of its name."""
    server.silent = True
    waiting = asyncio.ensure_future(Rpc(server.path, timeout_s=0.5).call("core.version"))
    await asyncio.to_thread(server.heard.wait)
    name = server.askers[-1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger, pytest.raises(PermissionError):
        forger.sendto(b'{"id": 1, "result": "forged"}', name)
    with pytest.raises(RpcUnavailable):
        await waiting


async def test_leaves_no_descriptor(server: FakeRpc) -> None:
    before = _descriptors()
    for _ in range(20):
        await Rpc(server.path).call("core.version")
    assert _descriptors() <= before


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
