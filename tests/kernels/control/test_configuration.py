"""The holder's configuration: every mistake is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernels.control.configuration import ConfigurationError, check_configuration, read_configuration
from kernels.control.holder import EXIT_CONFIGURATION, main
from kernels.control.sockets import divide

GOOD: dict[str, Any] = {
    "socket": "/run/x.sock", "cores": [1], "port": "auto", "cipher": "auto",
    "interfaces": [{"name": "default", "address": "127.0.0.1"}], "ports": [30000, 39999],
    "calls": 5000, "user": "", "log": "info",
}  # fmt: skip


def test_contract_example() -> None:
    configuration = check_configuration(GOOD)
    assert (configuration.cores, configuration.ports, configuration.learning_ms) == ((1,), (30000, 39999), 3000)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": 1}, "colour: unknown"),
        ({"cores": []}, "cores"),
        ({"cores": [1, 1]}, "cores"),
        ({"cores": [True]}, "cores"),
        ({"cores": "auto"}, "cores"),
        ({"ports": [39999, 30000]}, "ports"),
        ({"ports": [30000]}, "ports"),
        ({"ports": [80, 90]}, "ports"),
        ({"ports": [30000, 30002]}, "ports"),
        ({"calls": 0}, "calls"),
        ({"calls": True}, "calls"),
        ({"port": "dpdk"}, "port"),
        ({"cipher": "rot13"}, "cipher"),
        ({"log": "loud"}, "log"),
        ({"learning_ms": -1}, "learning_ms"),
        ({"interfaces": []}, "interfaces"),
        ({"interfaces": [{"name": "a"}]}, "interfaces"),
        ({"interfaces": [{"name": "a", "address": "localhost"}]}, "interfaces: a"),
        ({"interfaces": [{"name": "a", "address": "::1"}, {"name": "b", "address": "0:0::1"}]}, "interfaces: b"),
        ({"interfaces": [{"name": "a", "address": "::1", "ports": [80, 90]}]}, "interfaces: a: ports"),
        ({"interfaces": [{"name": "a", "address": "::1", "ports": "4000-4999"}]}, "interfaces: a: ports"),
        ({"interfaces": [{"name": "a", "address": "::1", "ports": [4000, 4001]}]}, "interfaces: a: ports: fewer"),
    ],
)
def test_mistakes(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        check_configuration(GOOD | change)


@pytest.mark.row("P08")
def test_ports_of_an_interface() -> None:
    """Its own, else those of all."""
    two = [{"name": "a", "address": "127.0.0.1"}, {"name": "b", "address": "::1", "ports": [4000, 4999]}]
    found = check_configuration(GOOD | {"interfaces": two}).interfaces
    assert [one.ports for one in found] == [(30000, 39999), (4000, 4999)]


@pytest.mark.parametrize("key", ["socket", "cores", "interfaces", "ports", "calls"])
def test_missing(key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}: missing"):
        check_configuration({name: value for name, value in GOOD.items() if name != key})


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"c\.json"):
        read_configuration(str(path))
    assert main([str(path)]) == EXIT_CONFIGURATION
    path.write_text(json.dumps(GOOD))
    assert read_configuration(str(path)).calls == 5000
    assert main([]) == EXIT_CONFIGURATION
    assert main([str(tmp_path / "none")]) == 1


@pytest.mark.parametrize(
    ("first", "last", "workers", "shares"),
    [
        (30000, 39999, 1, [range(30000, 40000)]),
        (30001, 30010, 1, [range(30002, 30010)]),
        (30000, 30009, 2, [range(30000, 30004), range(30004, 30008)]),
    ],
)
def test_shares(first: int, last: int, workers: int, shares: list[range]) -> None:
    assert list(divide(first, last, workers)) == shares
