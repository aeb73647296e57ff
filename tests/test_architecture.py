"""Dependencies point inward (DESIGN section 8, STYLE guide 2): read from the source, so a slip fails here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NETWORK = {"socket", "asyncio", "grpc", "ssl", "selectors", "subprocess", "sqlite3", "http"}

# folder or file -> top-level names and own packages that must not be imported there
FORBIDDEN: dict[str, set[str]] = {
    "kernels": {"appliance", "firmware_iface", "grpc", "asyncio", "srtpgw"},
    "firmware_iface": {"appliance", "kernels", "grpc", "srtpgw"},
    "appliance/protocols": NETWORK | {"kernels", "srtpgw", "time", "random", "logging", "structlog"},
    "appliance/policy": NETWORK | {"kernels", "srtpgw", "time", "random"},
    "appliance/diagnosis": NETWORK | {"kernels", "srtpgw", "time", "random", "logging", "structlog"},
    "appliance/calls/media.py": NETWORK | {"kernels", "srtpgw"},
    "appliance/calls/negotiation.py": NETWORK | {"kernels", "srtpgw", "time", "random"},
    "appliance/placement/placer.py": NETWORK | {"kernels", "srtpgw", "time", "random"},
    "appliance/errors.py": NETWORK | {"kernels", "srtpgw"},
    "appliance/cli": {"kernels"},
}
# Places whose job it is: `demo` runs media endpoints, which are a part of the data plane package.
ALLOWED = {("appliance/cli/demo.py", "kernels")}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("place", sorted(FORBIDDEN))
def test_dependencies_point_inward(place: str) -> None:
    target = ROOT / place
    files = [target] if target.suffix else sorted(target.rglob("*.py"))
    assert files
    slips = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imported(path) & FORBIDDEN[place])
        if (str(path.relative_to(ROOT)), name) not in ALLOWED
    ]
    assert not slips, "\n".join(slips)


def test_only_the_composition_root_joins() -> None:
    """Nobody imports gateway.py but the ones who start it."""
    users = [
        path.relative_to(ROOT)
        for path in (ROOT / "appliance").rglob("*.py")
        if "appliance.gateway" in path.read_text() and path.name not in {"gateway.py", "programs.py"}
    ]
    assert not users
