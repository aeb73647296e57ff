"""Messages of the routing script: who is believed, what is an event, and that nothing that arrives can raise."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import NoCapacity
from appliance.sip_edge.ksr.link import Link
from appliance.sip_edge.management import news as subject
from appliance.sip_edge.management.news import EdgeEvent, News, parse

NOBODY = pwd.getpwnam("nobody").pw_uid
REFUSED = {
    "event": "sip_refused", "call_id": "c@h", "method": "INVITE", "source": "192.0.2.1", "status": 403,
    "reason": "acl_denied", "user": "alice", "hits": 3,
}  # fmt: skip


@pytest.fixture
async def news(tmp_path: Path) -> AsyncIterator[News]:
    made = News(tmp_path / "events.sock", clock=lambda: 7.5)
    made.tick()
    yield made
    made.close()


def _send(path: Path, *messages: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(str(path))
        for message in messages:
            link.send(message)


@pytest.mark.row("K07")
async def test_event_reaches_every_watcher(news: News) -> None:
    first, second = news.bus.join(), news.bus.join()
    _send(news.path, json.dumps(REFUSED).encode())
    for watcher in (first, second):
        assert await watcher.get() == EdgeEvent(
            7.5, "sip_refused", "acl_denied", 403, "c@h", "INVITE", "192.0.2.1", {"user": "alice", "hits": "3"}
        )


async def test_socket_is_for_owner_and_group(news: News) -> None:
    assert stat.S_IMODE(news.path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another account")
async def test_another_account_is_not_believed(news: News) -> None:
    """Even one that the file's mode would let in: the kernel says who sent."""
    news.path.chmod(0o666)
    watcher = news.bus.join()
    _send_as(NOBODY, news.path, json.dumps(REFUSED).encode())
    _send(news.path, b'{"event": "sip_last"}')
    event = await watcher.get()
    assert event is not None and event.event == "sip_last" and news.refused == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another account")
async def test_kamailios_account_is_believed(tmp_path: Path) -> None:
    made = News(tmp_path / "events.sock", "nobody")
    made.tick()
    made.path.chmod(0o666)
    watcher = made.bus.join()
    _send_as(NOBODY, made.path, json.dumps(REFUSED).encode())
    assert (await watcher.get()) is not None
    made.close()


def _send_as(uid: int, path: Path, datagram: bytes) -> None:
    """From the socket's own directory: the way to it is closed to others."""
    path.parent.chmod(0o755)
    program = """import os, socket, sys
os.setuid(int(sys.argv[1]))
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(sys.argv[2])
link.send(sys.argv[3].encode())"""
    words = [sys.executable, "-c", program, str(uid), path.name, datagram.decode()]
    subprocess.run(words, check=True, cwd=path.parent)


@pytest.mark.parametrize(
    "datagram",
    [
        b"{", b"null", b"[]", b"3", b'"x"', b"{}", b'{"event": 3}', b'{"event": ""}', b'{"event": null}',
        b"\xff\xfe\x00", b"[" * 10_000, b'{"event": "sip_x"' + b" " * 20_000 + b"}",
    ],
)  # fmt: skip
async def test_what_is_no_event_is_counted(news: News, datagram: bytes) -> None:
    watcher = news.bus.join()
    _send(news.path, datagram, b'{"event": "sip_last"}')
    event = await watcher.get()
    assert event is not None and event.event == "sip_last" and (news.refused, news.received) == (1, 1)


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*subject._OWN, "x", "\ud800")) | st.text(), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_nothing_raises(datagram: bytes) -> None:
    event = parse(datagram, 0.0)
    if event is not None:
        from appliance.api.edge_servicer import _event

        _event(event).SerializeToString()


def test_bounded() -> None:
    record = {"event": "e" * 5000, "reason": "r" * 5000, "status": 70_000, **{f"k{n}": "v" * 5000 for n in range(100)}}
    event = parse(json.dumps(record).encode(), 0.0)
    assert event is not None
    assert (len(event.event), len(event.rule), event.status) == (subject.LONGEST, subject.LONGEST, 0)
    assert len(event.details) == subject.MOST_DETAILS
    assert max(map(len, event.details.values())) == subject.LONGEST


async def test_a_slow_reader_loses_its_watch_not_our_memory(news: News) -> None:
    watcher = news.bus.join()
    for _ in range(5000):
        news.take(b'{"event": "sip_x"}')
    with pytest.raises(NoCapacity):
        await watcher.get()


async def test_bound_again_when_the_run_directory_is_new(news: News) -> None:
    """systemd removes Kamailio's run directory when the unit stops."""
    news.path.unlink()
    news.tick()
    watcher = news.bus.join()
    _send(news.path, b'{"event": "sip_x"}')
    assert await watcher.get() is not None


async def test_waits_for_the_directory(tmp_path: Path) -> None:
    made = News(tmp_path / "later" / "events.sock")
    made.tick()
    made.path.parent.mkdir()
    made.tick()
    assert made.path.is_socket()
    made.close()
    assert not made.path.exists()


async def test_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "events.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    made = News(path)
    made.tick()
    watcher = made.bus.join()
    _send(path, b'{"event": "sip_x"}')
    assert await watcher.get() is not None
    made.close()


async def test_a_file_or_link_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / "events.sock").symlink_to(tmp_path / "precious")
    made = News(tmp_path / "events.sock")
    made.tick()
    made.tick()
    made.close()
    assert (tmp_path / "precious").read_text() == "data" and (tmp_path / "events.sock").is_symlink()


async def test_a_burst_leaves_the_loop_to_others(news: News) -> None:
    """One turn takes at most AT_ONCE datagrams."""
    _send(news.path, *[b'{"event": "sip_x"}'] * 8)
    turns = 0
    while news.received < 8:
        await asyncio.sleep(0)
        turns += 1
        assert turns < 10_000
    assert news.refused == 0


async def test_a_burst_is_lost_by_nobody(news: News) -> None:
    """More than a datagram socket would let wait, while control has something else to do."""
    watcher, link = news.bus.join(), Link(str(news.path))
    assert all(link.send(b'{"event": "sip_%d"}' % number) for number in range(100))
    names = [event.event for _ in range(100) if (event := await watcher.get()) is not None]
    assert names == [f"sip_{number}" for number in range(100)]


async def test_no_room_is_told(news: News) -> None:
    link = Link(str(news.path))
    line = b'{"event": "sip_x"}' + b" " * 8000
    assert not all(link.send(line) for _ in range(1000))


async def test_a_link_finds_the_next_control_process(tmp_path: Path) -> None:
    path = tmp_path / "events.sock"
    link = Link(str(path))
    assert link.send(b'{"event": "sip_nobody_listens"}')
    for _ in range(2):
        made = News(path)
        made.tick()
        watcher = made.bus.join()
        assert link.send(b'{"event": "sip_x"}')
        assert (event := await watcher.get()) is not None and event.event == "sip_x"
        made.close()


async def test_a_process_that_is_gone_is_forgotten(news: News) -> None:
    watcher = news.bus.join()
    half = subject.MOST_CONNECTIONS // 2
    for _ in range(3):
        for _ in range(half):
            _send(news.path, b'{"event": "sip_x"}')
        for _ in range(half):
            await watcher.get()
    assert news.refused == 0
