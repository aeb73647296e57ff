"""The control process with the real media holder on loopback: NG in, RTP to SRTP, restarts."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.gateway import spare_collections
from tests.appliance.processes import Machine, NgClient, Phone, machine, rtp

Gateway = tuple[Machine, NgClient]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with machine(tmp_path_factory.mktemp("gw"), 24500, (24600, 25199)) as made:
        yield made


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    a, b = Phone(), Phone()
    yield a, b
    a.close()
    b.close()


def talk(a: Phone, b: Phone, to_a: int, to_b: int, sequences: range) -> None:
    """Every packet arrives, byte for byte, SRTP on b's side only. `to_a` is our port that a sends to."""
    for sequence in sequences:
        a.send(rtp(sequence), to_a)
        assert b.receive() == rtp(sequence)
        b.send(rtp(sequence, ssrc=7), to_b)
        assert a.receive() == rtp(sequence, ssrc=7)


def ports_used(client: NgClient) -> int:
    return len(client.ask("list", limit="1000")["calls"])


def test_rtp_becomes_srtp_and_back(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """A24: NG offer and answer, media both ways, final statistics in the delete, port closed afterwards."""
    _, client = gateway
    a, b = phones
    to_a, to_b = client.call("media", a, b)
    talk(a, b, to_a, to_b, range(1, 101))
    asked = client.ask("query", call_id="media")
    assert asked["tags"]["b"]["medias"][0]["streams"][0]["crypto suite"] == "AES_CM_128_HMAC_SHA1_80"
    final = client.ask("delete", call_id="media", from_tag="a")
    assert final["result"] == "ok" and final["totals"]["RTP"]["packets"] == 200
    assert client.ask("delete", call_id="media")["warning"] == "Call-ID not found or tags didn't match"
    b.socket.settimeout(0.2)
    for number in range(200, 225):  # the delete is answered before the worker has obeyed
        a.send(rtp(number), to_a)
        try:
            b.receive()
        except TimeoutError:
            return
    pytest.fail("packets pass after the delete")


def test_plain_rtp_on_the_secure_leg_goes_nowhere(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """A11, A1: unprotected or foreign packets on the SRTP leg are dropped and counted by name."""
    _, client = gateway
    a, b = phones
    to_a, to_b = client.call("forged", a, b)
    talk(a, b, to_a, to_b, range(1, 3))
    b.socket.sendto(rtp(50, ssrc=7), ("127.0.0.1", to_b))
    a.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        a.receive()
    stats = client.ask("delete", call_id="forged")["tags"]["b"]["medias"][0]["streams"][0]["stats"]
    assert stats["errors"] == 1 and stats["packets"] == 2


def test_hundred_calls(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """100 calls up at once; the first and the last carry media; all ports come back."""
    _, client = gateway
    a, b = phones
    made = []
    for i in range(100):
        made.append(client.call(f"many{i}", a, b))
        if i == 0:
            talk(a, b, *made[0], range(1, 5))
    assert len({port for pair in made for port in pair}) == 200
    talk(a, b, *made[-1], range(1, 5))
    for i in range(100):
        assert client.ask("delete", call_id=f"many{i}")["result"] == "ok"
    assert client.ask("list")["calls"] == []


def test_exhaustion_is_refused_and_heals(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """F15: 300 pairs of ports are at most 150 calls; the next is refused, freed ports serve again."""
    _, client = gateway
    a, b = phones
    up = 0
    while (reply := client.ask("offer", call_id=f"full{up}", from_tag="a", sdp=a.sdp()))["result"] == "ok":
        up += 1
        assert up < 400
    assert reply["error-reason"] == "Parallel session limit reached" and 40 <= up <= 150
    assert reply["warning"] == "no port pair is free"
    for i in range(up):
        client.ask("delete", call_id=f"full{i}")
    time.sleep(1.1)  # ports rest
    to_a, to_b = client.call("after", a, b)
    talk(a, b, to_a, to_b, range(1, 3))
    client.ask("delete", call_id="after")


def test_control_killed_with_calls_up(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """F1: kill -9 of control; media goes on without it; the next one knows the calls, and a delete after that works."""
    gw, client = gateway
    a, b = phones
    to_a, to_b = client.call("survivor", a, b)
    for i in range(20):
        client.call(f"other{i}", Phone(), Phone())
    talk(a, b, to_a, to_b, range(1, 20))
    gw.kill_control()
    talk(a, b, to_a, to_b, range(20, 60))
    gw.start_control()
    assert client.ask("ping")["result"] == "pong"
    assert len(client.ask("list", limit=100)["calls"]) == 21
    talk(a, b, to_a, to_b, range(60, 80))
    final = client.ask("delete", call_id="survivor", from_tag="b", to_tag="a")  # BYE by b
    assert final["totals"]["RTP"]["packets"] == 2 * 79
    fresh_a, fresh_b = client.call("fresh", Phone(), Phone())
    assert {fresh_a, fresh_b}.isdisjoint({to_a, to_b})
    for name in client.ask("list", limit=100)["calls"]:
        assert client.ask("delete", call_id=name)["result"] == "ok"


def test_graceful_stop_keeps_calls(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """F5: SIGTERM ends the process with status 0 and no call."""
    gw, client = gateway
    a, b = phones
    to_a, to_b = client.call("kept", a, b)
    assert gw.kill_control(signal.SIGTERM) == 0
    talk(a, b, to_a, to_b, range(1, 10))
    gw.start_control()
    assert client.ask("list")["calls"] == ["kept"]
    assert client.ask("delete", call_id="kept", from_tag="a")["totals"]["RTP"]["packets"] == 18


def test_damaged_records_do_not_stop_the_start(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """F17: the file is overwritten while control is dead; it starts, reports, and removes what nobody owns."""
    gw, client = gateway
    a, b = phones
    client.call("damaged", a, b)
    gw.kill_control()
    records = gw.run / "calls.db"
    records.write_bytes(b"\xff" * records.stat().st_size)
    for suffix in ("-wal", "-shm"):
        (gw.run / f"calls.db{suffix}").unlink(missing_ok=True)
    gw.start_control()
    assert client.ask("list")["calls"] == []
    to_a, to_b = client.call("fresh", a, b)
    talk(a, b, to_a, to_b, range(1, 5))
    client.ask("delete", call_id="fresh")
    assert "call records put aside" in gw.log


def test_files_are_private(gateway: Gateway) -> None:
    """H5: what holds keys is readable by us alone."""
    gw, _ = gateway
    for name in ("calls.key", "calls.db"):
        assert (gw.run / name).stat().st_mode & 0o077 == 0


def test_no_key_in_logs(gateway: Gateway) -> None:
    """H3: every crypto key of a call, raw, hex and base64, against everything the processes wrote."""
    gw, client = gateway
    a, b = Phone(), Phone()
    offered = client.ask("offer", call_id="h3", from_tag="a", sdp=a.sdp(), transport_protocol="RTP/SAVP")["sdp"]
    client.ask("answer", call_id="h3", from_tag="a", to_tag="b", sdp=b.answer(offered))
    client.ask("offer", call_id="h3", from_tag="a", to_tag="b", sdp="v=0\r\nm=audio rubbish\r\n" + offered)
    client.ask("delete", call_id="h3")
    for line in offered.splitlines():
        if line.startswith("a=crypto"):
            assert line.partition("inline:")[2][:20] not in gw.log


def test_wrong_configuration_ends_with_a_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[mdia]\nports = 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "appliance.gateway", "--config", str(wrong)], capture_output=True, timeout=30
    )
    assert ended.returncode == 78 and b"mdia" in ended.stderr and b"Traceback" not in ended.stderr


def worker_pid(gw: Machine) -> int:
    """The worker is the holder's only child."""
    holder = gw.processes[0].pid
    return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])


def test_worker_killed_with_a_call_up(gateway: Gateway, phones: tuple[Phone, Phone]) -> None:
    """F2: a worker dies; its call goes on with the next index under the new one, and can be deleted."""
    gw, client = gateway
    a, b = phones
    to_a, to_b = client.call("worker", a, b)
    talk(a, b, to_a, to_b, range(1, 30))
    before = worker_pid(gw)
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and ("worker replaced" not in gw.log or worker_pid(gw) == before):
        time.sleep(0.05)
    talk(a, b, to_a, to_b, range(30, 60))
    assert client.ask("delete", call_id="worker", from_tag="a")["totals"]["RTP"]["packets"] == 2 * 59


def test_holder_gone_ends_control_for_a_fresh_start(tmp_path: Path) -> None:
    """Without its holder there is no media: control says so and ends, to be started anew with the next holder."""
    with machine(tmp_path, 24501, (25200, 25299), 20) as (gw, client):
        client.call("lost", Phone(), Phone())
        gw.processes[0].kill()
        assert gw.control is not None and gw.control.wait(10) == 69
        gw.start_holder()
        gw.start_control()
        assert client.ask("list")["calls"] == []
        assert "its contexts are gone" in gw.log
        to_a, to_b = client.call("fresh", a := Phone(), b := Phone())
        talk(a, b, to_a, to_b, range(1, 5))


def test_what_start_up_made_is_not_collected_again() -> None:
    """A full collection walks calls alone: it took as long as a second with everything else."""
    before = gc.get_threshold()
    try:
        spare_collections()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() > before
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
