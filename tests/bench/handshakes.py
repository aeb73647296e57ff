"""Table (f): DTLS-SRTP handshakes of calls, RTP to the caller. The whole path: datagrams, handshake, keys into the
media plane, record of the call."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.bench.calls import FIRST_PORT, FLAGS
from tests.bench.places import Loopback, Place, Veth, no_veth, veth
from tests.bench.plan import Plan
from tests.bench.results import Chart, Table, middle, over
from tests.bench.rounds import representative
from tests.bench.session import FAILURES
from tests.bench.subjects import REFERENCE, RTPENGINE, Subject, port_kinds, subject
from tests.system import lab as labs

COLUMNS = ("gateway", "CPU us a handshake", "handshakes/s, one core", "to rtpengine", "p50 ms", "p99 ms", "failed")
SETTLE_S = 0.3


@dataclass
class Measured:
    """Of one gateway, a value for each round."""

    cpu_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    failed: int = 0


def table(plan: Plan, only: list[str], folder: Path) -> Table:
    """CPU: as many handshakes as it can do, all threads of media and control. Times: at a steady rate of beginnings."""
    made = Table(
        "handshakes",
        f"DTLS-SRTP handshakes of calls; times at {plan.handshake_rate:,.0f} calls begun a second",
        COLUMNS,
    )
    ours = representative([kind for kind in port_kinds() if kind in only or "srtpgw" in only])[:1]
    names = [*ours, *([REFERENCE] if REFERENCE in only and RTPENGINE else [])]
    found = {name: Measured() for name in names}
    with contextlib.ExitStack() as stack:
        place: Place = Loopback(folder) if no_veth() else stack.enter_context(veth(folder, plan.gateway_cpu))
        for turn in range(plan.handshake_rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                try:
                    _round(plan, place, name, folder / f"handshakes-{turn}-{name}", found[name])
                except FAILURES as error:
                    made.faults.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    _rows(made, found)
    return made


def _rows(made: Table, found: dict[str, Measured]) -> None:
    cost = {name: middle(one.cpu_us) for name, one in found.items()}
    for name, one in found.items():
        cpu = cost[name]
        ratio = over(cost.get(REFERENCE), cpu) if name != REFERENCE else None
        made.rows.append((
            name, *(None if value is None else f"{value:,.0f}" for value in (cpu, over(1e6, cpu))),
            None if ratio is None else f"{ratio:.2f}",
            *(None if value is None else f"{value:.1f}" for value in (middle(one.p50_ms), middle(one.p99_ms))),
            one.failed,
        ))  # fmt: skip
        if one.failed:
            made.faults.append(f"{name}: {one.failed} handshakes failed")
        if name != REFERENCE:
            rate = over(1e6, cpu)
            made.figures |= {"handshakes_ratio": ratio} if ratio is not None else {}
            made.figures |= {"handshakes": rate} if rate is not None else {}
            made.figures |= {"handshake_p99": p99} if (p99 := middle(one.p99_ms)) is not None else {}
    made.raw = {name: {"cpu_us": one.cpu_us, "p50_ms": one.p50_ms, "p99_ms": one.p99_ms} for name, one in found.items()}
    made.charts = [Chart("CPU of a handshake", list(found), {"us": [value or 0.0 for value in cost.values()]}, "us")]


def _round(plan: Plan, place: Place, name: str, room: Path, into: Measured) -> None:
    room.mkdir(parents=True, exist_ok=True)
    identity = _Identity(room / "peers.pem")
    calls = plan.handshake_calls + plan.handshake_paced
    with subject(name, place, room, plan.gateway_cpu, calls) as gateway:
        peers = [_set_up(gateway, place, identity, number) for number in range(calls)]
        time.sleep(SETTLE_S)
        before = _cpu_ns(gateway)
        done = _handshakes(plan, place, room, identity, peers[: plan.handshake_calls], 0.0)
        time.sleep(SETTLE_S)
        into.cpu_us.append((_cpu_ns(gateway) - before) / 1e3 / max(1, len(done["ms"])))
        paced = _handshakes(plan, place, room, identity, peers[plan.handshake_calls :], plan.handshake_rate)
        into.failed += done["failed"] + paced["failed"]
        times = sorted(paced["ms"])
        if times:
            into.p50_ms.append(times[len(times) // 2])
            into.p99_ms.append(times[min(len(times) - 1, int(len(times) * 0.99))])


def _cpu_ns(gateway: Subject) -> int:
    """Media and control, each thread once."""
    control = gateway.all_pids
    both = Subject(gateway.name, gateway.client, lambda: [*{*gateway.media_pids(), *control()}], control, gateway.cpu)
    return both.cpu_ns()


class _Identity:
    """The callees' certificate: one for all, as a phone has it."""

    def __init__(self, pem: Path) -> None:
        key, name = (
            ec.generate_private_key(ec.SECP256R1()),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")]),
        )
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
        )  # fmt: skip
        self.pem, self.fingerprint = pem, made.fingerprint(hashes.SHA256()).hex(":").upper()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem.write_bytes(made.public_bytes(Encoding.PEM) + private)


def _set_up(gateway: Subject, place: Place, identity: _Identity, number: int) -> tuple[str, int, str, int]:
    """Offer and answer of a call; who the callee is and where it has to send."""
    call_id, port = f"handshake-{number}", FIRST_PORT + 2 * number
    way = {"direction": list(place.interfaces)} if len(place.interfaces) > 1 else {}
    flags = {"ICE": "remove", "flags": FLAGS, "rtcp_mux": ["offer"]}
    offered = _sdp(place.hosts[0], port, "RTP/AVP", "")
    offer = gateway.client.request(
        "offer", call_id=call_id, from_tag="a", sdp=offered, transport_protocol="UDP/TLS/RTP/SAVP", **flags, **way
    )["sdp"]
    lines = f"a=setup:active\r\na=fingerprint:sha-256 {identity.fingerprint}\r\na=rtcp-mux\r\n"
    answered = _sdp(place.hosts[1], port, "UDP/TLS/RTP/SAVP", lines)
    gateway.client.request("answer", call_id=call_id, from_tag="a", to_tag="b", sdp=answered, **flags)
    to = re.search(r"^m=audio (\d+)", offer, re.M)
    hosts = re.findall(r"^c=IN IP4 ([\d.]+)", offer, re.M)
    if to is None or not hosts:
        raise ValueError(f"no audio in the offer: {offer}")
    return place.hosts[1], port, hosts[-1], int(to[1])


def _sdp(host: str, port: int, protocol: str, more: str) -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} {protocol} 0\r\n"
        f"a=rtpmap:0 PCMU/8000\r\n{more}"
    )


def _handshakes(
    plan: Plan, place: Place, room: Path, identity: _Identity, peers: list[tuple[str, int, str, int]], rate: float
) -> dict[str, list[float] | int]:
    wanted, result = room / "peers.json", room / "result.json"
    wanted.write_text(json.dumps({"peers": peers, "rate": rate, "pem": str(identity.pem)}))
    words = ["taskset", "-c", str(plan.generator_cpu), sys.executable, "-m", "tests.bench.handshake_peers"]
    if isinstance(place, Veth):
        words = ["ip", "netns", "exec", labs.name("core"), *words]
    root = Path(__file__).parent.parent.parent
    subprocess.run([*words, str(wanted), str(result)], check=True, timeout=120, cwd=root)
    found: dict[str, list[float] | int] = json.loads(result.read_text())
    return found
