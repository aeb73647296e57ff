"""M13 from end to end: pike finds a flooder, the whole gateway keeps it out in the kernel, an operator lets it in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.sip_edge.rpc import Rpc
from tests.kernels.rig import drain
from tests.namespaces import inside
from tests.system.lab import wait_for
from tests.system.sip_request import options
from tests.system.stack import Stack, running
from tests.system.veth import FAR, HERE, Veth

pytestmark = [pytest.mark.system, pytest.mark.row("M13"), pytest.mark.timeout(90),
              pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces and BPF")]  # fmt: skip
SIP, METRICS = 32_810, 32_811
RATE = 250  # requests per second of the flooder
MEANS = {"udp-sockets": "sk_lookup", "xdp": "xdp"}


@pytest.fixture(scope="module")
def veth() -> Iterator[Veth]:
    with Veth() as pair:
        yield pair


@contextmanager
def gateway(veth: Veth, backend: str) -> Iterator[Stack]:
    sip = f'listen = ["udp:{HERE[4]}:{SIP}"]\nworkers = 1'
    more = f'[http]\nlisten = "{HERE[4]}:{METRICS}"\n[sip_flood]\nsampling_time_unit = 1\nremove_latency = 2'
    with running(32_820, 32_859, 32_812, calls=5, sip=sip, space=veth.gateway, address=HERE[4],
                 media=f'backend = "{backend}"', more=more) as stack:  # fmt: skip
        yield stack


class Source:
    """A socket at the far end."""

    def __init__(self, veth: Veth) -> None:
        self._link = inside(veth.far, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._link.bind((FAR[4], 0))
        self._link.settimeout(0.3)
        self._ended, self.sent = threading.Event(), 0
        self._thread = threading.Thread(target=self._run)

    def answered(self) -> bool:
        drain(self._link, 0.01)  # what the flood was answered before the ban
        self._link.settimeout(0.3)
        self._send()
        try:
            return self._link.recv(4096).startswith(b"SIP/2.0 200")
        except TimeoutError:
            return False

    def _send(self) -> None:
        self._link.sendto(options(FAR[4], self._link.getsockname()[1], HERE[4]), (HERE[4], SIP))

    @contextmanager
    def flooding(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1 / RATE):
            self._send()
            self.sent += 1

    def close(self) -> None:
        self._link.close()


@pytest.mark.parametrize("backend", MEANS)
def test_a_flooder_is_kept_out_before_kamailio_and_let_in_again(veth: Veth, backend: str) -> None:
    """Detection, kernel, counters of both sides while the flood goes on, metrics, `bans remove`."""
    source, means = Source(veth), MEANS[backend]
    with gateway(veth, backend) as stack:
        wait_for(source.answered, 15, stack.log)
        with source.flooding():
            wait_for(lambda: _ban(stack).get("dropped", "0") != "0", 10, stack.log)
            assert means in _ban(stack)["enforced"] and _ban(stack)["rule"] == "flood"
            heard, dropped, sent = _heard(stack), int(_ban(stack)["dropped"]), source.sent
            wait_for(lambda: source.sent > sent + RATE, 10, "the flooder does not send")
            assert _heard(stack) == heard  # Kamailio's own counters stand still
            assert int(_ban(stack)["dropped"]) >= dropped + RATE
            assert _rpc(stack, "htable.get", "rules", "flood_detected")["item"]["value"] == 1
            wait_for(lambda: _metric(veth, f'srtpgw_sip_ban_dropped_packets_total{{means="{means}"}}') > RATE, 10,
                     stack.log)  # fmt: skip
            assert _metric(veth, "srtpgw_sip_bans") == 1
        time.sleep(2.1)  # pike has forgotten it (remove_latency)
        assert not source.answered()
        assert stack.srtpgw("bans", "remove", f"{FAR[4]}/32").stdout == f"{FAR[4]}/32 is free\n"
        assert source.answered()
        wait_for(lambda: _metric(veth, "srtpgw_sip_bans") == 0, 10, stack.log)
    source.close()


def _ban(stack: Stack) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(stack.srtpgw("bans", "list", "--json").stdout)["bans"]
    return found[0] if found else {}


def _heard(stack: Stack) -> tuple[int, int]:
    """Requests that Kamailio parsed, and messages that its own table of bans dropped unparsed."""
    (line,) = (one for one in _rpc(stack, "stats.get_statistics", "rcv_requests") if "rcv_requests =" in one)
    rules = {slot["name"]: slot["value"] for entry in _rpc(stack, "htable.dump", "rules") for slot in entry["slot"]}
    return int(line.rpartition("=")[2]), rules.get("flood_banned", 0)


def _rpc(stack: Stack, method: str, *params: str) -> Any:
    """Asked from within its namespace: abstract socket names, to which it answers, are of one."""
    rpc = Rpc(stack.place / "run" / "sip" / "kamailio_rpc.sock")
    return inside(stack.space, lambda: asyncio.run(rpc.call(method, *params)))


def _metric(veth: Veth, name: str) -> float:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://{HERE[4]}:{METRICS}/metrics", timeout=5) as reply:
            return str(reply.read().decode())

    found = re.search(rf"^{re.escape(name)} (\S+)$", inside(veth.gateway, fetch), re.MULTILINE)
    return float(found[1]) if found else 0.0
