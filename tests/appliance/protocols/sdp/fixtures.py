"""The reference's SDP samples. `.sdp` files are strict SDP; `.raw.txt` are as printed, with the page's artefacts:
only this loader knows how to read those (mission.md section G: strict parser, tolerant fixture loader)."""

from __future__ import annotations

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "vectors" / "sdp_reference"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sdp"))
INDEX = {sample["file"]: sample for sample in json.loads((FOLDER / "index.json").read_text())["samples"]}


def strict(name: str) -> bytes:
    return (FOLDER / f"{name}.sdp").read_bytes()


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.raw.txt").read_bytes()


def lenient(name: str) -> bytes:
    """The printed form made SDP: indentation, a stray "." behind every line (ngrep), log lines and blanks taken off."""
    lines = [line.strip() for line in raw(name).decode().splitlines()]
    lines = [line for line in lines if re.match(r"[a-z]=", line)]
    if lines[0] == "v=0.":
        lines = [line.removesuffix(".") for line in lines]
    return "".join(f"{line}\r\n" for line in lines).encode()


def addressed(name: str, host: str = "198.51.100.7") -> bytes:
    """A strict sample with its masked addresses filled in."""
    text = strict(name).decode()
    text = re.sub(r"[xy]\.[xy]\.[xy]\.[xy]\.?", host, text)
    return re.sub(r"IN IP4\r", f"IN IP4 {host}\r", text).encode()
