"""A SIP edge on loopback with access rules, a next hop behind it that writes down what comes, and callers at any 127.x
address; without a media gateway, because what is called has no SDP."""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.config.schema import Settings
from appliance.sip_edge import from_settings, kamailio
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.management.access import Access
from appliance.sip_edge.management.acl_trial import Question
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.rpc import SOCKET, Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.system import lab as labs

HOST = "127.0.0.1"
EDGE = 28600  # port; a second edge has another one
NEXT_HOP, CARRIER = 1, 2  # above the edge's: where trunks' destinations and uris lead
TLS = 6  # above the edge's: its TLS socket, where there is a certificate
PATIENCE_S = 3.0


@dataclass(frozen=True)
class Answer:
    """What became of a request. `uri`: Request-URI as it arrived at a next hop, empty: it did not."""

    status: int
    rule: str = ""
    uri: str = ""
    port: int = 0  # of the next hop
    events: tuple[Mapping[str, Any], ...] = ()
    reply: str = ""


class NextHop:
    """Answers every request with 486, and writes down its Request-URI by its From tag (the Call-ID is hidden)."""

    def __init__(self, port: int) -> None:
        self.port, self.seen = port, {}  # type: ignore[var-annotated]
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.bind((HOST, port))
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for link in (self._link, self._wake, self._woken):
            link.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._link, self._woken], [], [])
            if self._woken in ready:
                return
            data, source = self._link.recvfrom(65535)
            head = data.decode("utf-8", "replace").partition("\r\n\r\n")[0].split("\r\n")
            method, uri, _ = head[0].split(" ", 2)
            if method == "ACK":
                continue
            tag = next(line.rpartition("tag=")[2] for line in head if line.lower().startswith("from:"))
            self.seen[tag] = uri
            keep = [line for line in head[1:] if line.partition(":")[0].lower() in ("via", "from", "call-id", "cseq")]
            to = next(line for line in head if line.lower().startswith("to:"))
            reply = ["SIP/2.0 486 Busy Here", *keep, f"{to};tag=b", "Content-Length: 0", "", ""]
            self._link.sendto("\r\n".join(reply).encode(), source)


@dataclass
class Rig:
    """A running edge."""

    place: Path
    settings: Settings
    config: EdgeConfig
    hops: tuple[NextHop, ...]
    process: subprocess.Popen[bytes]
    port: int
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        database = Database(self.config.tables)
        self.edge = Edge(Rpc(self.config.run / SOCKET), database, Audit(self.place / "audit.jsonl"))
        self.access = Access(self.edge, self.settings)

    def ask(self, question: Question, tls: ssl.SSLContext | None = None, header: str = "") -> Answer:
        """Send it as a request from its source, wait for the final reply."""
        tag = secrets.token_hex(8)
        call_id = f"{tag}@test"
        reply = exchange(message(question, tag, header), question, self.port, tls)
        status = int(reply.split()[1]) if reply else 0
        events = tuple(event for event in self.events() if event.get("call_id") == call_id)
        rule = next((str(event["reason"]) for event in events if event["event"] == "sip_refused"), "")
        hop = next((hop for hop in self.hops if tag in hop.seen), None)
        return Answer(status, rule, hop.seen[tag] if hop else "", hop.port if hop else 0, events, reply)

    def events(self) -> Iterator[Mapping[str, Any]]:
        for line in self.log().splitlines():
            if '{"event"' in line:
                with contextlib.suppress(ValueError):  # the last line may be half written
                    yield json.loads(line[line.index("{") :])

    def restart(self) -> None:
        """As the supervisor does: everything rendered again."""
        labs.end(self.process)
        self.config = from_settings.edge_config(self.settings, self.place / "sip")
        kamailio.prepare(self.config)
        self.process = _start(self.config, self.place)
        labs.wait_for(lambda: _answers(self.port) or self.process.poll(), 10, self.log)
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        return (self.place / "kamailio.log").read_text(errors="replace")


@contextmanager
def running(
    settings: dict[str, Any], sql: str = "", files: Mapping[str, str] | None = None, port: int = EDGE,
    script: Mapping[str, str] | None = None,
) -> Iterator[Rig]:  # fmt: skip
    """The edge of these settings; `sql` is run once its tables are there, `files` are its permission files,
    `port` is that of all its sockets, `script` takes the place of modules of the routing script."""
    with tempfile.TemporaryDirectory(prefix="srtpgw-access-") as name:
        Path(name).chmod(0o711)  # Kamailio's account goes through
        with _running(Path(name), settings, sql, files or {}, port, script or {}) as rig:
            yield rig


@contextmanager
def _running(
    place: Path, settings: dict[str, Any], sql: str, files: Mapping[str, str], port: int, script: Mapping[str, str]
) -> Iterator[Rig]:
    words = dict(settings)
    tls: dict[str, Any] = words.pop("sip", {})
    listen = [f"udp:{HOST}:{port}", f"tcp:{HOST}:{port}", f"udp:[::1]:{port}"]
    listen += [f"tls:{HOST}:{port + TLS}"] if tls else []
    sip = {"listen": listen, "workers": 2, **tls}
    table = Settings(paths={"run": place, "state": place}, **{"sip": sip, **words})
    (place / "access").mkdir(exist_ok=True)
    for name, text in files.items():
        (place / "access" / name).write_text(text)
    config = from_settings.edge_config(table, place / "sip")
    database = Database(config.tables)
    database.create((), config.user)
    database.run_here(lambda link: [link.exec_driver_sql(line) for line in sql.split(";\n") if line.strip()])
    # `database` stays open, as control's does: SQLite's first and last connection lock others out
    kamailio.prepare(config)
    for name, text in script.items():
        config.script.with_name(f"{name}.py").write_text(text)
    hops = (NextHop(port + NEXT_HOP), NextHop(port + CARRIER))
    rig = Rig(place, table, config, hops, _start(config, place), port)
    try:
        labs.wait_for(lambda: _answers(port) or rig.process.poll(), 10, rig.log)
        assert rig.process.poll() is None, rig.log()
        yield rig
        rig.edge.database.close()
    finally:
        database.close()
        labs.end(rig.process)
        for hop in hops:
            hop.close()


def _start(config: EdgeConfig, place: Path) -> subprocess.Popen[bytes]:
    with (place / "kamailio.log").open("ab") as log:
        return subprocess.Popen(kamailio.command(config), stdout=log, stderr=log, start_new_session=True)


def message(question: Question, tag: str, header: str = "") -> str:
    host = f"[{question.source}]" if ":" in question.source else question.source
    lines = [
        f"{question.method} {question.uri} SIP/2.0",
        f"Via: SIP/2.0/{question.transport.upper()} {host}:{question.port};branch=z9hG4bK{secrets.token_hex(6)};rport",
        "Max-Forwards: 70", f"From: <{question.from_uri}>;tag={tag}", f"To: <{question.uri}>",
        f"Call-ID: {tag}@test", f"CSeq: 1 {question.method}",
        f"Contact: {question.contact or f'<sip:me@{host}:{question.port}>'}",
        *([f"Refer-To: <{question.refer_to}>"] if question.refer_to else []), *([header] if header else []),
    ]  # fmt: skip
    return "\r\n".join((*lines, "Content-Length: 0", "", ""))


def exchange(text: str, question: Question, port: int, tls: ssl.SSLContext | None = None) -> str:
    """The final reply; empty: none came."""
    family = socket.AF_INET6 if ":" in question.source else socket.AF_INET
    stream = question.transport != "udp"
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as plain:
        plain.settimeout(PATIENCE_S)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plain.bind((question.source, question.port))
        plain.connect(("::1" if family == socket.AF_INET6 else HOST, port + TLS if tls else port))
        link = tls.wrap_socket(plain) if tls else plain
        try:
            link.sendall(text.encode())
            return _final(link, text, stream=stream)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            return ""
        finally:
            link.close()


def _final(link: socket.socket, request: str, *, stream: bool) -> str:
    received = ""
    while data := link.recv(65535).decode():
        received = received + data if stream else data
        place = next((received.find(f"SIP/2.0 {kind}") for kind in "23456" if f"SIP/2.0 {kind}" in received), -1)
        if place >= 0:
            link.sendall(_ack(request, received[place:]).encode())
            return received[place:]
    return ""


def _ack(request: str, reply: str) -> str:
    """Of a negative reply to an INVITE (RFC 3261 section 17.1.1.3), so that it is not sent again."""
    if not request.startswith("INVITE"):
        return "\r\n\r\n"
    to = next((line for line in reply.split("\r\n") if line.startswith("To:")), "")
    lines = request.replace("INVITE", "ACK").split("\r\n")
    return "\r\n".join(to if line.startswith("To:") and to else line for line in lines)


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(0.3)
        link.bind((HOST, 0))
        ping = Question(HOST, link.getsockname()[1], method="OPTIONS", from_uri="sip:a@b", uri=f"sip:{HOST}:{port}")
        link.sendto(message(ping, secrets.token_hex(6)).encode(), (HOST, port))
        try:
            return link.recv(4096).startswith(b"SIP/2.0 200")
        except TimeoutError:
            return False
