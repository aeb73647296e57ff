"""Files of /proc and /sys below a root, as text, numbers and lists. What is missing or unreadable is an empty value:
an inventory says what there is, and a machine without a file is not a broken machine."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str:
    """The file without surrounding white space; "" when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip().rstrip("\0")
    except OSError:
        return ""


def number(path: Path, default: int = 0) -> int:
    """Decimal or 0x hexadecimal."""
    try:
        return int(text(path), 0)
    except ValueError:
        return default


def cpu_list(path: Path) -> frozenset[int]:
    """The kernel's list format, for example "0-3,8"."""
    return parse_list(text(path))


def parse_list(value: str) -> frozenset[int]:
    """ "0-3,8" -> {0, 1, 2, 3, 8}; what is not a number is not in it."""
    found: set[int] = set()
    for part in value.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def chosen(path: Path) -> str:
    """The word in brackets of a choice such as "always [madvise] never"; the whole text when none is bracketed."""
    value = text(path)
    _, bracket, rest = value.partition("[")
    return rest.partition("]")[0] if bracket else value


def link_name(path: Path) -> str:
    """Last part of what a symbolic link points to; "" when it is none."""
    try:
        return path.readlink().name
    except OSError:
        return ""
