"""`python -m tests.load storm|flood|overload [options]`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.load import flood, overload, storm


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("what", choices=["storm", "flood", "overload"])
    parser.add_argument("--seconds", type=int, default=0, help="storm, overload: of each rate (10); flood: in all (90)")
    parser.add_argument("--proof", type=int, default=60, help="storm: how long the best rate is held")
    parser.add_argument("--rates", default="100,150,200,250,300,350,400,500", help="storm: calls a second, upwards")
    parser.add_argument("--rate", type=int, default=0, help="overload: the first rate (50); flood: a second (3000)")
    parser.add_argument("--sources", type=int, default=2000, help="flood: forged addresses")
    chosen = parser.parse_args()
    # in RAM, as run directories are in the field: dialogs and call records must not wait for a disk
    with tempfile.TemporaryDirectory(prefix="srtpgw-load-", dir="/dev/shm") as folder:
        place = Path(folder)
        place.chmod(0o711)  # Kamailio runs under an account of its own
        if chosen.what == "storm":
            print(storm.run(place, [int(one) for one in chosen.rates.split(",")], chosen.seconds or 10, chosen.proof))
        elif chosen.what == "overload":
            print(overload.run(place, chosen.rate or 50, chosen.seconds or 10))
        else:
            print(flood.run(place, chosen.seconds or 90, chosen.rate or 3000, chosen.sources))


if __name__ == "__main__":
    main()
