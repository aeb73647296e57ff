"""`python -m appliance.launch.holder_config FILE`: the media holder's JSON from the settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from appliance.config.load import load
from appliance.launch.programs import holder_config


def main(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(holder_config(load()), indent=1))
    fresh.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
