"""The SIP edge as its settings make it, on loopback, and the control process beside it: what it is told, what it may
ask, and who else may not. Rows I07, K07."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import secrets
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from appliance.config.schema import Settings
from appliance.sip_edge import kamailio
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.from_settings import edge_config
from appliance.sip_edge.management import status
from appliance.sip_edge.management.edge import Changed, Edge
from appliance.sip_edge.management.parts import EdgeParts
from appliance.sip_edge.rpc import Rpc, RpcUnavailable
from appliance.sip_edge.tables import schema
from tests.appliance.sip_edge.kamailio_answers import ANSWERS
from tests.system.lab import wait_for
from tests.system.sip_request import ask

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: accounts are what it is about"),
]

SIP = 27200
# What the control process does, as another account: ask, listen, write. Says which of it worked.
CONTROL = """
import json, os, socket, sqlite3, sys
run, database = sys.argv[1:]
os.umask(0o007)
def ask():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.settimeout(3)
        link.bind("")
        link.connect(run + "/kamailio_rpc.sock")
        link.send(b'{"jsonrpc": "2.0", "method": "core.version", "id": 1}')
        assert "kamailio" in json.loads(link.recv(65536))["result"]
def listen():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(run + "/events/other.sock")
    os.chown(run + "/events/other.sock", -1, os.stat(run + "/events").st_gid)
    os.unlink(run + "/events/other.sock")
def write():
    link = sqlite3.connect(database)
    link.execute("INSERT INTO address (ip_addr) VALUES ('192.0.2.77')")
    link.commit()
def secrets():
    open(run + "/kamailio.cfg").read()
def key():
    open(run + "/nonce.key").read()
def mask():
    open(os.path.dirname(database) + "/mask.key").read()
def script():
    open(run + "/python/appliance/sip_edge/ksr/script.py", "a")
for work in (ask, listen, write, secrets, key, mask, script):
    try:
        work()
        print(work.__name__)
    except (OSError, sqlite3.Error):
        pass
"""


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """In directories that other accounts may pass through, as /run and /var/lib are."""
    with tempfile.TemporaryDirectory(prefix="gwedge") as name:
        place = Path(name)
        place.chmod(0o711)
        for folder in ("run", "state"):
            (place / folder).mkdir(mode=0o711)
        yield Settings(
            paths={"run": place / "run", "state": place / "state"},
            sip={"listen": [f"udp:127.0.0.1:{SIP}"], "workers": 1},
        )


@pytest.fixture(scope="module")
def running(settings: Settings, sip_programs: None) -> Iterator[EdgeConfig]:
    config = edge_config(settings, settings.sip_run)
    kamailio.prepare(config)
    kamailio.check(config)
    log = settings.paths.run / "kamailio.log"
    with log.open("wb") as output:
        process = subprocess.Popen(kamailio.command(config), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True)  # fmt: skip
    try:
        wait_for(lambda: _ask("OPTIONS"), 15, log.read_text)
        yield config
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
async def edge(settings: Settings, running: EdgeConfig) -> AsyncIterator[Edge]:
    made = EdgeParts(settings, CollectorRegistry()).edge
    await made.start()
    yield made
    await made.stop()


def _ask(method: str, call_id: str = "") -> str:
    return ask(SIP, method, call_id)


@pytest.mark.row("K07", "I07")
async def test_a_refusal_is_status_counter_and_event(edge: Edge) -> None:
    """One request of an unknown method: 405, one count more, one event with the rule."""
    before = (await status.read(edge.rpc)).decisions.get("method_not_allowed", 0)
    watcher = edge.news.bus.join()
    call_id = secrets.token_hex(8)
    reply = await asyncio.to_thread(_ask, "FETCH", call_id)
    assert reply.startswith("SIP/2.0 405")
    async with asyncio.timeout(5):
        event = await watcher.get()
    assert event is not None
    assert (event.event, event.rule, event.status, event.call_id, event.method, event.source) == (
        "sip_refused", "method_not_allowed", 405, call_id, "FETCH", "127.0.0.1",
    )  # fmt: skip
    assert (await status.read(edge.rpc)).decisions["method_not_allowed"] == before + 1
    assert edge.news.refused == 0


async def test_status(edge: Edge, settings: Settings) -> None:
    found = await status.read(edge.rpc)
    assert found.up and found.version.startswith("kamailio 5.")
    assert found.pid == int((settings.sip_run / "kamailio.pid").read_text())
    assert set(status.DIALOG_STATES) <= set(found.dialogs) and set(status.REPLY_CLASSES) <= set(found.transactions)
    assert (64 << 20) - 4096 < found.shared_memory["total"] <= 64 << 20  # without what manages it
    assert 0 < found.shared_memory["real_used"] < 64 << 20


async def test_what_the_fake_kamailio_of_the_tests_says_is_what_this_one_says(edge: Edge) -> None:
    """By name and type: core.version, tm.stats and the like."""
    await asyncio.to_thread(_ask, "FETCH")
    asked = {"htable.dump": ("rules",), "stats.fetch": ("core:rcv_requests", "shmem:free_size")}
    for method, answer in ANSWERS.items():
        params = asked.get(method, ())
        assert _shape(answer(*params)) <= _shape(await edge.rpc.call(method, *params)), method


def _shape(value: object) -> set[str]:
    """Paths to the leaves with their types; members of lists are alike."""
    if isinstance(value, dict):
        named = {"name", "value", "type"} <= value.keys()  # an item of a table: its value may be of any type
        return {f"{key}{rest}" for key, one in value.items() if not (named and key == "value") for rest in _shape(one)}
    if isinstance(value, list):
        return {f"[]{rest}" for one in value for rest in _shape(one)}
    return {f":{type(value).__name__}"}


async def test_an_answer_that_is_too_long(edge: Edge) -> None:
    """Kamailio sends none then; it goes on, and so do we."""
    for number in range(1200):
        await edge.rpc.call("htable.seti", "rules", f"rule-{number:05d}-{'x' * 20}", number)
    with pytest.raises(RpcUnavailable, match="64 KiB"):
        await Rpc(edge.rpc.path, timeout_s=0.5).call("htable.dump", "rules")
    await edge.rpc.call("htable.flush", "rules")
    assert await edge.rpc.call("htable.dump", "rules") == []


async def test_change_of_a_table(edge: Edge, settings: Settings) -> None:
    def work(connection):  # type: ignore[no-untyped-def]
        connection.execute(insert(schema.address).values(ip_addr="192.0.2.1"))
        return Changed(None, None, {"ip_addr": "192.0.2.1"})

    assert (await edge.change("test", "acl add", "192.0.2.1", work)).live
    assert edge.audit.records(1)[0].after == {"ip_addr": "192.0.2.1"}
    assert json.loads((settings.paths.state / "audit.jsonl").read_text().splitlines()[-1])["who"] == "test"


def test_files_are_kamailios(running: EdgeConfig, settings: Settings) -> None:
    owner = pwd.getpwnam("kamailio")
    tables = settings.paths.state / "sip"
    assert stat.S_IMODE(running.run.stat().st_mode) == 0o710
    key = tables / "mask.key"  # of whoever renders the configuration: Kamailio gets it there
    for path in (running.run, running.run / "events", tables, *(one for one in tables.iterdir() if one != key)):
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.pw_uid, owner.pw_gid), path
    for path in (running.run / "kamailio.cfg", running.run / "nonce.key", key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((running.run / "kamailio_rpc.sock").stat().st_mode) == 0o660


@pytest.mark.parametrize(("group", "may"), [("kamailio", ["ask", "listen", "write"]), ("nogroup", [])])
def test_the_control_process_needs_kamailios_group(
    running: EdgeConfig, settings: Settings, group: str, may: list[str]
) -> None:
    """As systemd starts it: an account of its own. In Kamailio's group it may ask, listen and change tables, and not
    read secrets or touch the script; out of it, nothing."""
    _give_socket_to_kamailio(running)
    words = ["/usr/bin/python3", "-c", CONTROL, str(running.run), str(settings.paths.state / "sip" / "kamailio.sqlite")]
    done = subprocess.run(words, user="nobody", group=group, extra_groups=[], capture_output=True, text=True,
                          check=True, cwd="/")  # fmt: skip
    assert done.stdout.split() == may


def _give_socket_to_kamailio(running: EdgeConfig) -> None:
    """Under systemd Kamailio is started as its own account, here by root."""
    owner = pwd.getpwnam("kamailio")
    os.chown(running.run / "kamailio_rpc.sock", owner.pw_uid, owner.pw_gid)
