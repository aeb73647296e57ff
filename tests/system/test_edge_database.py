"""Kamailio itself with the tables that we make, in SQLite, PostgreSQL and MariaDB: rows J06, J09, N10-N12, O00, O01.

A Kamailio with its own script language and nothing of ours but the tables: what is changed through `Edge` is what it
works with, at once and after a restart.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select

from appliance.config.database_url import parse
from appliance.errors import DatabaseUnavailable, EdgeRefused
from appliance.sip_edge import kamailio
from appliance.sip_edge.from_settings import module_folder
from appliance.sip_edge.management.edge import Changed, Edge
from appliance.sip_edge.rpc import Rpc, RpcRefused
from appliance.sip_edge.tables import schema
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.system import databases
from tests.system.lab import wait_for
from tests.system.sip_request import ask

pytestmark = pytest.mark.system

PORTS = {"sqlite": 27100, "postgres": 27101, "mysql": 27102}
SERVER = 27110  # of databases, one at a time
REALM = "example.org"
CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
listen=udp:127.0.0.1:{port}
mpath="{modules}"
loadmodule "{db}.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "jsonrpcs.so"
loadmodule "permissions.so"
loadmodule "dispatcher.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{run}/kamailio_rpc.sock")
modparam("jsonrpcs", "dgram_mode", 0660)
modparam("permissions", "db_url", "{url}")
modparam("permissions", "db_mode", 1)
modparam("permissions", "reload_delta", 0)
modparam("dispatcher", "db_url", "{url}")
modparam("auth_db", "db_url", "{url}")
modparam("auth_db", "calculate_ha1", 0)
modparam("auth_db", "password_column", "ha1")
request_route {{
    if (method == "OPTIONS") {{ sl_send_reply("200", "OK"); exit; }}
    if (!allow_address("1", "$si", "$sp")) {{ sl_send_reply("403", "Forbidden"); exit; }}
    if (!auth_check("{realm}", "subscriber", "0")) {{ auth_challenge("{realm}", "0"); exit; }}
    sl_send_reply("200", "OK");
}}
"""


@dataclass
class Server:
    """A Kamailio and the way to change its tables."""

    run: Path
    port: int
    url: str
    edge: Edge
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.launch()
        wait_for(lambda: self.ended() or self.ask("OPTIONS"), 15, self.log)
        assert not self.ended(), self.log()

    def launch(self) -> None:
        words = [kamailio.find("kamailio") or "", "-f", str(self.run / "kamailio.cfg"), "-DD", "-E", "-m", "32"]
        words += ["-P", str(self.run / "kamailio.pid"), "-w", str(self.run), "-Y", str(self.run)]
        with (self.run / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)  # fmt: skip

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:  # Kamailio that is told to end while it begins may hang
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def log(self) -> str:
        return (self.run / "log").read_text(errors="replace")

    def ask(self, method: str, authorization: str = "") -> str:
        return ask(self.port, method, headers=f"Authorization: {authorization}\r\n" if authorization else "")

    def register(self, password: str) -> str:
        """Status line of a REGISTER of alice that answers the challenge (RFC 2617, no qop)."""
        challenge = self.ask("REGISTER")
        found = re.search(r'nonce="([^"]+)"', challenge)
        if not found:
            return challenge.partition("\r\n")[0]
        nonce, uri = found[1], f"sip:{REALM}"
        response = _md5(f"{ha1(password)}:{nonce}:{_md5(f'REGISTER:{uri}')}")
        words = f'Digest username="alice", realm="{REALM}", nonce="{nonce}", uri="{uri}", response="{response}"'
        return self.ask("REGISTER", words).partition("\r\n")[0]


def ha1(password: str) -> str:
    return _md5(f"alice:{REALM}:{password}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture(params=PORTS)
def server(request: pytest.FixtureRequest, tmp_path: Path, sip_programs: None) -> Iterator[Server]:
    kind: str = request.param
    run = tmp_path / "run"
    run.mkdir()
    with ExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path}/tables/kamailio.sqlite"
        else:
            url = stack.enter_context({"postgres": databases.postgres, "mysql": databases.mariadb}[kind](SERVER))
        if not (Path(module_folder()) / f"{parse(url).engine.module}.so").exists():
            pytest.skip(f"not installed: {parse(url).engine.debian}")
        database = stack.enter_context(_closing(Database(url)))
        database.create()
        text = CONFIGURATION.format(port=PORTS[kind], modules=module_folder(), db=parse(url).engine.module, run=run,
                                    url=url, realm=REALM)  # fmt: skip
        (run / "kamailio.cfg").touch(mode=0o600)
        (run / "kamailio.cfg").write_text(text)
        edge = Edge(Rpc(run / "kamailio_rpc.sock"), database, Audit(tmp_path / "audit.jsonl"))
        made = Server(run, PORTS[kind], url, edge)
        try:
            yield made
        finally:
            made.stop()


class _closing:
    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Database:
        return self._database

    def __exit__(self, *error: object) -> None:
        self._database.close()


def _insert(table: Any, **values: Any) -> Any:
    def work(connection: Connection) -> Changed[None]:
        connection.execute(insert(table).values(**values))
        return Changed(None, None, values)

    return work


def _uris(listed: Any) -> list[str]:
    """Destinations of a dispatcher.list."""
    sets = listed.get("RECORDS", []) if isinstance(listed, dict) else []
    return [entry["DEST"]["URI"] for one in sets for entry in one["SET"]["TARGETS"]]


@pytest.mark.row("J09", "N10", "N11", "N12", "O00", "O01")
async def test_live_and_after_a_restart(server: Server) -> None:
    """Destinations, addresses and subscribers: at once by reload, and again when both processes are new."""
    server.start()
    edge = server.edge
    assert server.register("secret").startswith("SIP/2.0 403")
    loopback = {"grp": 1, "ip_addr": "127.0.0.1", "mask": 32}
    reload = [("permissions.addressReload",)]
    assert (await edge.change("test", "acl add", "127.0.0.1", _insert(schema.address, **loopback), reload)).live
    assert server.register("secret").startswith("SIP/2.0 401")
    alice = {"username": "alice", "domain": REALM, "ha1": ha1("secret")}
    assert (await edge.change("test", "users add", "alice", _insert(schema.subscriber, **alice))).live
    assert server.register("secret").startswith("SIP/2.0 200")
    assert server.register("wrong").startswith("SIP/2.0 401")
    row = {"setid": 1, "destination": "sip:127.0.0.1:27199", "attrs": "rweight=50;weight=50;cc=1;"}
    assert (await edge.change("test", "destinations add", "1", _insert(schema.dispatcher, **row),
                              [("dispatcher.reload",)])).live  # fmt: skip
    assert _uris(await edge.rpc.call("dispatcher.list")) == ["sip:127.0.0.1:27199"]

    server.stop()
    assert not (await edge.change("test", "destinations add", "2", _insert(schema.dispatcher, setid=2,
                destination="sip:127.0.0.1:27198"), [("dispatcher.reload",)])).live  # fmt: skip
    edge.database.close()
    server.edge = Edge(edge.rpc, Database(server.url), Audit(edge.audit.path))
    server.start()
    assert server.register("secret").startswith("SIP/2.0 200")
    assert sorted(_uris(await server.edge.rpc.call("dispatcher.list"))) == [
        "sip:127.0.0.1:27198",
        "sip:127.0.0.1:27199",
    ]
    assert [record.action for record in server.edge.audit.records(1)] == ["destinations add"]
    server.edge.database.close()


async def test_what_kamailio_does_not_load_is_taken_back(server: Server) -> None:
    """A destination that is no URI: its reload fails, so the row goes and the old set serves."""
    server.start()
    reload = [("dispatcher.reload",)]
    good, bad = {"setid": 1, "destination": "sip:127.0.0.1:27199"}, {"setid": 1, "destination": "nonsense"}
    await server.edge.change("test", "add", "good", _insert(schema.dispatcher, **good), reload)
    with pytest.raises(EdgeRefused):
        await server.edge.change("test", "add", "bad", _insert(schema.dispatcher, **bad), reload)
    assert _uris(await server.edge.rpc.call("dispatcher.list")) == ["sip:127.0.0.1:27199"]
    server.stop()
    server.start()  # the table holds nothing that would keep it from starting
    assert _uris(await server.edge.rpc.call("dispatcher.list")) == ["sip:127.0.0.1:27199"]


async def test_two_gateways_on_one_database(server: Server) -> None:
    """A cluster: what one writes, the other's Kamailio has when it reloads."""
    server.start()
    other = Edge(Rpc(server.run / "none.sock"), Database(server.url), Audit(server.run / "other.jsonl"))
    row = {"setid": 7, "destination": "sip:127.0.0.1:27197"}
    assert not (
        await other.change("other", "add", "7", _insert(schema.dispatcher, **row), [("dispatcher.reload",)])
    ).live
    with pytest.raises(RpcRefused, match="No Destination Sets"):
        await server.edge.rpc.call("dispatcher.list")
    await server.edge.tell("test", "reload", "destinations", [("dispatcher.reload",)])
    assert _uris(await server.edge.rpc.call("dispatcher.list")) == ["sip:127.0.0.1:27197"]
    await other.change("other", "remove", "7", lambda c: Changed(c.execute(delete(schema.dispatcher)).rowcount))
    other.database.close()


@pytest.mark.parametrize("make", [databases.postgres, databases.mariadb])
def test_gateways_that_start_together_make_the_tables_once(make: Callable[[int], AbstractContextManager[str]]) -> None:
    with make(SERVER) as url:
        each = [Database(url) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda database: database.create(["topos"]), each))
        found = each[0].run_here(lambda link: list(link.scalars(select(schema.version.c.table_name))))
        for database in each:
            database.close()
    assert sorted(found) == sorted([*schema.VERSIONS, "topos_d", "topos_t"])


@pytest.mark.parametrize("make", [databases.postgres, databases.mariadb])
async def test_a_server_that_goes_away_is_seen(
    make: Callable[[int], AbstractContextManager[str]], tmp_path: Path
) -> None:
    """The status says so, changes are refused as "try again", and nothing is recorded."""
    with make(SERVER) as url:
        edge = Edge(Rpc(tmp_path / "none.sock"), Database(url), Audit(tmp_path / "audit.jsonl"))
        await edge.start()
        assert edge.database_why == ""
    await edge._sample()
    assert f"127.0.0.1:{SERVER}" in edge.database_why and str(parse(url).password) not in edge.database_why
    with pytest.raises(DatabaseUnavailable):
        await edge.change("test", "add", "x", _insert(schema.address, ip_addr="192.0.2.1"))
    assert edge.audit.records(1) == []
    await edge.stop()


@pytest.mark.parametrize("server", ["postgres", "mysql"], indirect=True)
def test_no_password_where_others_can_see_it(server: Server) -> None:
    """Neither argv nor logs hold the URL's; the configuration that does is Kamailio's alone."""
    server.start()
    found = parse(server.url)
    assert server.process is not None
    argv = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
    word = str(found.password)
    assert len(word) > 8 and word not in argv and word not in server.log()
    assert (server.run / "kamailio.cfg").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("server", ["postgres", "mysql"], indirect=True)
def test_no_password_in_the_log_of_a_kamailio_that_is_refused(server: Server) -> None:
    """Its database does not let it in: it does not start, and names everything but the password."""
    word = str(parse(server.url).password)
    configuration = server.run / "kamailio.cfg"
    wrong = "hunter2hunter2"
    configuration.write_text(configuration.read_text().replace(word, wrong))
    server.launch()
    wait_for(server.ended, 20, server.log)
    assert "connect" in server.log().lower()
    assert wrong not in server.log() and word not in server.log()
