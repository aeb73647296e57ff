"""Contradictions in [sip_replication], [sip_radius], realms and modes of trunks (rows L07, J10, P03, P08)."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.load import examine

REGISTRAR = "[sip_registrar]\nenabled = true\n"
RADIUS = '[sip_radius]\nservers = ["127.0.0.1:1812"]\n'
LISTEN = '[sip]\nlisten = ["udp:127.0.0.1:5060", "udp:127.0.0.1:5090"]\n'
PEERS = 'peers = ["sip:127.0.0.1:5091"]\n'


def trunk(name: str, words: str) -> str:
    return f'[[trunks]]\nname = "{name}"\ndestination = "registrar"\n{words}'


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (f"[sip_replication]\n{PEERS}", "sip_replication.peers", "are of no use without sip_replication.listen"),
        (f'[sip_replication]\nlisten = "udp:127.0.0.1:5099"\n{PEERS}', "sip_replication.listen", "not in sip.listen"),
        (f'{LISTEN}[sip_replication]\nlisten = "udp:127.0.0.1:5090"\n', "sip_replication.peers", "must be given"),
        (f'{LISTEN}[sip_replication]\nlisten = "udp:127.0.0.1:5090"\n{PEERS}', "sip_replication", "nothing to tell"),
        ('[sip_replication]\npeers = ["192.0.2.1"]\n', "sip_replication.peers", "is not the socket of another gateway"),
        (RADIUS, "sip_radius.secret_file", "must be given"),
        (f'{RADIUS}secret_file = "/nowhere"\n', "sip_radius.secret_file", "there is no file /nowhere"),
        ('[sip_radius]\nservers = ["192.0.2.1:1812"]\n', "sip_radius", "in the clear"),
        (f'{RADIUS}[sip_auth]\nalgorithms = ["SHA-256"]\n', "sip_auth.algorithms", "RADIUS servers know MD5 alone"),
        ('[sip_radius]\nsecret_file = "/nowhere"\n', "sip_radius.secret_file", "is of no use"),
        ('[sip_radius]\nservers = ["192.0.2.1"]\n', "sip_radius.servers", "ADDRESS:PORT"),
        (trunk("a", 'sockets = ["udp:127.0.0.1:5099"]\n'), "trunks[0].sockets", "is not in sip.listen"),
        (trunk("a", 'realm = "r.example"\n') + trunk("b", 'realm = "R.example"\n'), "trunks[1].realm", "another"),
        ('[sip_topology]\nmode = "strip"\n' + trunk("a", 'mode = "proxy"\n'), "trunks[0].mode", "topos strips"),
        (trunk("a", 'match = ["10.0.0.0/8"]\n') + trunk("b", 'match = ["10.0.0.0/8"]\n'), "trunks[1].match", "belongs"),
    ],
)
def test_a_contradiction_is_told(tmp_path: Path, text: str, key: str, said: str) -> None:
    assert any(fault.key == key and said in str(fault) for fault in _faults(tmp_path, text)), _faults(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        f'{LISTEN}{REGISTRAR}[sip_replication]\nlisten = "udp:127.0.0.1:5090"\n{PEERS}',
        LISTEN + trunk("a", 'match = ["10.0.0.0/8"]\nsockets = ["udp:127.0.0.1:5060"]\nrealm = "a.example"\n')
        + trunk("b", 'match = ["10.0.0.0/8"]\nsockets = ["udp:127.0.0.1:5090"]\nrealm = "b.example"\n'),
    ],
)  # fmt: skip
def test_what_fits_together_is_no_fault(tmp_path: Path, text: str) -> None:
    ours = ("sip_replication", "sip_radius", "trunks[0].match", "trunks[1].match", "trunks[0].realm", "trunks[1].realm")
    assert [str(fault) for fault in _faults(tmp_path, text) if fault.key.startswith(ours)] == []


def _faults(place: Path, text: str):  # type: ignore[no-untyped-def]
    path = place / "srtpgw.toml"
    path.write_text(f'[paths]\nstate = "{place}"\n' + text)
    return examine([path], environment={}).faults
