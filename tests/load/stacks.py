"""What is put under load: our whole gateway as `srtpgw up` starts it, and Kamailio with rtpengine beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.launch import probes
from appliance.sip_edge import from_settings, kamailio
from tests.system.rtpengine import rtpengine

HOST, SIP, NG, CALLEE_PORT = "127.0.0.1", 28600, 28601, 28610
PEER_SIP, PEER_NG = 28620, 28621
TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """
[paths]
run = "{place}/run"
state = "{place}/state"
[sip]
listen = ["udp:127.0.0.1:28600"]
workers = {workers}
[ng]
listen = ["127.0.0.1:28601"]
[media]
ports = "34000-53999"
calls = 4000
[security]
sdes_requires_tls = false
[[interfaces]]
name = "default"
address = "127.0.0.1"
[[trunks]]
name = "caller"
match = ["127.0.0.2/32"]
destination = "sip:127.0.0.3:28610"
[[trunks]]
name = "callee"
match = ["127.0.0.3/32"]
rtp_secure_media = "mandatory"
"""

# What an administrator writes: stateful relay, record route, media by the rtpengine module. No dialogs, no script.
PEER_CONFIG = """
debug=0
log_stderror=yes
fork=yes
children={workers}
disable_tcp=yes
listen=udp:127.0.0.1:28620
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:28621")
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        if (!loose_route()) {{
            if (is_method("ACK") && t_check_trans()) t_relay();
            exit;
        }}
        if (is_method("BYE")) rtpengine_delete("");
        t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    t_check_trans();
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    rtpengine_offer("RTP/SAVP replace-origin replace-session-connection ICE=remove DTLS=off");
    $du = "sip:127.0.0.3:28610";
    t_on_reply("MEDIA");
    t_on_failure("MEDIA");
    t_relay();
}}
onreply_route[MEDIA] {{
    if (has_body("application/sdp")) rtpengine_answer("RTP/AVP replace-origin replace-session-connection ICE=remove");
}}
failure_route[MEDIA] {{ rtpengine_delete(""); }}
"""


@dataclass(frozen=True)
class Stack:
    """One running system."""

    name: str
    target: str  # host:port for SIP
    pids: tuple[int, ...]  # its processes' ancestors

    def cpu_s(self) -> float:
        """Processor time of all its processes until now, in seconds; those that ended are not counted."""
        return sum(_cpu(pid) for root in self.pids for pid in (root, *_below(root)))


@contextmanager
def ours(place: Path, workers: int = 4, more: str = "") -> Iterator[Stack]:
    place.mkdir(parents=True, exist_ok=True)
    config = place / "gateway.toml"
    config.write_text(CONFIG.format(place=place, workers=workers) + more)
    words = [sys.executable, "-m", "appliance.cli.main", "up", "--config", str(config)]
    with (place / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            _wait(SIP, place / "log")
            yield Stack("srtpgw", f"{HOST}:{SIP}", (process.pid,))
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def peer(place: Path, workers: int = 4) -> Iterator[Stack]:
    """Kamailio's own configuration language, and Debian's rtpengine."""
    place.mkdir(parents=True, exist_ok=True)
    config = place / "kamailio.cfg"
    config.write_text(PEER_CONFIG.format(modules=from_settings.module_folder(), workers=workers))
    words = [kamailio.find("kamailio") or "kamailio", "-f", str(config), "-DD", "-E", "-m", "64", "-M", "8",
             "-x", "tlsf", "-X", "tlsf", "-P", str(place / "pid"), "-Y", str(place)]  # fmt: skip
    with (
        rtpengine(PEER_NG, (34000, 53998), log=place / "rtpengine.log", level=3) as (_, media),
        (place / "log").open("wb") as log,
        subprocess.Popen(words, stdout=log, stderr=log) as process,
    ):
        try:
            _wait(PEER_SIP, place / "log")
            yield Stack("Kamailio + rtpengine", f"{HOST}:{PEER_SIP}", (process.pid, media))
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int, log: Path) -> None:
    limit = time.monotonic() + 60
    while not probes.sip(HOST, port):
        if time.monotonic() > limit:
            raise SystemExit(log.read_text(errors="replace")[-4000:])
        time.sleep(0.2)


def _below(root: int) -> list[int]:
    """Processes whose ancestor `root` is."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, wave = [], {root}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found += wave
    return found


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
