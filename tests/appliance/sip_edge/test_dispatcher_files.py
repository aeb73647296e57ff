"""Kamailio's own files of destination sets, unchanged (rows O00, O01, O34, P13); what a row must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import InvalidRequest
from appliance.sip_edge.tables import dispatcher_files as files
from appliance.sip_edge.tables import dispatcher_rows as rows
from appliance.sip_edge.tables.dispatcher_rows import Row

SAMPLES = Path("/usr/share/doc/kamailio/examples/ims")
REFERENCE = """INSERT INTO "dispatcher" VALUES(1,1,'sip:192.168.0.1:5060',0,12,'rweight=50;weight=50;cc=1;','');"""
README = """#
# dispatcher destination sets (groups)
#

# line format
# setid(int) destination(sip uri) flags(int,opt) priority(int,opt) attributes(str,opt)

# proxies
2 sip:127.0.0.1:5080;transport=tcp 0 10 class=4;prefix=448;strip=2
2 sip:127.0.0.1:5082;px=vx 0 5 duid=abc;socket=udp:192.168.0.125:5060;pipe=p10

# gateways
1 sip:127.0.0.1:7070 0 0 duid=xyz;maxload=20
1 sip:127.0.0.1:7072 0 5
1 sip:127.0.0.1:7074
"""
ROWS = [
    Row(2, "sip:127.0.0.1:5080;transport=tcp", 0, 10, "class=4;prefix=448;strip=2"),
    Row(2, "sip:127.0.0.1:5082;px=vx", 0, 5, "duid=abc;socket=udp:192.168.0.125:5060;pipe=p10"),
    Row(1, "sip:127.0.0.1:7070", 0, 0, "duid=xyz;maxload=20"),
    Row(1, "sip:127.0.0.1:7072", 0, 5),
    Row(1, "sip:127.0.0.1:7074"),
]


def test_the_readmes_list() -> None:
    """O00: line format `setid uri flags priority attrs`, comments, what is optional."""
    found = files.read(README)
    assert (files.sound(found), found.warnings) == (ROWS, [])
    assert files.read(files.listing(ROWS)).rows == ROWS


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/dispatcher.list.sample")), ids=lambda path: path.parent.name)
def test_kamailios_samples(path: Path) -> None:
    """O00: those in Debian's package."""
    found = files.read(path.read_text())
    assert files.sound(found)
    assert not found.warnings


def test_the_reference_authors_examples() -> None:
    """P13: altanai/kamailioexamples: prose above the list, an address that is none, attributes "0"; what Kamailio
    leaves out too is left out with a warning."""
    text = "dispatcher.list\n\n...\n" + README.replace("192.168.0.125", "x.x.x.x")
    found = files.read(text)
    assert files.sound(found) == [row for row in ROWS if "duid=abc" not in row.attrs]
    assert len(found.warnings) == 3
    assert "x.x.x.x" in found.warnings[2]
    assert files.sound(files.read("1 sip:34.234.125.109 0 0 0")) == [Row(1, "sip:34.234.125.109", 0, 0, "0")]


def test_flags_in_hexadecimal() -> None:
    """O25."""
    assert files.read("1 sip:192.0.2.1 0x18").rows == [Row(1, "sip:192.0.2.1", 24)]


@pytest.mark.parametrize("text", ["1", "1 sip:192.0.2.1 0 0 a=b more", "1 sip:192.0.2.1 zero"])
def test_a_broken_list(text: str) -> None:
    with pytest.raises(files.NotUnderstood, match="line 1"):
        files.read(text)


def test_the_references_insert() -> None:
    """O01, O22: as it is in the reference."""
    found = files.read(REFERENCE)
    assert files.sound(found) == [Row(1, "sip:192.168.0.1:5060", 0, 12, "rweight=50;weight=50;cc=1;")]


def test_sql_with_columns_in_any_order() -> None:
    """O01, O02: a dump of MySQL or PostgreSQL, renamed columns, several rows, quotes, NULL."""
    text = """
    INSERT INTO version (table_name, table_version) VALUES ('dispatcher', '4');
    INSERT INTO `dispatcher` (`destination`,`setid`,`dstpriority`,`description`,`attrs`) VALUES
      ('sip:192.0.2.1:5060',3,7,'it''s (one); two','weight=50'), ('sip:192.0.2.2',3,0,NULL,'');
    """
    assert files.read(text).rows == [
        Row(3, "sip:192.0.2.1:5060", 0, 7, "weight=50", "it's (one); two"), Row(3, "sip:192.0.2.2"),
    ]  # fmt: skip


def test_csv() -> None:
    text = 'setid,destination,priority,attrs\n1,sip:192.0.2.1,5,"duid=a;weight=50"\n2,sip:192.0.2.2,0,\n'
    assert files.read(text).rows == [Row(1, "sip:192.0.2.1", 0, 5, "duid=a;weight=50"), Row(2, "sip:192.0.2.2")]


def test_db_text() -> None:
    """O00: module db_text, with the first line that Debian ships."""
    head = Path("/usr/share/kamailio/dbtext/kamailio/dispatcher").read_text()
    text = head.strip() + "\n1:4:sip\\:192.0.2.1\\:5060:8:10:duid=a;x=y:the first\n"
    assert files.read(text).rows == [Row(4, "sip:192.0.2.1:5060", 8, 10, "duid=a;x=y", "the first")]


OLD_CONFIGURATION = """
modparam("dispatcher", "db_url", DBURL)
modparam("dispatcher", "db_url", "mysql://kamailio:secret@localhost/kamailio")
modparam("dispatcher", "table_name", "dispatcher")
modparam("dispatcher", "priority_col", "dstpriority")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "dst_avp", "$avp(AVP_DST)")
modparam("dispatcher", "grp_avp", "$avp(AVP_GRP)")
modparam("dispatcher", "cnt_avp", "$avp(AVP_CNT)")
modparam("dispatcher", "sock_avp", "$avp(AVP_SOCK)")
modparam("dispatcher", "xavp_dst", "_dsdst_")
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_latency_estimator_alpha", 900)
modparam("dispatcher", "ds_frobnicate", 3)
route[DISPATCH] { if(!ds_select_dst("1", "4")) { send_reply("404", "No destination"); exit; } }
"""


def test_parameters_of_the_reference() -> None:
    """O34, O02, O26, O29: old names are taken with a warning, new ones need none of the operator's care."""
    found = files.read(OLD_CONFIGURATION)
    assert found.settings == {
        "table_name": "dispatcher", "priority_col": "dstpriority", "flags": 2, "ds_ping_interval": 1,
        "ds_latency_estimator_alpha": 900,
    }  # fmt: skip
    assert found.algorithms == {1: 4}
    told = " ".join(found.warnings)
    assert all(f"{name}: a parameter of Kamailio before 5.0" in told for name in ("dst_avp", "grp_avp", "cnt_avp"))
    assert "sock_avp" in told
    assert "xavp_dst: not needed here" in told
    assert "ds_frobnicate: there is no such setting here" in told
    assert "secret" not in told


def test_settings_as_they_are_printed(tmp_path: Path) -> None:
    """O34: what comes out is settings that the gateway takes."""
    import tomllib

    from appliance.config.schema import Settings

    text = files.settings_text(files.read(OLD_CONFIGURATION))
    settings = Settings.model_validate(
        {"interfaces": [{"name": "default", "address": "127.0.0.1"}], **tomllib.loads(text)}
    )
    assert settings.sip_dispatcher.ds_ping_interval == 1
    assert (settings.destination_sets[0].id, settings.destination_sets[0].algorithm) == (1, 4)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (Row(-1, "sip:192.0.2.1"), "setid"),
        (Row(1, "192.0.2.1"), "destination"),
        (Row(1, "sip:192.0.2.1:70000"), "destination"),
        (Row(1, 'sip:192.0.2.1;"'), "destination"),
        (Row(1, "sip:" + "a" * 190), "destination"),
        (Row(1, "sip:192.0.2.1", 64), "flags"),
        (Row(1, "sip:192.0.2.1", attrs="weight=0"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="rweight=101"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="maxload=-1"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="cc=2"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="socket=udp:gw:5060"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="ping_from=me"), "attrs"),
        (Row(1, "sip:192.0.2.1", attrs="x=" + "y" * 127), "attrs"),
        (Row(1, "sip:192.0.2.1", description="two\nlines"), "description"),
    ],
)
def test_rows_that_kamailio_would_stumble_over(row: Row, field: str) -> None:
    """O01, O18 to O24: the field is named."""
    with pytest.raises(InvalidRequest) as refused:
        rows.check(row)
    assert refused.value.field == field


def test_what_a_set_must_be() -> None:
    """O12, O18: weights within 100, each URI once, a duid for one destination."""
    rows.check_set([Row(1, "sip:a", attrs="weight=50"), Row(1, "sip:b", attrs="weight=50")])
    rows.check_set([Row(1, f"sip:{name}", attrs="rweight=50;weight=50;cc=1") for name in "abc"])
    with pytest.raises(InvalidRequest, match="110"):
        rows.check_set([Row(1, "sip:a", attrs="weight=60"), Row(1, "sip:b", attrs="weight=50")])
    with pytest.raises(InvalidRequest, match="twice"):
        rows.check_set([Row(1, "sip:a"), Row(1, "sip:a")])
    rows.check_ids([Row(1, "sip:a", attrs="duid=x"), Row(2, "sip:a", attrs="duid=x")])
    with pytest.raises(InvalidRequest, match="duid"):
        rows.check_ids([Row(1, "sip:a", attrs="duid=x"), Row(2, "sip:b", attrs="duid=x")])
