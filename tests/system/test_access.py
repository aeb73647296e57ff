"""Access rules with real Kamailio and real sockets, rule by rule (rows N01-N14, J07, J08, P10, P11, P13).

Each question of the table is sent, and put to `srtpgw acl test`'s decider as well: both must say the same.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.sip_edge.management import acl_knowledge, acl_trial
from appliance.sip_edge.management.access import ADDRESS, MEMBER, TRUSTED
from appliance.sip_edge.management.acl_trial import Question
from appliance.sip_edge.management.permission_files import PermissionFiles
from appliance.sip_edge.tables.access_rows import Address, Member, Trusted
from tests.system import access_rig, certificates, databases, digest_client
from tests.system.access_rig import CARRIER, EDGE, NEXT_HOP, Answer, Rig

OTHER, DATABASE = 28620, 28640  # ports: a second edge beside the first one, a database server


def trunks(port: int = EDGE) -> list[dict[str, Any]]:
    next_hop = f"sip:127.0.0.1:{port + NEXT_HOP}"
    return [
        {"name": "phones", "match": ["127.0.1.0/24"], "destination": next_hop, "authenticate": "digest"},
        {"name": "office", "match": ["127.0.2.0/24", "::1/128"], "destination": next_hop},
        {"name": "carrier", "destination": next_hop, "uri": f"sip:127.0.0.1:{port + CARRIER}"},
    ]


GROUPS = [
    {"number": 1, "name": "known"},
    {"number": 2, "name": "carriers", "trunk": "carrier", "gateway": True},
    {"number": 3, "name": "outcasts", "action": "deny"},
    {"number": 4, "name": "guests", "trusted": False},
    {"number": 6, "name": "busy", "trunk": "office", "gateway": True},
]
ROUTES = [
    {"name": "pstn", "from_trunk": "office", "prefix": "00", "group": "pstn", "strip": 2, "prepend": "+",
     "destination": "trunk:carrier"},
    {"name": "barred", "pattern": "0?190.*", "action": "deny"},
    {"name": "nowhere", "from_trunk": "carrier", "prefix": "77", "destination": "trunk:carrier"},
]  # fmt: skip
SETTINGS: dict[str, Any] = {"trunks": trunks(), "address_groups": GROUPS, "routes": ROUTES}

# As Kamailio's own tools write it.
SQL = """INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (1,'127.0.1.1',32,0,'exact');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (1,'127.0.1.64',26,0,'subnet');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (1,'127.0.1.2',32,5088,'port');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (1,'127.0.1.3',0,0,'mask zero');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (2,'127.0.3.0',24,0,'carrier one');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (3,'127.0.2.66',32,0,NULL);
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (4,'127.0.1.4',32,0,NULL);
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (2,'gw.example.com',32,0,'a name');
INSERT INTO address (grp, ip_addr, mask, port, tag) VALUES (5,'2001:db8::',32,0,'six');
INSERT INTO trusted (src_ip, proto, tag) VALUES ('127.0.1.20','any','any');
INSERT INTO trusted (src_ip, proto, tag) VALUES ('127.0.1.21','tcp','tcp');
INSERT INTO trusted (src_ip, proto, tag) VALUES ('127.0.1.22','none','none');
INSERT INTO trusted (src_ip, proto, from_pattern, tag) VALUES ('127.0.1.23','any','^sip:alice@','from');
INSERT INTO trusted (src_ip, proto, ruri_pattern, tag) VALUES ('127.0.1.24','any','^sip:1','ruri');
INSERT INTO trusted (src_ip, proto, tag, priority) VALUES ('127.0.4.1','any','nobody',1);
INSERT INTO trusted (src_ip, proto, tag, priority) VALUES ('127.0.4.1','any','carrier',9);
INSERT INTO trusted (src_ip, proto, tag) VALUES ('127.0.4.2','any','nobody');
INSERT INTO grp (username, domain, grp) VALUES ('alice','office.example','pstn');
"""
FILES = {
    "permissions.allow": '"^sip:boss@" : "^sip:900"\n',
    "permissions.deny": """# nobody but the boss
ALL : "^sip:900[0-9]*@"   # premium
"^sip:temp@" EXCEPT "^sip:temp@b\\.example" : ALL
""",
    "uri.deny": 'ALL : "^sip:900", "^sip:.*@evil\\.example"\n',
    "register.deny": 'ALL : "^sip:.*@127\\.0\\.9\\.9$"\n',
}
ALICE, BOB, CALLED = "sip:alice@office.example", "sip:bob@office.example", "sip:100@127.0.0.1"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with access_rig.running(SETTINGS, SQL, FILES) as found:
        yield found


def agree(rig: Rig, question: Question, tls: ssl.SSLContext | None = None, header: str = "") -> Answer:
    """Ask both; the edge's answer when the decider says the same."""
    answer = rig.ask(question, tls, header)
    known = asyncio.run(acl_knowledge.gather(rig.access, rig.settings))
    expected = acl_trial.ask(known, question)
    if expected.rule == "digest":
        assert (answer.status, answer.uri) == (407, "")
    elif expected.status:
        assert (answer.status, answer.rule) == (expected.status, expected.rule), expected
        assert not answer.uri
    else:
        assert answer.uri, (answer, expected, rig.log()[-3000:])
        assert answer.uri.partition(":")[2].partition("@")[0] == expected.uri_user
        assert expected.destination.endswith(str(answer.port))
    return answer


PASSES, ASKED = "", "digest"


@pytest.mark.parametrize(
    ("source", "port", "transport", "from_uri", "uri", "rule"),
    [
        pytest.param("127.0.1.1", 5060, "udp", BOB, CALLED, PASSES, id="N02-exact"),
        pytest.param("127.0.1.1", 5999, "tcp", BOB, CALLED, PASSES, id="N08-port-0-is-any"),
        pytest.param("127.0.1.70", 5060, "udp", BOB, CALLED, PASSES, id="N08-subnet"),
        pytest.param("127.0.1.130", 5060, "udp", BOB, CALLED, ASKED, id="N08-outside-the-subnet"),
        pytest.param("127.0.1.2", 5088, "udp", BOB, CALLED, PASSES, id="N08-port"),
        pytest.param("127.0.1.2", 5089, "udp", BOB, CALLED, ASKED, id="N08-other-port"),
        pytest.param("127.0.1.3", 5060, "udp", BOB, CALLED, PASSES, id="N08-mask-0-is-one-address"),
        pytest.param("127.0.1.4", 5060, "udp", BOB, CALLED, ASKED, id="N02-group-that-is-not-trusted"),
        pytest.param("127.0.3.9", 5060, "udp", BOB, CALLED, PASSES, id="N03-trunk-of-a-group"),
        pytest.param("127.0.2.66", 5060, "udp", BOB, CALLED, "address_denied", id="N08-denied-group"),
        pytest.param("127.0.5.1", 5060, "udp", BOB, CALLED, "no_trunk", id="J08-nobody"),
        pytest.param("127.0.1.20", 5060, "udp", BOB, CALLED, PASSES, id="N09-any"),
        pytest.param("127.0.1.21", 5060, "tcp", BOB, CALLED, PASSES, id="N09-tcp"),
        pytest.param("127.0.1.21", 5060, "udp", BOB, CALLED, ASKED, id="N09-not-udp"),
        pytest.param("127.0.1.22", 5060, "udp", BOB, CALLED, ASKED, id="N09-none-never"),
        pytest.param("127.0.1.23", 5060, "udp", ALICE, CALLED, PASSES, id="N09-from-pattern"),
        pytest.param("127.0.1.23", 5060, "udp", BOB, CALLED, ASKED, id="N09-other-from"),
        pytest.param("127.0.1.24", 5060, "udp", BOB, CALLED, PASSES, id="N09-ruri-pattern"),
        pytest.param("127.0.1.24", 5060, "udp", BOB, "sip:200@127.0.0.1", ASKED, id="N09-other-ruri"),
        pytest.param("127.0.4.1", 5060, "udp", BOB, CALLED, PASSES, id="N10-priority-and-tag-name-the-trunk"),
        pytest.param("127.0.4.2", 5060, "udp", BOB, CALLED, "no_trunk_for_peer", id="N10-tag-names-nobody"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:900123@127.0.0.1", "permissions_routing", id="N04-deny"),
        pytest.param("127.0.2.1", 5060, "udp", "sip:boss@a.example", "sip:900123@127.0.0.1", PASSES, id="N04-allow"),
        pytest.param("127.0.2.1", 5060, "udp", "sip:temp@a.example", CALLED, "permissions_routing", id="N01-who"),
        pytest.param("127.0.2.1", 5060, "udp", "sip:temp@b.example", CALLED, PASSES, id="N01-EXCEPT"),
        pytest.param("127.0.2.1", 5060, "udp", "SIP:BOSS@office.example", "sip:900@127.0.0.1", PASSES, id="N01-case"),
        pytest.param("127.0.2.1", 5060, "udp", ALICE, "sip:0049@127.0.0.1", PASSES, id="J07-member"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:0049@127.0.0.1", "not_in_group", id="J07-no-member"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:0190@127.0.0.1", "route_denied", id="P11-denied-route"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:%30190@127.0.0.1", "route_denied", id="P11-escaped"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:0-190;a=b@127.0.0.1", "route_denied", id="P11-separators"),
        pytest.param("127.0.2.1", 5060, "udp", BOB, "sip:%390%30@127.0.0.1", "permissions_routing", id="N04-escaped"),
        pytest.param("127.0.3.9", 5060, "udp", BOB, "sip:7712@127.0.0.1", PASSES, id="P11-route-to-a-trunk"),
        pytest.param("::1", 5060, "udp", BOB, f"sip:100@[::1]:{EDGE}", PASSES, id="J08-IPv6"),
    ],
)  # fmt: skip
def test_rule(
    rig: Rig, source: str, port: int, transport: str, from_uri: str, uri: str, rule: str, request: Any
) -> None:
    """N01-N10, J07, J08, P11: what decides, and that nothing reaches the next hop when it is a refusal."""
    answer = agree(rig, Question(source, port, transport, "INVITE", from_uri, uri))
    if rule == PASSES:
        assert (answer.status, answer.rule) == (486, "")
    elif rule != ASKED:
        assert answer.rule == rule


# Who is registered at several places; the registrar itself is not what is tried here.
FORKS = """
import KSR

def register(table):
    return 1

def lookup(table):
    user = KSR.pv.gete("$rU")
    KSR.pv.sets("$ru", "sip:" + user.split("-")[0] + "@127.0.0.1:{port}")
    for other in user.split("-")[1:]:
        KSR.corex.append_branch_uri("sip:" + other + "@127.0.0.1:{port}")
    return True
"""


@pytest.mark.row("N04")
def test_one_denied_branch_denies_all() -> None:
    """N04: From and the Request-URI of every branch, after the look-up."""
    settings = {"trunks": [{**trunks(OTHER)[1], "destination": "registrar"}]}
    script = {"registrar": FORKS.format(port=OTHER + NEXT_HOP)}
    with access_rig.running(settings, "", FILES, OTHER, script) as rig:
        for user, status in (("100-200", 486), ("100-900", 403), ("100-200-900-300", 403), ("900-100", 403)):
            answer = rig.ask(Question("127.0.2.1", 5060, "udp", "INVITE", BOB, f"sip:{user}@127.0.0.1"))
            assert (answer.status, answer.rule) == (status, "permissions_routing" if status == 403 else ""), user
            assert bool(answer.uri) is (status == 486)
        boss = Question("127.0.2.1", 5060, "udp", "INVITE", "sip:boss@a.example", "sip:100-900@127.0.0.1")
        assert rig.ask(boss).status == 486


@pytest.mark.row("N07")
@pytest.mark.parametrize(
    ("refer_to", "rule"),
    [("sip:200@office.example", ""), ("sip:900123@office.example", "permissions_uri"),
     ("sip:x@evil.example", "permissions_uri")],
)  # fmt: skip
def test_refer(rig: Rig, refer_to: str, rule: str) -> None:
    question = Question("127.0.2.1", 5060, "udp", "REFER", BOB, CALLED, refer_to)
    answer = agree(rig, question)
    assert answer.rule == rule
    assert answer.status == (403 if rule else 486)


@pytest.mark.row("N10")
def test_tag_and_group_are_told(rig: Rig) -> None:
    """The tag of a row goes with the call: in its event, and in its dialog's variables."""
    answer = rig.ask(Question("127.0.3.9", 5060, "udp", "INVITE", BOB, CALLED))
    (told,) = [event for event in answer.events if event["event"] == "sip_identified"]
    assert (told["trunk"], told["group"], told["tag"], told["by"]) == ("carrier", "carriers", "carrier one", "address")


@pytest.mark.row("N11", "M07", "P10")
def test_changes_are_live_and_atomic_under_traffic(rig: Rig) -> None:
    """N11: while a group is replaced over and over, an address that is in the old and in the new set always passes.
    M07, P10: the group is a gateway, so nobody takes its many calls for a flood."""
    stays, seen, stop = Address(6, "127.0.8.8", 32), [], threading.Event()

    def call() -> None:
        while not stop.is_set():
            answer = rig.ask(Question("127.0.8.8", 5071, "udp", "INVITE", BOB, CALLED))
            seen.append((answer.status, bool(answer.uri)))

    async def replace() -> None:
        first = await rig.access.add("test", ADDRESS, [stays])
        assert first.live
        thread = threading.Thread(target=call)
        thread.start()
        try:
            for n in range(3):
                rows = [stays, *(Address(6, f"10.{n}.{m}.0", 24) for m in range(200))]
                applied = await rig.access.replace("test", ADDRESS, rows, 6)
                assert applied.live
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)

    asyncio.run(replace())
    assert len(seen) > 100  # pike bans at 32 in two seconds at the latest
    assert set(seen) == {(486, True)}


@pytest.mark.row("N10", "N11")
def test_ten_thousand_rows_live(rig: Rig) -> None:
    """Imported in one change, served by Kamailio at once; the last of them decides as the first does."""
    text = "".join(f"1 11.{n // 250}.{n % 250}.0 24 0 many\n" for n in range(9_999)) + "1 127.0.1.201 32 0 last\n"
    done = asyncio.run(rig.access.import_rows("test", ADDRESS, text, replace=False))
    assert (done[ADDRESS].live, done[ADDRESS].value.added) == (True, 10_000)
    assert agree(rig, Question("127.0.1.201", 5060, "udp", "INVITE", BOB, CALLED)).status == 486
    assert agree(rig, Question("127.0.1.202", 5060, "udp", "INVITE", BOB, CALLED)).status == 407


@pytest.mark.row("J07", "N09")
def test_members_and_peers_are_live(rig: Rig) -> None:
    asked = Question("127.0.2.1", 5060, "udp", "INVITE", "sip:carol@office.example", "sip:0049@127.0.0.1")
    assert agree(rig, asked).rule == "not_in_group"
    asyncio.run(rig.access.add("test", MEMBER, [Member("carol", "office.example", "pstn")]))
    assert agree(rig, asked).uri.startswith("sip:+49@")
    peer = Question("127.0.1.150", 5060, "udp", "INVITE", BOB, CALLED)
    assert agree(rig, peer).status == 407
    asyncio.run(rig.access.add("test", TRUSTED, [Trusted("127.0.1.150", "udp")]))
    assert agree(rig, peer).status == 486


def test_every_question_was_decided_by_rules_and_not_by_mistakes(rig: Rig) -> None:
    assert "Traceback" not in rig.log()
    assert "exception" not in rig.log().lower()


NESTED = """INSERT INTO address (grp, ip_addr, mask, tag) VALUES (2,'127.0.6.0',24,'narrow');
INSERT INTO address (grp, ip_addr, mask, tag) VALUES (1,'127.0.0.0',8,'wide');
"""


def nested(mode: str, url: str = "") -> dict[str, Any]:
    groups = [{"number": 1, "name": "wide", "trunk": "carrier"}, {"number": 2, "name": "narrow", "trunk": "office"}]
    return {"trunks": trunks(OTHER), "address_groups": groups, "sip_access": {"subnet_match_mode": mode},
            "sip_database": {"url": url}}  # fmt: skip


def group_of(rig: Rig, source: str) -> tuple[str, str]:
    answer = agree(rig, Question(source, 5060, "udp", "INVITE", BOB, CALLED))
    (told,) = [event for event in answer.events if event["event"] == "sip_identified"]
    return told["group"], told["tag"]


SUBSCRIBER = """INSERT INTO subscriber (username, domain, ha1, ha1b) VALUES ('{user}','office.example','{ha1}','');
"""


@pytest.mark.row("J06", "J07", "N02")
def test_a_password_lets_in_and_its_user_is_who_the_groups_know() -> None:
    """N02: who is not known by its address is challenged, and passes with its password. J07: the user of that password
    may call sip:00..., when it is in the group; another one gets 403."""
    phones = {**trunks(OTHER)[0], "name": "office"}  # ROUTES ask calls of `office` for the group
    settings = {**SETTINGS, "trunks": [phones, trunks(OTHER)[2]], "sip_auth": {"algorithms": ["MD5"]}}
    users = ("alice", "bob")
    hashes = {user: digest_client.hashed("MD5", user, "office.example", "word") for user in users}
    sql = SQL + "".join(SUBSCRIBER.format(user=user, ha1=hashes[user]) for user in users)
    with access_rig.running(settings, sql, port=OTHER) as rig:
        for user, uri, rule in (("alice", "sip:0049@127.0.0.1", ""), ("bob", "sip:0049@127.0.0.1", "not_in_group"),
                                ("bob", CALLED, "")):  # fmt: skip
            asked = Question("127.0.1.7", 5060, "udp", "INVITE", f"sip:{user}@office.example", uri)
            (challenge,) = digest_client.challenges(agree(rig, asked).reply)
            proof = digest_client.answer(challenge, user, "word", "INVITE", uri)
            answer = agree(rig, replace(asked, user=user), header=proof)
            assert (answer.rule, answer.status) == (rule, 403 if rule else 486)


@pytest.mark.row("J05", "J08")
def test_names_in_certificates(tmp_path: Path) -> None:
    """J05: a trunk by its certificate; another name of the same authority is 403, and so is its address without TLS."""
    authority = certificates.Authority(tmp_path / "ca")
    server, right, wrong = (authority.issue(name) for name in ("127.0.0.1", "192.0.2.10", "192.0.2.11"))
    sip = {"certificate": server.chain, "key": server.key, "client_ca": authority.own.chain}
    core = {"name": "core", "match": ["127.0.5.0/24"], "destination": f"sip:127.0.0.1:{OTHER + NEXT_HOP}",
            "authenticate": "certificate", "peer_names": ["192.0.2.10"]}  # fmt: skip
    with access_rig.running({"trunks": [core], "sip": sip}, port=OTHER) as rig:
        for shown, name, rule in ((right, "192.0.2.10", ""), (wrong, "192.0.2.11", "certificate_name")):
            context = ssl.create_default_context(cafile=authority.own.chain)
            context.check_hostname = False
            context.load_cert_chain(shown.chain, shown.key)
            question = Question("127.0.5.1", 5080, "tls", "INVITE", BOB, CALLED, certificate=(name,))
            assert agree(rig, question, context).rule == rule
        assert agree(rig, Question("127.0.5.1", 5080, "udp", "INVITE", BOB, CALLED)).rule == "certificate_name"


@pytest.mark.row("N13")
@pytest.mark.parametrize(("mode", "inner"), [("first", "wide"), ("longest", "narrow")])
def test_subnet_match_mode(mode: str, inner: str) -> None:
    """N13: 10.0.0.0/8 group 1, 10.1.0.0/16 group 2: 10.1.1.1 is of group 2 by the longest prefix, of 1 by the first.
    With loopback's numbers, and with the mode of Kamailio 6.1 on 5.6.3."""
    with access_rig.running(nested(mode), NESTED, port=OTHER) as rig:
        assert group_of(rig, "127.0.6.1") == (inner, inner)
        assert group_of(rig, "127.0.7.1") == ("wide", "wide")


@pytest.mark.row("N12", "N13", "J09")
@pytest.mark.parametrize("server", [databases.postgres, databases.mariadb])
def test_tables_in_another_database(server: Callable[[int], AbstractContextManager[str]]) -> None:
    """N12: the same with the tables, and the view of the longest prefix, in PostgreSQL and MariaDB; changed live."""
    with server(DATABASE) as url, access_rig.running(nested("longest", url), NESTED, port=OTHER) as rig:
        assert group_of(rig, "127.0.6.1") == ("narrow", "narrow")
        assert asyncio.run(rig.access.add("test", ADDRESS, [Address(1, "127.0.6.1", 32, tag="one")])).live
        assert group_of(rig, "127.0.6.1") == ("wide", "one")


@pytest.mark.row("N06")
@pytest.mark.parametrize(
    ("contact", "rule"),
    [
        ("<sip:bob@127.0.1.7:5070>", ""),
        ("<sip:bob@127.0.3.9>", "register_gateway"),  # in a group that is a gateway
        ("<sip:bob@127.000.3.09:5070>", "register_gateway"),
        ("<sip:bob@gw.example.com>", "register_gateway"),  # by name, as it is written
        ("<sip:bob@127.0.2.5>", "register_gateway"),  # in a trunk's network
        ('"Bob <sip:b@127.0.1.7>" <sip:bob@127.0.3.9>', "register_gateway"),
        ("<sip:bob@127.0.1.7>, <sip:bob@127.0.3.9>", "register_gateway"),
        ("<sip:bob@127.0.9.9:5070;transport=tcp>", "permissions_register"),  # register.deny
    ],
)
def test_register(rig: Rig, contact: str, rule: str) -> None:
    """N06: 403 before the registrar sees it."""
    question = Question("127.0.1.1", 5060, "udp", "REGISTER", BOB, BOB, contact=contact)
    answer = rig.ask(question)
    known = asyncio.run(acl_knowledge.gather(rig.access, rig.settings))
    assert acl_trial.ask(known, question).rule == rule
    if rule:
        assert (answer.status, answer.rule) == (403, rule)
    else:
        assert answer.rule not in ("register_gateway", "permissions_register", "bad_contact")


@pytest.mark.row("N06")
def test_register_include_port() -> None:
    """N06: the variant that compares the port, which 5.6.3 does not have itself."""
    files = {"register.deny": 'ALL : "^sip:.*@127\\.0\\.9\\.9:5090$"\n'}
    settings = {"trunks": trunks(OTHER), "sip_access": {"register_include_port": True}}
    with access_rig.running(settings, "", files, port=OTHER) as rig:
        for contact, refused in (("<sip:bob@127.0.9.9:5090>", True), ("<sip:bob@127.0.9.9:5091>", False)):
            answer = rig.ask(Question("127.0.1.1", 5060, "udp", "REGISTER", BOB, BOB, contact=contact))
            assert (answer.rule == "permissions_register") is refused


@pytest.mark.row("N10", "N01")
def test_changes_survive_a_restart_and_files_count_from_it_on() -> None:
    with access_rig.running({**SETTINGS, "trunks": trunks(OTHER)}, port=OTHER) as rig:
        asked = Question("127.0.3.9", 5060, "udp", "INVITE", BOB, CALLED)
        assert agree(rig, asked).rule == "no_trunk"
        asyncio.run(rig.access.add("test", ADDRESS, [Address(2, "127.0.3.0", 24)]))
        assert agree(rig, asked).status == 486
        files = PermissionFiles(rig.edge, rig.settings)
        assert not asyncio.run(files.replace("test", "routing", "deny", 'ALL : "^sip:100@"\n')).live
        assert rig.ask(asked).status == 486
        rig.restart()
        assert agree(rig, asked).rule == "permissions_routing"


@pytest.mark.row("N14", "N10", "N11")
def test_without_ip_auth_and_with_other_names() -> None:
    """N14: whoever it is gives a password. N10, N12: tables and columns of other names. N11: db_mode 0 asks the
    database each time, so that a row counts without a reload."""
    sql = """CREATE TABLE addr (id INTEGER PRIMARY KEY, group_id INTEGER, ip VARCHAR(50), subnet INTEGER, prt INTEGER,
    peer VARCHAR(64));
CREATE TABLE pbx (id INTEGER PRIMARY KEY, source_ip VARCHAR(50), transport VARCHAR(4), f VARCHAR(64), r VARCHAR(64),
    peer VARCHAR(64), prio INTEGER);
INSERT INTO version (table_name, table_version) VALUES ('addr', 6);
INSERT INTO version (table_name, table_version) VALUES ('pbx', 6);
INSERT INTO addr (group_id, ip, subnet, prt, peer) VALUES (2,'127.0.3.0',24,0,'renamed');
"""
    names = {
        "address_table": "addr", "grp_col": "group_id", "ip_addr_col": "ip", "mask_col": "subnet", "port_col": "prt",
        "trusted_table": "pbx", "source_col": "source_ip", "proto_col": "transport", "from_col": "f", "ruri_col": "r",
        "priority_col": "prio", "tag_col": "peer", "db_mode": 0,
    }  # fmt: skip
    settings = {**SETTINGS, "trunks": trunks(OTHER)}
    with access_rig.running({**settings, "sip_access": {**names, "ip_auth": False}}, sql, port=OTHER) as rig:
        for source in ("127.0.2.1", "127.0.3.9", "127.0.1.1"):
            assert agree(rig, Question(source, 5060, "udp", "INVITE", BOB, CALLED)).status == 407
    with access_rig.running({**settings, "sip_access": names}, sql, port=OTHER) as rig:
        assert agree(rig, Question("127.0.3.9", 5060, "udp", "INVITE", BOB, CALLED)).status == 486
        peer = Question("127.0.1.150", 5060, "udp", "INVITE", BOB, CALLED)
        assert agree(rig, peer).status == 407
        asyncio.run(rig.access.add("test", TRUSTED, [Trusted("127.0.1.150", "udp")]))
        assert agree(rig, peer).status == 486
