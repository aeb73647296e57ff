"""`python -m firmware_iface`: the inventory of this machine (and network namespace) as JSON, without a gateway."""

from __future__ import annotations

import json
import sys

from firmware_iface import inventory

if __name__ == "__main__":
    json.dump(inventory.as_tree(inventory.read()), sys.stdout, indent=2)
    print()
