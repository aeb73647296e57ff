"""The audit log: who changed what, from what, to what. One line of JSON per change, on the disk before it counts.

Bounded: a full file becomes `audit.jsonl.1`, that one `.2`, and so on; the oldest goes. Secrets are never written.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from appliance.errors import AuditUnavailable
from appliance.telemetry.mask import mask_value

MOST_OCTETS = 8 * 1024 * 1024  # of one file
KEPT = 4  # older files
LONGEST_LINE = 64 * 1024  # before and after of a longer one are left out


@dataclass(frozen=True)
class Record:
    """One change. `number` rises by one from record to record."""

    number: int
    time: float  # since the epoch
    who: str
    action: str
    target: str
    before: Any = None
    after: Any = None


class Audit:
    """Appends to `path` (mode 0600, made at the first record) and reads it back."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, most_octets: int = MOST_OCTETS, kept: int = KEPT
    ) -> None:
        self.path = path
        self._clock, self._most_octets, self._kept = clock, most_octets, kept
        self._lock = threading.Lock()
        self._number: int | None = None  # of the last record; None: not looked up yet

    def record(self, who: str, action: str, target: str, before: Any = None, after: Any = None) -> Record:
        """Write one change and wait for the disk. AuditUnavailable."""
        with self._lock:
            try:
                if self._number is None:
                    self._number = next((record.number for record in self._newest_first()), 0)
                now, changed = round(self._clock(), 3), (_plain(before), _plain(after))
                made = Record(self._number + 1, now, who, action, target, *changed)
                self._append(_line(made))
            except OSError as error:
                raise AuditUnavailable(f"{self.path}: {error.strerror}") from None
            self._number = made.number
            return made

    def records(self, most: int, before: int | None = None) -> list[Record]:
        """The newest `most` records with a number below `before`, newest first. AuditUnavailable."""
        found: list[Record] = []
        try:
            for record in self._newest_first():
                if len(found) >= most:
                    break
                if before is None or record.number < before:
                    found.append(record)
        except OSError as error:
            raise AuditUnavailable(f"{self.path}: {error.strerror}") from None
        return found

    def _append(self, line: bytes) -> None:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                raise OSError(0, "is not a regular file")
            if state.st_size + len(line) > self._most_octets and state.st_size:
                self._rotate()
                os.close(file)
                file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            elif state.st_size and os.pread(file, 1, state.st_size - 1) != b"\n":
                line = b"\n" + line  # whoever wrote last was killed in the middle
            _write(file, line)
        finally:
            os.close(file)

    def _rotate(self) -> None:
        for age in range(self._kept, 0, -1):
            older = self._file(age - 1)
            if older.exists():
                older.replace(self._file(age))

    def _file(self, age: int) -> Path:
        return self.path if age == 0 else self.path.with_name(f"{self.path.name}.{age}")

    def _newest_first(self) -> Iterator[Record]:
        for age in range(self._kept + 1):
            try:
                lines = self._file(age).read_bytes().splitlines()
            except FileNotFoundError:
                continue
            yield from (record for line in reversed(lines) if (record := _read(line)))


def _plain(value: Any) -> Any:
    """Dataclasses by their fields, secrets masked."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return mask_value(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)


def _line(record: Record) -> bytes:
    line = _dump(record.__dict__)
    if len(line) > LONGEST_LINE:
        line = _dump({**record.__dict__, "before": None, "after": f"left out: {len(line)} octets"})
    return line


def _dump(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> Record | None:
    """A record; None for a line that a crash or a hand left damaged."""
    try:
        fields = json.loads(line)
        made = Record(**fields)
    except (ValueError, TypeError):
        return None
    return made if isinstance(made.number, int) and isinstance(made.time, int | float) else None


def _write(file: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)
