"""BanService: bans and blocks of REGISTER in one list, page by page (rows L07, M13)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from appliance.api.ban_servicer import BanServicer
from appliance.errors import InvalidRequest, NotFound
from appliance.sip_edge.management.ban import Ban
from appliance.sip_edge.management.phones import Block
from srtpgw.v1 import bans_pb2 as pb

BANS = [Ban(ipaddress.ip_network(f"203.0.113.{number}"), 1000.0, None, "manual") for number in range(3)]
BLOCKS = [Block("alice@192.0.2.1", 30, 1000, 1900), Block("bob", 31, 1000, 1900), Block("eve@2001:db8::1", 30, 1, 2)]


class Bans:
    """What the servicer uses of `Bans`."""

    def __init__(self) -> None:
        self.means = ("xdp",)

    def bans(self, around: Any = None) -> list[Ban]:
        return [one for one in BANS if around is None or around in one.network]

    async def dropped(self, networks: list[Any]) -> list[int]:
        return [7] * len(networks)


class Phones:
    """`missing`: there is no registrar."""

    def __init__(self, missing: bool = False) -> None:
        self.missing, self.unblocked = missing, ""

    async def blocks(self) -> list[Block]:
        if self.missing:
            raise NotFound("no registrar")
        return BLOCKS

    async def unblock(self, who: str, key: str) -> Block:
        self.unblocked = key
        return next(one for one in BLOCKS if one.key == key)


@pytest.fixture
def servicer(monkeypatch: pytest.MonkeyPatch) -> BanServicer:
    monkeypatch.setattr(BanServicer, "_state", lambda self: pb.BanState())
    monkeypatch.setattr("appliance.api.ban_servicer.who", lambda context: "test")
    return BanServicer(Bans(), Phones())  # type: ignore[arg-type]


async def _all(servicer: BanServicer, size: int, **words: str) -> list[list[str]]:
    pages, token = [], ""
    while True:
        page = await servicer.List(pb.ListBansRequest(page_size=size, page_token=token, **words), None)
        pages.append([one.target for one in page.bans])
        token = page.next_page_token
        if not token:
            return pages


@pytest.mark.parametrize("size", range(1, 8))
async def test_every_page_size_gives_everything_once(servicer: BanServicer, size: int) -> None:
    pages = await _all(servicer, size)
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    everybody = [str(one.network) for one in BANS] + [one.key for one in BLOCKS]
    assert [target for page in pages for target in page] == everybody


async def test_a_block_says_what_it_is(servicer: BanServicer) -> None:
    page = await servicer.List(pb.ListBansRequest(kind="register_block"), None)
    first = page.bans[0]
    assert (first.target, first.kind, first.rule, first.until.seconds, list(first.enforced), first.reason) == (
        "alice@192.0.2.1", "register_block", "register_blocked", 1900, ["kamailio"], "30 attempts",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({"kind": "ban"}, [str(one.network) for one in BANS]),
        ({"address": "203.0.113.1"}, ["203.0.113.1/32"]),
        ({"address": "192.0.2.1"}, ["alice@192.0.2.1"]),
        ({"address": "2001:db8:0::1"}, ["eve@2001:db8::1"]),
    ],
)
async def test_a_part_of_it(servicer: BanServicer, words: dict[str, str], found: list[str]) -> None:
    assert await _all(servicer, 100, **words) == [found]


async def test_without_a_registrar_there_are_bans(servicer: BanServicer) -> None:
    servicer._phones = Phones(missing=True)  # type: ignore[assignment]
    assert await _all(servicer, 100) == [[str(one.network) for one in BANS]]
    with pytest.raises(InvalidRequest):
        await servicer.List(pb.ListBansRequest(kind="other"), None)


async def test_lifting_a_block(servicer: BanServicer) -> None:
    lifted = await servicer.Unban(pb.UnbanRequest(target="bob", kind="register_block"), None)
    assert (lifted.target, servicer._phones.unblocked) == ("bob", "bob")  # type: ignore[attr-defined]
