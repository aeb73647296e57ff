"""Rows of Kamailio's tables out of the files that people have: SQL dumps, CSV, db_text.

Pure: text in, rows by column name out. SQL is read for its `INSERT INTO t (...) VALUES (...), (...)` (MySQL, SQLite,
PostgreSQL) and `COPY t (...) FROM stdin` (pg_dump); nothing is executed, everything else in it is passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = str | None

# Columns in the order of Kamailio's own schema files, for INSERT without a list of columns.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": ("id", "grp", "ip_addr", "mask", "port", "tag"),
    "trusted": ("id", "src_ip", "proto", "from_pattern", "ruri_pattern", "tag", "priority"),
    "grp": ("id", "username", "domain", "grp", "last_modified"),
    "dispatcher": ("id", "setid", "destination", "flags", "priority", "attrs", "description"),
    "subscriber": ("id", "username", "domain", "password", "ha1", "ha1b"),
}


class Unreadable(ValueError):
    """`line`: where, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Row:
    """One row; every value as text, None is NULL."""

    table: str
    line: int
    values: Mapping[str, Value]


def read(text: str, table: str = "") -> list[Row]:
    """Rows of a dump in whatever form it is. `table`: whose rows they are where the file does not say (CSV, db_text).
    Unreadable."""
    kind = form(text)
    if kind == "sql":
        return list(_sql(text))
    if not table:
        raise Unreadable(1, "this file does not say which table it is of")
    return list(_db_text(text, table) if kind == "db_text" else _csv(text, table))


def form(text: str) -> str:
    """sql, db_text, csv; by what is in it. "" when it is none of them."""
    if _INSERT.search(text) or _COPY.search(text):
        return "sql"
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if re.match(r"\s*\w+\((?:int|double|string|str|blob)\b", first):
        return "db_text"
    if re.match(r'^\s*"?[A-Za-z_]\w*"?\s*([,;\t]\s*"?[A-Za-z_]\w*"?\s*)+$', first):
        return "csv"
    return ""


# -- SQL -----------------------------------------------------------------------------------------------------------

_NAME = r'(?:[`"\[]?\w+[`"\]]?\.)?[`"\[]?(\w+)[`"\]]?'
_INSERT = re.compile(
    rf"^[ \t]*(?:INSERT(?:[ \t]+(?:OR[ \t]+)?IGNORE)?|REPLACE)[ \t]+INTO\s+{_NAME}\s*(?:\(([^)]*)\)\s*)?VALUES\s*",
    re.IGNORECASE | re.MULTILINE,
)
_COPY = re.compile(rf"^COPY\s+{_NAME}\s*(?:\(([^)]*)\)\s*)?FROM\s+stdin[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(
    r"\s+|--[^\n]*|[EeNn]?'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|[(),;]|[^\s(),;'\"]+", re.DOTALL
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b"}


def _sql(text: str) -> Iterator[Row]:
    lines = _Lines(text)
    for found in _INSERT.finditer(text):
        table = found[1].lower()
        columns = _columns(table, found[2], lines.at(found.start()))
        for place, values in _tuples(text, found.end(), lines):
            yield _row(table, columns, values, lines.at(place))
    for found in _COPY.finditer(text):
        table = found[1].lower()
        columns = _columns(table, found[2], lines.at(found.start()))
        line = lines.at(found.end())
        for number, data in enumerate(text[found.end() :].split("\n")):
            if data.rstrip("\r") == "\\.":
                break
            if data:
                yield _row(table, columns, [_copied(word) for word in data.rstrip("\r").split("\t")], line + number)


def _tuples(text: str, start: int, lines: _Lines) -> Iterator[tuple[int, list[Value]]]:
    """Every (a, b, c) up to the semicolon, with its place."""
    values: list[Value] | None = None
    opened, place = start, start
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Unreadable(lines.at(place), f"not SQL: {text[place : place + 20]!r}")
        token = found[0]
        if token == "(" and values is None:
            values, opened = [], place
        elif token == ")" and values is not None:
            yield opened, values
            values = None
        elif token == ";" or (values is None and token[0].isalpha()):  # ON CONFLICT, ON DUPLICATE KEY
            break
        elif values is not None and token != "," and not token.isspace() and not token.startswith("--"):
            values.append(_literal(token))
        place = found.end()
    if values is not None:
        raise Unreadable(lines.at(opened), "a bracket is not closed")


def _literal(token: str) -> Value:
    if token.upper() in ("NULL", "DEFAULT"):
        return None
    if "'" in token or token.startswith('"'):
        quote = token[-1]
        body = token[token.index(quote) + 1 : -1].replace(quote * 2, quote)
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), body, flags=re.DOTALL)
    return token


def _copied(word: str) -> Value:
    if word == "\\N":
        return None
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), word)


def _columns(table: str, listed: str | None, line: int) -> tuple[str, ...]:
    if listed:
        return tuple(name.strip().strip('`"[]').lower() for name in listed.split(","))
    if table in COLUMNS:
        return COLUMNS[table]
    if table == "version":
        return ("id", "table_name", "table_version")
    raise Unreadable(line, f"INSERT INTO {table} does not name its columns")


class _Lines:
    """Line numbers of places in a text, without counting from the start each time."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._line = text, 0, 1

    def at(self, place: int) -> int:
        if place < self._place:
            self._place, self._line = 0, 1
        self._line += self._text.count("\n", self._place, place)
        self._place = place
        return self._line


# -- db_text and CSV -----------------------------------------------------------------------------------------------


def _db_text(text: str, table: str) -> Iterator[Row]:
    r"""`name(type,...) name(type) ...`, then rows with ":" between the columns; "\:" is a colon (db_text README)."""
    columns: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not columns:
            columns = tuple(re.findall(r"(\w+)\([^)]*\)", line))
            continue
        words = re.split(r"(?<!\\):", line)
        values = [_db_text_value(word) for word in words]
        yield _row(table, columns, values, number)


def _db_text_value(word: str) -> Value:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), word) if word else None


def _csv(text: str, table: str) -> Iterator[Row]:
    """First line: the names of the columns. Separated by commas, semicolons or tabs; empty is NULL."""
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    columns: tuple[str, ...] = ()
    try:
        for words in reader:
            if not any(word.strip() for word in words) or words[0].startswith("#"):
                continue
            if not columns:
                columns = tuple(word.strip().lower() for word in words)
            else:
                yield _row(table, columns, [word.strip() or None for word in words], reader.line_num)
    except csv.Error as error:
        raise Unreadable(reader.line_num, str(error)) from error


def _row(table: str, columns: Sequence[str], values: Sequence[Value], line: int) -> Row:
    if len(values) != len(columns):
        raise Unreadable(line, f"{len(values)} values for {len(columns)} columns of {table} ({', '.join(columns)})")
    return Row(table, line, dict(zip(columns, values, strict=True)))
