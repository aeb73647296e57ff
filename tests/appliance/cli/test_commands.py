"""Every command, as a person and as a program sees it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.cli.exits import Exit
from appliance.cli.main import COMMANDS, app
from appliance.cli.options import DEFAULT_SOCKET
from appliance.config.schema import Settings
from appliance.errors import MediaUnavailable
from tests.appliance.cli.conftest import Gateway

PROGRAM = Path(sys.executable).with_name("srtpgw")


def run(*words: object, code: Exit = Exit.OK) -> str:
    """Output of a command (standard output, then standard error)."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "SRTPGW_SOCKET": None})
    assert result.exit_code == code, result.output
    return result.output


def run_json(*words: object, code: Exit = Exit.OK) -> Any:
    return json.loads(run(*words, "--json", code=code))


def test_help_lists_every_command_there_is() -> None:
    text = run("--help")
    for name in COMMANDS:
        if name not in ("up", "demo"):  # a colleague's
            assert f"  {name} " in text
    assert "3 gateway not running" in text


def test_unknown_command_is_wrong_usage() -> None:
    run("nonsense", code=Exit.USAGE)


def test_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert run("version").strip() == f"srtpgw {project['version']}"
    assert run_json("version") == {"version": project["version"]}


def test_status(gateway: Gateway) -> None:
    text = run("status", "--socket", gateway.socket)
    for words in ("serving", "udp (no XDP here)", "openssl", "1 of 1 running", "2 now", "unknown-call 2"):
        assert words in text
    tree = run_json("status", "--socket", gateway.socket)
    assert (tree["version"], tree["calls"], tree["workers"][0]["pid"]) == ("0.1.0", "2", 4711)


def test_status_of_a_draining_gateway(gateway: Gateway) -> None:
    gateway.calls.draining = True
    assert "draining" in run("status", "--socket", gateway.socket)


def test_calls_list(gateway: Gateway) -> None:
    text = run("calls", "list", "--socket", gateway.socket)
    assert "call-1" in text and "AES_CM_128_HMAC_SHA1_80" in text and "plain" in text
    assert "[bold]not markup[/bold]" in text  # what peers sent is text
    assert [call["call_id"] for call in run_json("calls", "list", "--socket", gateway.socket)] == ["call-1", "call-2"]
    assert len(run_json("calls", "list", "--limit", 1, "--socket", gateway.socket)) == 1


def test_calls_list_asks_for_every_page(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.cli.paging.PAGE", 1)
    assert len(run_json("calls", "list", "--limit", 0, "--socket", gateway.socket)) == 2


def test_calls_show(gateway: Gateway) -> None:
    text = run("calls", "show", "call-1", "--socket", gateway.socket)
    for words in ("call-1", "answered", "192.0.2.1:4000", "[2001:db8::1]:5000", "auth_fail 3", "never", "first"):
        assert words in text
    for words in ("b receive", "b send", "AES_CM_128_HMAC_SHA1_80", "400/7", "600/993"):  # A06
        assert words in text
    tree = run_json("calls", "show", "call-1", "--socket", gateway.socket)
    assert tree["streams"][0]["b"]["key_method"] == "API"
    assert "kkkk" not in json.dumps(tree)


def test_calls_show_names_subscribers(gateway: Gateway) -> None:
    """Only the leg that gets copies, with whose they are."""
    call = gateway.calls.calls["call-1"]
    (stream,) = call.streams
    copy = replace(stream, index=1000, a=replace(stream.a, interface=""), copies_of=0, subscriber="recorder-7")
    gateway.calls.calls["call-1"] = replace(call, copies=(copy,))
    text = run("calls", "show", "call-1", "--socket", gateway.socket)
    assert text.count("0 copied to recorder-7") == 1
    assert run_json("calls", "show", "call-1", "--socket", gateway.socket)["copies"][0]["subscriber"] == "recorder-7"


def test_calls_why(gateway: Gateway) -> None:
    text = run("calls", "why", "call-1", "--socket", gateway.socket)
    assert text.splitlines()[:3] == [
        "1. roc-off (stream 0, leg b, branch z9hG4bK, certain)",
        "   its rollover counter is 3, ours is 0",
        "   seen: roc 3, roc-here 0",
    ]
    assert "   do:   " in text and "2. worker-down (likely)" in text
    found = run_json("calls", "why", "call-1", "--socket", gateway.socket)
    assert [finding["cause"] for finding in found["findings"]] == ["ROC_OFF", "WORKER_DOWN"]
    assert found["findings"][0]["evidence"][0] == {"name": "roc", "value": "3"}


def test_calls_delete(gateway: Gateway) -> None:
    assert "ended" in run("calls", "delete", "call-1", "--socket", gateway.socket)
    assert list(gateway.calls.calls) == ["call-2"]
    assert run_json("calls", "delete", "call-2", "--socket", gateway.socket)["state"] == "ENDED"


def test_unknown_call_is_not_found(gateway: Gateway) -> None:
    for verb in ("show", "why", "delete"):
        assert "there is no call nobody" in run(
            "calls", verb, "nobody", "--socket", gateway.socket, code=Exit.NOT_FOUND
        )


def test_workers_list(gateway: Gateway) -> None:
    text = run("workers", "list", "--socket", gateway.socket)
    for words in ("4711", "25%", "8/4096", "4/1000"):
        assert words in text
    assert run_json("workers", "list", "--socket", gateway.socket)[0]["busy"] == 0.25


def test_hardware(gateway: Gateway) -> None:
    text = run("hardware", "--socket", gateway.socket)
    for words in ("processor", "huge pages", "advice", "hand-off"):
        assert words in text
    tree = run_json("hardware", "--next-hops", "--socket", gateway.socket)
    assert "lo" in [nic["name"] for nic in tree["nics"]] and tree["next_hops"] == []


def test_hardware_of_a_machine_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    from google.protobuf.json_format import ParseDict

    from appliance.cli import hardware
    from srtpgw.v1 import hardware_pb2

    nic = {"name": "enp1s0", "driver": "i40e", "up": True, "carrier": True, "speed_mbps": 25000, "queues": 4,
           "queues_max": 8, "xdp": {"native": True, "zero_copy": True, "program": 41, "attached": "native"},
           "steering": {"ntuple": True, "active": True, "rules": 6}, "interfaces": ["access"]}  # fmt: skip
    tree = {
        "processor": "Made up", "cores": [{"index": 1, "isolated": True, "tickless": True, "worker": 0}],
        "nics": [nic, {"name": "enp1s0.7", "vlan": 7, "parent": "enp1s0", "up": True},
                 {"name": "bond0", "unsuitable": "a bond's packets come in on its members"}],
        "memory": {"huge_pages": [{"size_kib": 2048, "total": "512", "free": "500"}]},
        "accelerators": [{"name": "Intel QuickAssist C62x", "bus": "0000:3d:00.0"}],
        "events": [{"time": "2026-01-02T03:04:05Z", "text": "enp1s0 lost its link"}],
        "next_hops": [{"destination": "192.0.2.7", "state": "failed", "why": "does not answer"}],
    }  # fmt: skip
    hardware._print(ParseDict(tree, hardware_pb2.Hardware()))
    text = capsys.readouterr().out
    for words in ("worker 0", "25 Gbit/s", "4/8", "zero-copy, program 41 native", "ntuple, 6 rules", "access",
                  "no link", "enp1s0.7 (VLAN 7 on enp1s0)", "no: a bond's", "500 of 512 x 2 MiB free", "QuickAssist",
                  "unlimited", "2026-01-02 03:04:05", "lost its link", "does not answer", "set up well"):  # fmt: skip
        assert words in text, text


def test_gateway_that_is_not_there(tmp_path: Path) -> None:
    for words in (["status"], ["calls", "list"], ["workers", "list"], ["hardware"]):
        text = run(*words, "--socket", tmp_path / "none.sock", code=Exit.NOT_RUNNING)
        assert "the gateway is not running here" in text and "srtpgw up" in text


def test_gateway_that_died(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    assert "nobody answers" in run("status", "--socket", tmp_path / "dead.sock", code=Exit.NOT_RUNNING)


def test_gateways_own_unavailable_is_a_refusal(gateway: Gateway) -> None:
    gateway.calls.fail = MediaUnavailable("worker 0 does not answer")
    text = run("calls", "delete", "call-1", "--socket", gateway.socket, code=Exit.FAILED)
    assert "worker 0 does not answer" in text


def test_check_good_and_bad(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text("[log]\nlevel = 'debug'\n")
    assert "configuration is good" in run("check", good)
    assert run_json("check", good) == {"ok": True, "files": [str(good)], "faults": []}
    bad = tmp_path / "bad.toml"
    bad.write_text("[log]\nlevle = 'debug'\n")
    text = run("check", bad, code=Exit.FAILED)
    assert f"{bad}:2: error: log.levle: unknown key (did you mean level?)" in text
    (fault,) = run_json("check", bad, code=Exit.FAILED)["faults"]
    assert (fault["line"], fault["key"], fault["severity"]) == (2, "log.levle", "error")


def test_config_show_says_where_from(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[media]\ncalls = 7\n")
    lines = run("config", "show", path).splitlines()
    assert f"media.calls = 7  # {path}:2" in lines
    assert 'paths.run = "/run/srtpgw"  # built-in default' in lines
    assert run_json("config", "show", path)["media"]["calls"] == 7
    path.write_text("[media]\ncalls = 0\n")
    assert "media.calls" in run("config", "show", path, code=Exit.FAILED)


def test_config_reference() -> None:
    assert "learning_s" in run("config", "reference")
    assert {table["name"] for table in run_json("config", "reference")} == set(Settings.model_fields)
    assert run("config", "reference", "--markdown").startswith("# Configuration")


def test_default_socket_is_the_schemas() -> None:
    assert str(Settings().paths.control_socket) == DEFAULT_SOCKET


def test_real_entry_point(gateway: Gateway) -> None:
    environment = {"SRTPGW_SOCKET": str(gateway.socket), "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}
    words = [str(PROGRAM), "calls", "list", "--json"]
    result = subprocess.run(words, capture_output=True, timeout=60, env=environment, check=True)
    assert [call["call_id"] for call in json.loads(result.stdout)] == ["call-1", "call-2"]


def test_start_up_imports_nothing_heavy() -> None:
    """`srtpgw version` must not pay for gRPC, the settings or rich's tables."""
    script = (
        "import sys; from appliance.cli.main import app; app(['version'], standalone_mode=False); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(result.stdout.split())
    assert loaded.isdisjoint({"grpc", "pydantic_settings", "rich.table", "structlog", "prometheus_client"})
