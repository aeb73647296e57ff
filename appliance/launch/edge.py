"""`python -m appliance.launch.edge --run DIRECTORY`: the SIP edge alone, under systemd.

Kamailio 5.6 does not speak systemd's notify protocol; this says READY when the edge answers OPTIONS, and ends with it.
SIGHUP: settings are read again; what the running Kamailio can take over counts at once.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import sdnotify

from appliance.config.load import load
from appliance.launch.edge_process import EdgeProcess
from appliance.launch.supervisor import StartFailed, Supervisor
from appliance.reloads import Reloads
from appliance.sip_edge.management.certificates import kept_fresh


async def serve(run: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = load()
    edge = EdgeProcess(settings, run, essential=True)
    async with kept_fresh(settings, run):
        supervisor = Supervisor([edge.program], print)
        reloads = Reloads(lambda: edge.reload(load), print)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloads.wanted)
        await supervisor.run(stop, lambda: sdnotify.SystemdNotifier().notify("READY=1"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="private run directory of the SIP edge")
    try:
        asyncio.run(serve(parser.parse_args().run))
    except (StartFailed, OSError) as error:
        print(f"srtpgw sip edge: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
