"""On which line of a TOML document each key stands: what `tomllib` does not tell.

Only for documents that `tomllib` has already accepted, so this reader may trust the grammar: it finds its way over
tokens and keeps lines, never values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

Key = str | int
Path = tuple[Key, ...]

_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*"{3,5}'  # multi-line basic string
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|\[\[|\]\]|[\[\]{}=,.\n]"
    r"|[ \t\r]+"
    r"|[^\s\[\]{}=,.#\"']+"
)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    line: int


def positions(text: str) -> dict[Path, int]:
    """Line (from 1) of every table, key and array element, by its path: ("trunks", 0, "name")."""
    return _Reader(text).read()


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        found = match.group()
        if found[0] not in " \t\r#":
            yield _Token(found, line)
        line += found.count("\n")
    yield _Token("", line)


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # [[arrays of tables]] seen so far

    def read(self) -> dict[Path, int]:
        table: Path = ()
        while self._peek():
            if self._peek() == "\n":
                self._next()
            elif self._peek() in ("[", "[["):
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _peek(self) -> str:
        return self._tokens[self._at].text

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`; a name that is an array of tables means its last element."""
        opening = self._next()
        names = self._key("]" if opening.text == "[" else "]]")
        self._next()
        path: Path = ()
        for place, name in enumerate(names):
            path = (*path, name)
            self._lines.setdefault(path, opening.line)
            last = place == len(names) - 1
            if last and opening.text == "[[":
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self._lines.setdefault(path, opening.line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at].line
        path = table
        for name in self._key("="):
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._next()
        self._value(path)

    def _key(self, end: str) -> list[str]:
        names = []
        while self._peek() != end:
            text = self._next().text
            if text != ".":
                names.append(_unquoted(text))
        return names

    def _value(self, path: Path) -> None:
        text = self._peek()
        if text in ("[", "[["):
            self._array(path)
        elif text == "{":
            self._next()
            while self._skip_to_item("}"):
                self._pair(path)
        else:  # a scalar, which may hold dots and blanks (dates, floats)
            while self._peek() not in ("\n", ",", "]", "]]", "}", ""):
                self._next()

    def _array(self, path: Path) -> None:
        # "[[" at the start of a value is two opening brackets, and "]]" two closing ones.
        self._split()
        self._next()
        place = 0
        while self._skip_to_item("]"):
            self._lines[(*path, place)] = self._tokens[self._at].line
            self._value((*path, place))
            place += 1

    def _skip_to_item(self, end: str) -> bool:
        while self._peek() in ("\n", ","):
            self._next()
        self._split()
        if self._peek() in (end, ""):
            self._next()
            return False
        return True

    def _split(self) -> None:
        token = self._tokens[self._at]
        if token.text in ("[[", "]]"):
            half = _Token(token.text[0], token.line)
            self._tokens[self._at : self._at + 1] = [half, half]


def _unquoted(text: str) -> str:
    return str(tomllib.loads(f"{text}=0").popitem()[0]) if text[0] in "\"'" else text
