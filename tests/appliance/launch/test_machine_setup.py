"""The machine set up from the settings: shares as the holder divides them, a switch that turns it off, undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.interfaces import Interface
from appliance.config.schema import Settings
from appliance.launch import machine_setup, programs
from firmware_iface import simulated
from kernels.control.sockets import divide

MACHINE = simulated.machine({"nic": [{"name": "enp1s0", "driver": "ice", "queues": 4}]})


def settings(tmp_path: Path, **media: object) -> Settings:
    return Settings(
        media={"cores": [1, 2], "ports": "30000-30999", **media},
        paths={"run": tmp_path / "run", "state": tmp_path},
        interfaces=[{"name": "access", "address": "192.0.2.1"}],
    )


def test_shares_are_those_of_the_holder(tmp_path: Path) -> None:
    (nic,) = machine_setup.wanted(settings(tmp_path), MACHINE, {"192.0.2.1": "enp1s0"}).nics
    assert tuple(share.ports for share in nic.shares) == divide(30000, 30999, 2)
    assert dict(nic.cores) == {0: 1, 1: 2}


@pytest.mark.row("P08")
def test_an_interface_with_ports_of_its_own(tmp_path: Path) -> None:
    """Each address is steered by its own range, shared by the workers as the holder does; the holder is told it."""
    both = settings(tmp_path).model_copy(update={"interfaces": (
        Interface(name="access", address="192.0.2.1"), Interface(name="core", address="192.0.2.2", ports="40000-40099"),
    )})  # fmt: skip
    (nic,) = machine_setup.wanted(both, MACHINE, {"192.0.2.1": "enp1s0", "192.0.2.2": "enp1s0"}).nics
    steered = {(share.address, share.queue): share.ports for share in nic.shares}
    assert steered == {
        (address, queue): ports
        for address, span in (("192.0.2.1", (30000, 30999)), ("192.0.2.2", (40000, 40099)))
        for queue, ports in enumerate(divide(*span, 2))
    }
    told = programs.holder_config(both)
    assert (told["ports"], [one.get("ports") for one in told["interfaces"]]) == ([30000, 30999], [None, [40000, 40099]])


def test_off_and_undo_plan_nothing(tmp_path: Path) -> None:
    assert machine_setup.set_up(settings(tmp_path, set_up_nics=False)).notes == ()
    assert machine_setup.set_up(settings(tmp_path), undo=True).notes == ()
    assert "no interface has it" in machine_setup.set_up(settings(tmp_path)).notes[0]


def test_as_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f"[paths]\nrun = '{tmp_path}'\n[media]\ncores = [0]\n")
    assert machine_setup.main(["--config", str(path)]) == 0
    assert "loopback has no queues" in capsys.readouterr().out
    path.write_text("[media]\nset_up_nic = 1\n")
    assert machine_setup.main(["--config", str(path)]) == 1
    assert "did you mean set_up_nics" in capsys.readouterr().err
