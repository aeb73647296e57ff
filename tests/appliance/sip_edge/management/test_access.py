"""Access tables changed as a whole, live, audited (rows N10, N11, J07)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config.schema import Settings
from appliance.errors import AlreadyExists, EdgeRefused, InvalidRequest, NotFound
from appliance.sip_edge.management.access import ADDRESS, MEMBER, TRUSTED, Access
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.permission_files import PermissionFiles
from appliance.sip_edge.rpc import Rpc
from appliance.sip_edge.tables.access_rows import Address, Member, Trusted
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.appliance.sip_edge.fake_rpc import FakeRpc, Refusal

TEN, NARROW = Address(1, "10.0.0.0", 8), Address(2, "10.1.0.0", 16, tag="narrow")
PEER = Trusted("192.0.2.1", "udp", "^sip:a", tag="carrier", priority=3)


class Kamailio(FakeRpc):
    """Reloads as the module permissions does: not twice within reload_delta of the test's clock."""

    def __init__(self, run: Path) -> None:
        super().__init__(run / "kamailio_rpc.sock", {
            "core.version": lambda: "kamailio 5.6.3", "permissions.addressReload": self._reload,
            "permissions.trustedReload": self._reload,
        })  # fmt: skip
        self.now, self.last, self.broken = 1000.4, 0, False
        self.slept: list[float] = []

    def _reload(self) -> str:
        if self.broken:
            raise Refusal(500, "Reload failed.")
        if self.last > int(self.now) - 1:
            raise Refusal(500, "ongoing reload")
        self.last = int(self.now)
        return "Reload OK"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Rig:
    def __init__(self, place: Path, kamailio: Kamailio, **access: Any) -> None:
        self.settings = Settings(paths={"state": place, "run": place}, sip_access=access)
        self.kamailio = kamailio
        self.edge = Edge(Rpc(kamailio.path), Database(f"sqlite:///{place}/sip/kamailio.sqlite"), Audit(place / "audit"))
        self.access = Access(self.edge, self.settings, lambda: kamailio.now, kamailio.sleep)

    async def rows(self, kind: str = ADDRESS) -> list[Any]:
        return [row for _, row in await self.access.rows(kind)]

    def audit(self) -> list[tuple[str, str]]:
        return [(record.action, record.target) for record in self.edge.audit.records(50)]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    with Kamailio(tmp_path) as kamailio:
        found = Rig(tmp_path, kamailio)  # type: ignore[arg-type]
        found.edge.database.create()
        yield found
        found.edge.database.close()


@pytest.mark.row("N11")
async def test_add_is_live_and_audited(rig: Rig) -> None:
    applied = await rig.access.add("local:me", ADDRESS, [TEN, NARROW])
    assert (applied.live, applied.value.added) == (True, 2)
    assert await rig.rows() == [TEN, NARROW]
    assert rig.kamailio.methods() == ["permissions.addressReload"]
    assert rig.audit() == [("address add", "2 rows")]
    assert applied.value.warnings == (
        "group 2 10.1.0.0/16 lies in group 1 10.0.0.0/8: the lower group number counts",
    )


async def test_twice_the_same_is_refused_and_nothing_is_changed(rig: Rig) -> None:
    await rig.access.add("me", ADDRESS, [TEN])
    with pytest.raises(AlreadyExists, match="row 1"):
        await rig.access.add("me", ADDRESS, [NARROW, Address(1, "10.0.0.0", 8, tag="other")])
    with pytest.raises(InvalidRequest, match="twice"):
        await rig.access.add("me", ADDRESS, [NARROW, NARROW])
    assert await rig.rows() == [TEN]
    assert len(rig.audit()) == 1


@pytest.mark.row("N11")
async def test_changes_wait_for_reload_delta(rig: Rig) -> None:
    """N11: Kamailio refuses a second reload within reload_delta; nobody at the API sees that."""
    await rig.access.add("me", ADDRESS, [TEN])
    assert (await rig.access.add("me", TRUSTED, [PEER])).live
    assert rig.kamailio.slept == [pytest.approx(0.6)]
    assert rig.kamailio.methods() == ["permissions.addressReload", "permissions.trustedReload"]


async def test_somebody_elses_reload_a_moment_before_is_waited_for_too(rig: Rig) -> None:
    rig.kamailio.last = 1000
    assert (await rig.access.add("me", ADDRESS, [TEN])).live
    assert await rig.rows() == [TEN]


@pytest.mark.row("N11")
async def test_what_kamailio_refuses_is_taken_back(rig: Rig) -> None:
    rig.kamailio.broken = True
    with pytest.raises(EdgeRefused, match="Reload failed"):
        await rig.access.add("me", ADDRESS, [TEN])
    assert await rig.rows() == []


async def test_replace_a_group(rig: Rig) -> None:
    await rig.access.add("me", ADDRESS, [TEN, NARROW])
    with pytest.raises(InvalidRequest, match="not of group"):
        await rig.access.replace("me", ADDRESS, [NARROW], 1)
    applied = await rig.access.replace("me", ADDRESS, [Address(1, "11.0.0.0", 8), Address(1, "12.0.0.0", 8)], 1)
    assert (applied.value.added, applied.value.removed) == (2, 1)
    assert await rig.rows() == [NARROW, Address(1, "11.0.0.0", 8), Address(1, "12.0.0.0", 8)]


async def test_remove_rows_and_groups(rig: Rig) -> None:
    await rig.access.add("me", ADDRESS, [TEN, NARROW])
    with pytest.raises(NotFound, match="no row 7"):
        await rig.access.remove("me", ADDRESS, [1, 7])
    assert (await rig.access.remove("me", ADDRESS, [1])).value.removed == 1
    assert (await rig.access.remove("me", ADDRESS, [], group=2)).value.removed == 1
    with pytest.raises(NotFound, match="group 2 is empty"):
        await rig.access.remove("me", ADDRESS, [], group=2)


@pytest.mark.row("J07")
async def test_members_need_no_reload(rig: Rig) -> None:
    applied = await rig.access.add("me", MEMBER, [Member("alice", "a.example", "pstn")])
    assert applied.live
    assert rig.kamailio.methods() == ["core.version"]
    assert await rig.rows(MEMBER) == [Member("alice", "a.example", "pstn")]


DUMP = """INSERT INTO version (table_name, table_version) values ('address','6');
INSERT INTO address VALUES (1,1,'10.0.0.0',8,0,NULL),(2,2,'10.1.0.0',16,0,'narrow');
INSERT INTO trusted (src_ip, proto, from_pattern, tag, priority) VALUES ('192.0.2.1','udp','^sip:a','carrier',3);
INSERT INTO grp (username, domain, grp) VALUES ('alice','a.example','pstn');
"""


@pytest.mark.row("N10", "P13")
async def test_a_dump_of_kamailios_tables(rig: Rig) -> None:
    applied = await rig.access.import_rows("me", "", DUMP, replace=False)
    assert {table: done.value.added for table, done in applied.items()} == {"address": 2, "trusted": 1, "grp": 1}
    assert await rig.rows() == [TEN, NARROW]
    assert await rig.rows(TRUSTED) == [PEER]
    again = await rig.access.import_rows("me", "", DUMP, replace=False)
    assert {done.value.added for done in again.values()} == {0}
    assert "2 row(s) were there already" in again["address"].value.warnings
    smaller = await rig.access.import_rows("me", "", DUMP.replace(",(2,2,'10.1.0.0',16,0,'narrow')", ""), replace=True)
    assert (smaller["address"].value.added, smaller["address"].value.removed) == (1, 2)
    assert await rig.rows() == [TEN]


@pytest.mark.row("N10")
async def test_an_import_with_mistakes_changes_nothing_and_names_the_lines(rig: Rig) -> None:
    text = "grp,ip_addr\n1,10.0.0.0/8\n1,10.0.0.300\n0,10.0.0.1\n"
    with pytest.raises(InvalidRequest, match=r"line 3: .*; line 4: grp 0"):
        await rig.access.import_rows("me", "", text, replace=False)
    assert await rig.rows() == []


@pytest.mark.row("N10")
async def test_ten_thousand_rows_are_one_change(rig: Rig) -> None:
    text = "".join(f"{1 + n % 5} 10.{n // 250}.{n % 250}.0 24 0 t{n}\n" for n in range(10_000))
    applied = await rig.access.import_rows("me", "", text, replace=False)
    assert applied["address"].value.added == 10_000
    assert rig.kamailio.methods() == ["permissions.addressReload"]
    assert len(await rig.rows()) == 10_000
    assert rig.audit() == [("address import", "10000 rows")]


async def test_more_networks_than_kamailio_takes_are_refused_before_it_sees_them(tmp_path: Path) -> None:
    with Kamailio(tmp_path) as kamailio:
        rig = Rig(tmp_path, kamailio, max_subnets=1)  # type: ignore[arg-type]
        rig.edge.database.create()
        await rig.access.add("me", ADDRESS, [TEN, Address(1, "11.0.0.1", 32)])
        with pytest.raises(InvalidRequest, match="max_subnets is 1"):
            await rig.access.add("me", ADDRESS, [NARROW])
        assert kamailio.methods() == ["permissions.addressReload"]
        rig.edge.database.close()


@pytest.mark.row("N10")
async def test_renamed_tables_and_columns(tmp_path: Path) -> None:
    with Kamailio(tmp_path) as kamailio:
        rig = Rig(tmp_path, kamailio, address_table="addr", grp_col="group_id", ip_addr_col="ip",
                  mask_col="subnet_length", trusted_table="pbx", source_col="source_ip", tag_col="peer_tag")  # type: ignore[arg-type] # fmt: skip
        rig.edge.database.create()

        def tables(link: Any) -> None:
            for columns in ("addr (id INTEGER PRIMARY KEY, group_id INT, ip TEXT, subnet_length INT, port INT, "
                            "peer_tag TEXT)",
                            "pbx (id INTEGER PRIMARY KEY, source_ip TEXT, proto TEXT, from_pattern TEXT, "
                            "ruri_pattern TEXT, peer_tag TEXT, priority INT)"):  # fmt: skip
                link.exec_driver_sql(f"CREATE TABLE {columns}")

        rig.edge.database.run_here(tables)
        await rig.access.add("me", ADDRESS, [NARROW])
        await rig.access.add("me", TRUSTED, [PEER])
        assert (await rig.rows(), await rig.rows(TRUSTED)) == ([NARROW], [PEER])
        assert (await rig.access.remove("me", ADDRESS, [], group=2)).value.removed == 1
        rig.edge.database.close()


@pytest.mark.row("N01")
async def test_permission_files(rig: Rig) -> None:
    files = PermissionFiles(rig.edge, rig.settings)
    assert await files.text("routing", "deny") == ""
    with pytest.raises(InvalidRequest, match="line 2: no colon"):
        await files.replace("me", "routing", "deny", 'ALL : "x"\nnonsense\n')
    assert await files.text("routing", "deny") == ""
    applied = await files.replace("me", "routing", "deny", 'ALL : "^sip:900"\n')
    assert not applied.live  # Kamailio reads them at its start
    assert await files.text("routing", "deny") == 'ALL : "^sip:900"\n'
    assert rig.audit() == [("permissions replace", "routing.deny")]
    with pytest.raises(NotFound):
        await files.text("other", "deny")


async def test_reload(rig: Rig) -> None:
    assert await rig.access.reload("me")
    assert rig.kamailio.methods() == ["permissions.addressReload", "permissions.trustedReload"]
