"""What NG bodies are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | Sequence[Value] | Mapping[str, Value] | None"
"""Octets are str by UTF-8 with surrogateescape; bool counts as int."""


def octets(value: Value) -> bytes:
    """The octets of a string value (an SDP, a Call-ID) as they came; b"" for what is no string."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b""


def text(data: bytes) -> str:
    """Octets as a string value."""
    return data.decode("utf-8", "surrogateescape")
