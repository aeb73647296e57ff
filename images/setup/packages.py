#!/usr/bin/env python3
"""Install the system packages that are missing: `packages.py GROUP...` (groups of packages.toml).

Runs before anything of ours is installed: standard library only. As root (or with `sudo -n`) it asks apt, and only when
dpkg misses something; otherwise it says once what is missing and what that costs. Services of the packages are neither
started nor enabled: the gateway starts what it needs itself. Exit status 1 only when something needed is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

LIST = Path(__file__).with_name("packages.toml")
POLICY = Path("/usr/sbin/policy-rc.d")
SERVICES = ("kamailio", "rtpengine-daemon", "rtpengine-recording-daemon")
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")


def main(groups: list[str]) -> int:
    packages = wanted(groups)
    lacking = missing(packages)
    if lacking and (how := elevated()) is not None:
        print(f"installing: {' '.join(sorted(lacking))}", flush=True)
        install(how, sorted(lacking), packages)
        lacking = missing(packages)
    for name in sorted(lacking):
        print(f"missing: {name} - {packages[name] or 'needed to build'}")
    needed = [name for name in lacking if not packages[name]]
    if needed:
        print(f"install with: apt-get install {' '.join(needed)}", file=sys.stderr)
    return 1 if needed else 0


def wanted(groups: list[str]) -> dict[str, str]:
    """Package names of this distribution -> what it costs to be without ("": needed)."""
    table = tomllib.loads(LIST.read_text())
    ubuntu = "ID=ubuntu" in Path("/etc/os-release").read_text().splitlines()
    rows = [row for group in groups for row in table[group]]
    return {row.get("ubuntu", row["debian"]) if ubuntu else row["debian"]: row.get("cost", "") for row in rows}


def missing(packages: dict[str, str]) -> set[str]:
    if not shutil.which("dpkg-query"):
        print("no dpkg here: system packages are not looked after")
        return set()
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *packages],
                          capture_output=True, text=True, check=False)  # fmt: skip
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" ok installed")}
    return set(packages) - installed


def elevated() -> list[str] | None:
    """Words to put before a command that needs root; None when there is no way to it without a question."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def install(how: list[str], names: list[str], packages: dict[str, str]) -> None:
    """All at once; one by one when that fails, so that one missing name does not cost the others."""
    environment = [*how, "env", "DEBIAN_FRONTEND=noninteractive"]
    subprocess.run([*environment, *APT, "update"], stdin=subprocess.DEVNULL, check=False)
    words = [*environment, *APT, "install", "-y", "--no-install-recommends"]
    with services_left_alone(how, names):
        if subprocess.run([*words, *names], stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return
        for name in names:
            print(f"trying {name} by itself", flush=True)
            subprocess.run([*words, name], stdin=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def services_left_alone(how: list[str], names: list[str]) -> Iterator[None]:
    """Debian starts and enables what it installs: deny the start, and disable what came new."""
    ours = not POLICY.exists()
    if ours:
        subprocess.run(
            [*how, "install", "-m", "755", "/dev/stdin", str(POLICY)], input=b"#!/bin/sh\nexit 101\n", check=False
        )
    try:
        yield
    finally:
        if ours:
            subprocess.run([*how, "rm", "-f", str(POLICY)], check=False)
        new = [service for service in SERVICES if any(service.startswith(name) for name in names)]
        if new and shutil.which("systemctl"):
            subprocess.run([*how, "systemctl", "--quiet", "disable", *new], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
