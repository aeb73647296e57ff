"""Users over gRPC: hashes in the database, nothing to be seen of them, all or nothing (rows J06, J09)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import select

from appliance.sip_edge.ksr.rules import auth
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.tables.schema import subscriber, subscriber_ha1
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


def _everything(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_change_and_remove(users: Users, edge: Edge) -> None:
    await users.Add(adding())
    await users.SetPassword(pb.SetPasswordRequest(username="alice", domain="example.org", password="another word"))
    row = edge.database.run_here(lambda link: link.execute(select(subscriber)).one())
    assert row.ha1 == auth.ha1("MD5", "alice", "example.org", "another word")
    await users.Remove(pb.RemoveSubscriberRequest(username="alice", domain="example.org"))
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
    assert (await users.Import(pb.ImportSubscribersRequest(text=DUMP.format(ha1=known)))).added == 2
    listed = (await users.List(pb.ListSubscribersRequest())).subscribers
    assert [one.username for one in listed] == ["carol", "dave"]
    assert [list(one.algorithms) for one in listed] == [["MD5"], list(auth.ALGORITHMS)]
    rows = edge.database.run_here(lambda link: link.execute(select(subscriber).order_by(subscriber.c.username)).all())
    assert [row.password for row in rows] == ["", ""] and rows[0].ha1 == known
    assert (await users.Import(pb.ImportSubscribersRequest(text=DUMP.format(ha1=known)))).added == 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await users.Import(pb.ImportSubscribersRequest(text=DUMP.format(ha1="short")))
    assert "line 1" in (refused.value.details() or "")


async def test_a_placeholder_beside_a_hash_is_no_password(users: Users, edge: Edge) -> None:
    """J09: `x` in the password column of a site that keeps hashes must not become the password."""
    known = auth.ha1("MD5", "erin", "example.org", "the real one")
    text = f"INSERT INTO subscriber (username,domain,password,ha1,ha1b) VALUES ('erin','example.org','x','{known}','');"
    await users.Import(pb.ImportSubscribersRequest(text=text))
    row = edge.database.run_here(lambda link: link.execute(select(subscriber)).one())
    assert (row.password, row.ha1) == ("", known)
    assert edge.database.run_here(lambda link: link.execute(select(subscriber_ha1)).all()) == []
