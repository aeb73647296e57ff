"""`python -m appliance.launch.machine_setup [--undo]`: NICs set up for the media plane, as root, before it starts.

Says on standard output what it did and what it could not do; nothing of it keeps the media plane from starting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from appliance.config.faults import ConfigError
from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.launch.programs import worker_cores
from firmware_iface import addresses, inventory, setup
from firmware_iface.setup import Plan, Report, Worker
from firmware_iface.steering import RuleBook
from kernels.control.sockets import divide


def wanted(settings: Settings, machine: inventory.Machine, owners: dict[str, str]) -> Plan:
    """Worker n serves queue n of every NIC that has an address for media."""
    cores = worker_cores(settings.media.cores)
    places = {}
    for entry in settings.interfaces:
        ports = settings.ports_of(entry)
        shares = divide(ports.first, ports.last, len(cores))
        places[entry.address] = [Worker(core, share) for core, share in zip(cores, shares, strict=True)]
    return setup.plan(machine, owners, places)


def set_up(settings: Settings, undo: bool = False) -> Report:
    """OSError: the run directory cannot be written, netlink is refused."""
    machine = inventory.read()
    plan = Plan() if undo or not settings.media.set_up_nics else wanted(settings, machine, addresses.read())
    settings.paths.run.mkdir(parents=True, exist_ok=True, mode=0o750)
    return setup.apply(machine, plan, RuleBook(settings.paths.run / "steering.json"))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="machine_setup", description="Set NICs up for media.")
    parser.add_argument("--config", action="append", default=[], help="configuration; may be repeated")
    parser.add_argument("--undo", action="store_true", help="take back what an earlier run set up")
    chosen = parser.parse_args(words)
    try:
        report = set_up(load(chosen.config), chosen.undo)
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for line in report.lines():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
