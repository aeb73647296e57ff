"""What the documents tell people to write is what the gateway takes (P09)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.config.load import examine

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """TOML blocks of a page, each with the heading above it."""
    text = (ROOT / page).read_text()
    heads = [(found.start(), found[1]) for found in re.finditer(r"^#+ (.*)$", text, re.MULTILINE)]
    return [([name for at, name in heads if at < found.start()][-1], found[1]) for found in BLOCK.finditer(text)]


TEMPLATES = blocks("docs/peers.md")


def faults(place: Path, shared: str, text: str) -> list[str]:
    """What `srtpgw check` would say, but for files that only the reader has."""
    (place / "srtpgw.toml").write_text(shared)
    (place / "conf.d").mkdir()
    (place / "conf.d" / "peer.toml").write_text(text)
    found = examine([str(place)])
    return [f"{fault.key}: {fault.message}" for fault in found.faults if "is not there" not in fault.message]


@pytest.mark.row("P09", "P12")
@pytest.mark.parametrize("heading, text", TEMPLATES[1:], ids=[heading for heading, _ in TEMPLATES[1:]])
def test_templates(tmp_path: Path, heading: str, text: str) -> None:
    assert faults(tmp_path, TEMPLATES[0][1], text) == []


def test_there_is_a_template_for_each() -> None:
    """P09: the systems of the reference."""
    text = (ROOT / "docs/peers.md").read_text()
    assert all(name in text for name in ("FreeSWITCH", "Asterisk", "WebLogic", "Restcomm"))
    assert len(TEMPLATES) == 9


def test_a_mistake_in_a_template_is_found(tmp_path: Path) -> None:
    assert faults(tmp_path, TEMPLATES[0][1], TEMPLATES[1][1].replace("mandatory", "compulsory"))
