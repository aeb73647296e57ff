"""docs/api.md says what the code does: every method, reason, exit code and role is in it."""

from __future__ import annotations

from pathlib import Path

from appliance import errors
from appliance.api.roles import METHODS
from appliance.api.server import SERVICES
from appliance.cli.exits import Exit
from appliance.cli.main import COMMANDS
from appliance.diagnosis.causes import ADVICE, Cause

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_methods_and_services() -> None:
    for name in SERVICES:
        assert f"`{name}`" in TEXT
    for method in METHODS:
        if method.startswith("/srtpgw."):
            assert method.rpartition("/")[2] in TEXT


def test_every_reason_stands_at_its_code() -> None:
    rows = {line.split("|")[1].strip(): line for line in TEXT.splitlines() if line.startswith("| ")}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.GatewayError):
            assert error.reason.upper().replace("-", "_") in rows[error.grpc_code]


def test_commands_and_exit_codes() -> None:
    for name in COMMANDS:
        assert f"`srtpgw {name}" in TEXT
    for code in Exit:
        assert f"\n| {int(code)} | " in TEXT


def test_every_cause_is_explained() -> None:
    """docs/operations.md has each cause with an example and the advice that is given."""
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    for cause in Cause:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{cause.value}` | "))
        assert row.endswith(f"| {ADVICE[cause]} |")
