"""Kamailio's permission files (permissions.allow, register.deny ...): what they say, and where they are wrong.

    from_list [EXCEPT from_list] : uri_list [EXCEPT uri_list]      # comment

Lists are expressions with commas between them, case-insensitive POSIX extended regular expressions, with or without
quotes; ALL alone means any. Kamailio reads the files; this reader finds their mistakes with the line, because Kamailio
only logs and skips a line that it cannot read - in a deny file that lets in what should stay out. It also answers
`srtpgw acl test`. Syntax and limits: Kamailio 5.6, permissions README section 1.1, parse_config.c, rule.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.policy.posix_regex import compiled

LONGEST_LINE = 498  # octets without the newline: what fgets of LINE_LENGTH 500 gives in one piece
LONGEST_EXPRESSION = 254  # EXPRESSION_LENGTH 256: a longer one loses the line
ALL = "ALL"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the colon. No expressions: any."""

    expressions: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        listed = not self.expressions or _any(self.expressions, text)
        return listed and not _any(self.exceptions, text)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: who, and towards what."""

    line: int
    who: Side
    uri: Side

    def matches(self, who: str, uri: str) -> bool:
        return self.who.matches(who) and self.uri.matches(uri)


@dataclass(frozen=True, slots=True)
class Mistake:
    line: int
    message: str
    warning: bool = False  # Kamailio takes the line, probably not as it was meant


@dataclass(frozen=True, slots=True)
class PermissionFile:
    """A file that was read: rules in its order, and mistakes in its order."""

    rules: tuple[Rule, ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    def find(self, who: str, uri: str) -> Rule | None:
        """The first rule that matches the pair."""
        return next((rule for rule in self.rules if rule.matches(who, uri)), None)


def read(text: str) -> PermissionFile:
    """The rules of `text`; never raises."""
    rules: list[Rule] = []
    mistakes: list[Mistake] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rule, warnings = _line(number, line.rstrip("\r"))
        except ValueError as error:
            mistakes.append(Mistake(number, str(error)))
            continue
        mistakes += [Mistake(number, warning, warning=True) for warning in warnings]
        if rule is not None:
            rules.append(rule)
    return PermissionFile(tuple(rules), tuple(mistakes))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pair of files says of one pair, and the rule that says so (None: none matched)."""

    allowed: bool
    file: str = ""  # "allow" or "deny"
    rule: Rule | None = None


def judge(allow: PermissionFile, deny: PermissionFile, who: str, uris: Sequence[str]) -> Verdict:
    """Allowed where a rule of `allow` matches, else denied where one of `deny` does, else allowed; one denied URI
    denies all (README sections 1.1 to 1.3)."""
    last = Verdict(allowed=True)
    for uri in uris:
        if rule := allow.find(who, uri):
            last = Verdict(allowed=True, file="allow", rule=rule)
        elif rule := deny.find(who, uri):
            return Verdict(allowed=False, file="deny", rule=rule)
    return last


def _line(number: int, line: str) -> tuple[Rule | None, list[str]]:
    if len(line.encode()) > LONGEST_LINE:
        raise ValueError(f"longer than {LONGEST_LINE} octets: Kamailio would read it as two lines")
    if "\0" in line:
        raise ValueError("a NUL ends the line for Kamailio")
    body, colon, quoted = _scan(line)
    if not body.strip():
        return None, []
    if quoted:
        raise ValueError('a quotation mark (") is not closed')
    if colon <= 0 or colon + 1 >= len(body):
        raise ValueError("no colon between the list of sources and the list of URIs")
    who, uri = _side(body[:colon]), _side(body[colon + 1 :])
    return Rule(number, who, uri), list(_odd(who, uri))


def _scan(line: str) -> tuple[str, int, bool]:
    """The line up to its comment, the place of the last colon outside quotes, whether a quote was left open."""
    quoted, colon = False, -1
    for place, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            colon = place
        elif character == "#" and not quoted:
            return line[:place], colon, False
    return line, colon, quoted


def _side(text: str) -> Side:
    listed, separator, excepted = text.partition(" EXCEPT ")
    listed = listed.strip()
    if not listed:
        raise ValueError("an empty list; write ALL for any")
    expressions = () if listed == ALL else tuple(_expressions(listed))
    return Side(expressions, tuple(_expressions(excepted)) if separator else ())


def _expressions(text: str) -> Iterator[str]:
    for word in _split(text):
        expression = word.strip(" \t").removeprefix('"')
        expression = expression.removesuffix('"')
        if not expression:
            raise ValueError("an empty expression in a list")
        if len(expression.encode()) > LONGEST_EXPRESSION:
            raise ValueError(f"an expression longer than {LONGEST_EXPRESSION} octets")
        try:
            compiled(expression)
        except ValueError as error:
            raise ValueError(f"bad regular expression {expression!r}: {error}") from error
        yield expression


def _split(text: str) -> Iterator[str]:
    start, quoted = 0, False
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _odd(*sides: Side) -> Iterator[str]:
    for expression in (one for side in sides for one in (*side.expressions, *side.exceptions)):
        if expression.upper() == ALL:
            yield f"{expression!r} is read as an expression; any is ALL, in capitals, alone and without quotes"
        elif " except " in f" {expression.lower()} ":
            yield "EXCEPT counts only in capitals with blanks around it"


def _any(expressions: tuple[str, ...], text: str) -> bool:
    return any(compiled(expression).search(text) for expression in expressions)
