"""Users over gRPC: hashes in the database, nothing to be seen of them, all or nothing (rows J06, J09)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import insert, select

from appliance.sip_edge.ksr.rules import auth
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.tables.schema import grp, subscriber, subscriber_ha1
from srtpgw.v1 import subscribers_pb2 as pb
from srtpgw.v1 import subscribers_pb2_grpc

Users = Any  # the stub: generated code has no types

WORD = "correct horse"


@pytest.fixture
async def users(channel: grpc.aio.Channel) -> Users:
    return subscribers_pb2_grpc.SubscriberServiceStub(channel)


def adding(name: str = "alice", realm: str = "example.org", word: str = WORD) -> pb.AddSubscriberRequest:
    return pb.AddSubscriberRequest(username=name, domain=realm, password=word)


async def test_a_user_has_every_hash(users: Users, edge: Edge, tmp_path: Path) -> None:
    """J06, J09: HA1 only; the password is neither in the database nor in the audit log."""
    made = await users.Add(adding())
    assert list(made.algorithms) == list(auth.ALGORITHMS)
    row = edge.database.run_here(lambda link: link.execute(select(subscriber)).one())
    assert (row.password, row.ha1) == ("", auth.ha1("MD5", "alice", "example.org", WORD))
    assert row.ha1b == auth.ha1("MD5", "alice@example.org", "example.org", WORD)
    strong = edge.database.run_here(lambda link: link.execute(select(subscriber_ha1)).all())
    assert {one.algorithm: one.ha1 for one in strong} == {
        name: auth.ha1(name, "alice", "example.org", WORD) for name in ("SHA-256", "SHA-512-256")
    }
    assert WORD.encode() not in _everything(tmp_path)
    assert row.ha1 not in (tmp_path / "audit.jsonl").read_text()


def _pieces(text: str, size: int = 7) -> list[pb.ImportSubscribersRequest]:
    """As a client sends a file; a piece ends anywhere."""
    content = text.encode()
    return [pb.ImportSubscribersRequest(content=content[at : at + size]) for at in range(0, len(content), size)]


def _everything(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_change_and_remove(users: Users, edge: Edge) -> None:
    await users.Add(adding())
    await users.SetPassword(pb.SetPasswordRequest(username="alice", domain="example.org", password="another word"))
    row = edge.database.run_here(lambda link: link.execute(select(subscriber)).one())
    assert row.ha1 == auth.ha1("MD5", "alice", "example.org", "another word")
    edge.database.run_here(lambda link: link.execute(insert(grp), [
        {"username": name, "domain": "example.org", "grp": "pstn"} for name in ("alice", "bob")
    ]))  # fmt: skip
    await users.Remove(pb.RemoveSubscriberRequest(username="alice", domain="example.org"))
    left = edge.database.run_here(lambda link: link.execute(select(grp)).all())
    assert [row.username for row in left] == ["bob"]  # J07: whoever gets the name again is in no group
    assert edge.database.run_here(lambda link: link.execute(select(subscriber_ha1)).all()) == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await users.Remove(pb.RemoveSubscriberRequest(username="alice", domain="example.org"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (adding(name="a'; DROP TABLE subscriber"), grpc.StatusCode.INVALID_ARGUMENT),
        (adding(realm=""), grpc.StatusCode.INVALID_ARGUMENT),
        (adding(word="short"), grpc.StatusCode.INVALID_ARGUMENT),
        (adding(name="bob"), grpc.StatusCode.ALREADY_EXISTS),
    ],
)
async def test_refusals(users: Users, request_: pb.AddSubscriberRequest, code: grpc.StatusCode) -> None:
    await users.Add(adding(name="bob"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await users.Add(request_)
    assert refused.value.code() is code
    assert WORD not in (refused.value.details() or "")


async def test_pages(users: Users) -> None:
    for number in range(7):
        await users.Add(adding(name=f"user{number}"))
    found, token = [], ""
    while True:
        page = await users.List(pb.ListSubscribersRequest(page_size=3, page_token=token))
        found += [one.username for one in page.subscribers]
        if not (token := page.next_page_token):
            break
    assert found == [f"user{number}" for number in range(7)]


DUMP = (
    "INSERT INTO `subscriber` (`id`,`username`,`domain`,`password`,`ha1`,`ha1b`) VALUES "
    "(1,'carol','example.org','','{ha1}','{ha1}'),(2,'dave','example.org','plain word','','');\n"
)


async def test_import_of_kamailios_table(users: Users, edge: Edge) -> None:
    """J09, P13: hashes as they are; a plain password becomes hashes; who is there keeps what he has."""
    known = auth.ha1("MD5", "carol", "example.org", "x")
    assert (await users.Import(_pieces(DUMP.format(ha1=known)))).added == 2
    listed = (await users.List(pb.ListSubscribersRequest())).subscribers
    assert [one.username for one in listed] == ["carol", "dave"]
    assert [list(one.algorithms) for one in listed] == [["MD5"], list(auth.ALGORITHMS)]
    rows = edge.database.run_here(lambda link: link.execute(select(subscriber).order_by(subscriber.c.username)).all())
    assert [row.password for row in rows] == ["", ""] and rows[0].ha1 == known
    assert (await users.Import(_pieces(DUMP.format(ha1=known)))).added == 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await users.Import(_pieces(DUMP.format(ha1="short")))
    assert "line 1" in (refused.value.details() or "")


async def test_a_placeholder_beside_a_hash_is_no_password(users: Users, edge: Edge) -> None:
    """J09: `x` in the password column of a site that keeps hashes must not become the password."""
    known = auth.ha1("MD5", "erin", "example.org", "the real one")
    text = f"INSERT INTO subscriber (username,domain,password,ha1,ha1b) VALUES ('erin','example.org','x','{known}','');"
    await users.Import(_pieces(text))
    row = edge.database.run_here(lambda link: link.execute(select(subscriber)).one())
    assert (row.password, row.ha1) == ("", known)
    assert edge.database.run_here(lambda link: link.execute(select(subscriber_ha1)).all()) == []


HA1 = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["erin,example.org,,{ha1},", "erin,example.org,,{ha1},"], "line 3: erin@example.org stands in line 2 too"),
        (["erin,example.org,,{ha1}0,"], "line 2: ha1 is no MD5 hash"),
        (["erin,example.org,,0123456789abcdefghijklmnopqrstuv,"], "line 2: ha1 is no MD5 hash"),
        (["erin,example.org,,{ha1},abc"], "line 2: ha1b is no MD5 hash"),
        (["erin,,word,,"], "line 2: no user with a realm"),
        (["erin,example.org,,,"], "line 2: neither a password nor HA1"),
    ],
)
async def test_a_mistake_in_a_file_has_its_line(users: Users, rows: list[str], said: str) -> None:
    """J09: and nothing of the file is taken."""
    text = "\n".join(("username,domain,password,ha1,ha1b", *rows)).format(ha1=HA1) + "\n"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await users.Import(_pieces(text))
    assert said in (refused.value.details() or "")
    assert list((await users.List(pb.ListSubscribersRequest())).subscribers) == []


async def test_a_long_file_comes_in_pieces(users: Users) -> None:
    """More than one message may hold; names with letters of several octets."""
    lines = [f"jürgen{number},example.org,,{HA1.upper()}," for number in range(3000)]
    text = "\n".join(("username,domain,password,ha1,ha1b", *lines)) + "\n"
    assert len(text) > 150_000
    assert (await users.Import(_pieces(text, 65_537))).added == 3000
