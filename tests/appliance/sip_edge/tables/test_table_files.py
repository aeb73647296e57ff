"""Kamailio's own files of rows: SQL dumps of three databases, CSV, db_text (row N10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.tables.table_files import Unreadable, form, read

MYSQL = r"""-- MySQL dump 10.13
DROP TABLE IF EXISTS `address`;
CREATE TABLE `address` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT, `grp` int(11) unsigned NOT NULL DEFAULT 1
);
LOCK TABLES `address` WRITE;
INSERT INTO `address` VALUES (1,1,'10.0.0.0',8,0,'it\'s; (a) tag'),(2,2,'10.1.0.0',16,5060,NULL);
INSERT IGNORE INTO `kamailio`.`trusted` (`src_ip`, `proto`, `from_pattern`, `tag`) VALUES
  ('192.0.2.1','any','^sip:.*@a\\.example$','carrier'), -- a comment
  ('192.0.2.2','udp',NULL,'')
;
"""
POSTGRES = """SET statement_timeout = 0;
COPY public.address (id, grp, ip_addr, mask, port, tag) FROM stdin;
1\t1\t10.0.0.0\t8\t0\t\\N
2\t2\t10.1.0.1\t32\t5060\ta\\ttab
\\.

SELECT pg_catalog.setval('address_id_seq', 2, true);
"""
SQLITE = """INSERT INTO version (table_name, table_version) values ('address','6');
INSERT INTO address VALUES(1,1,'10.0.0.0',8,0,'it''s');
"""


@pytest.mark.row("N10")
def test_mysql() -> None:
    rows = read(MYSQL)
    assert [(row.table, row.line) for row in rows] == [("address", 7), ("address", 7), ("trusted", 9), ("trusted", 10)]
    assert rows[0].values == {"id": "1", "grp": "1", "ip_addr": "10.0.0.0", "mask": "8", "port": "0",
                              "tag": "it's; (a) tag"}  # fmt: skip
    assert rows[1].values["tag"] is None
    assert rows[2].values["from_pattern"] == r"^sip:.*@a\.example$"


@pytest.mark.row("N10")
def test_postgres_copy() -> None:
    rows = read(POSTGRES)
    assert [row.values["tag"] for row in rows] == [None, "a\ttab"]
    assert [row.line for row in rows] == [3, 4]


@pytest.mark.row("N10")
def test_sqlite() -> None:
    rows = read(SQLITE)
    assert [(row.table, row.values.get("tag")) for row in rows] == [("version", None), ("address", "it's")]


@pytest.mark.row("N10")
def test_db_text() -> None:
    head = "id(int,auto) src_ip(string) proto(string) from_pattern(string,null) tag(string,null) "
    text = f"{head}\n1:192.0.2.1:any:^sip\\:a:\n"
    (row,) = read(text, "trusted")
    assert row.values == {"id": "1", "src_ip": "192.0.2.1", "proto": "any", "from_pattern": "^sip:a", "tag": None}


@pytest.mark.row("N10")
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(separator: str) -> None:
    text = separator.join(("grp", "ip_addr", "tag")) + "\n" + separator.join(("1", "10.0.0.0/8", '"a, b"')) + "\n"
    (row,) = read(text, "address")
    assert row.values == {"grp": "1", "ip_addr": "10.0.0.0/8", "tag": "a, b"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("INSERT INTO address VALUES (1,2);", 1),
        ("\n\nINSERT INTO address (grp) VALUES (1", 3),
        ("\nINSERT INTO unheard VALUES (1);", 2),
        ("grp,ip_addr\n1\n", 2),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Unreadable) as found:
        read(text, "address")
    assert found.value.line == line


def test_address_files_have_no_form_of_their_own() -> None:
    assert form("1 127.0.0.1 32 0 tag1\n1 10.0.0.10\n") == ""


HEADS = ("", "INSERT INTO address VALUES ", "COPY address (id) FROM stdin;\n", "a,b\n", "id(int)\n")


@given(st.text(max_size=200), st.sampled_from(HEADS))
def test_no_text_raises_anything_else(text: str, head: str) -> None:
    try:
        read(head + text, "address")
    except Unreadable as error:
        assert error.line >= 1


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=40))
def test_what_sql_quotes_comes_back(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    (row,) = read(f"INSERT INTO address (tag, grp) VALUES ('{escaped}', 1);")
    assert row.values["tag"] == value
