"""Destination sets as others wrote them: dispatcher.list, SQL, CSV, db_text; and the parameters of a kamailio.cfg.

Pure. What is understood becomes rows or settings; what is left out is said in `warnings`, with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.config.sip_dispatcher import SipDispatcher
from appliance.errors import InvalidRequest
from appliance.sip_edge.tables.dispatcher_rows import Row, check

COLUMNS = ("id", "setid", "destination", "flags", "priority", "attrs", "description")
ALIASES = {"flag": "flags", "dstpriority": "priority", "uri": "destination", "groupid": "setid"}

# Parameters before Kamailio 5 named variables of the script; the script here keeps its own (row O34, trap 12).
OLD = ("dst_avp", "grp_avp", "cnt_avp", "sock_avp", "dstid_avp", "attrs_avp")
INTERNAL = ("xavp_dst", "xavp_ctx", "xavp_dst_mode", "xavp_ctx_mode", "event_callback", "setid_pvname", "attrs_pvname",
            "ds_timer_mode", "ds_attrs_none", "ds_load_mode", "reload_delta", "ds_hash_size", "ds_hash_initexpire",
            "ds_hash_check_interval")  # fmt: skip

_INSERT = re.compile(
    r"INSERT\s+INTO\s+[`\"]?(?P<table>\w+)[`\"]?\s*(\((?P<columns>[^)]*)\))?\s*VALUES\s*(?P<values>.*?)(;\s*(\n|$)|$)",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETER = re.compile(
    r"^\s*modparam\(\s*\"[^\"]*\bdispatcher\b[^\"]*\"\s*,\s*\"(\w+)\"\s*,\s*(?:\"([^\"]*)\"|([\w-]+))\s*\)",
    re.MULTILINE,
)
_SELECT = re.compile(r"\bds_select(?:_dst|_domain)?\(\s*\"?(\d+)\"?\s*,\s*\"?(\d+)\"?")


@dataclass
class Found:
    """What a file holds."""

    rows: list[Row] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)  # of [sip_dispatcher]
    algorithms: dict[int, int] = field(default_factory=dict)  # by set, of ds_select_dst calls
    warnings: list[str] = field(default_factory=list)


class NotUnderstood(ValueError):
    """The file is none of these, or broken; the message names the line."""


def read(text: str) -> Found:
    """Whatever `text` is. NotUnderstood."""
    if _PARAMETER.search(text) or _SELECT.search(text):
        return _parameters(text)
    if _INSERT.search(text):
        return _sql(text)
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if re.match(r"^\w+\(\w+[^)]*\)\s", f"{first} "):
        return _db_text(text)
    if "," in first and "destination" in first.lower():
        return _csv(text)
    return _listing(text)


def _listing(text: str) -> Found:
    """`setid uri flags priority attrs`, the last three optional; flags also in hexadecimal."""
    found = Found()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not words[0].isdecimal():
            found.warnings.append(f"line {number}: {line.strip()[:40]!r} left out: it begins with no set id")
            continue
        if len(words) < 2 or len(words) > 5:
            raise NotUnderstood(f"line {number}: {len(words)} words; a line is: setid uri flags priority attrs")
        values = dict(zip(("setid", "destination", "flags", "priority", "attrs"), words, strict=False))
        found.rows.append(_row(values, f"line {number}"))
    return found


def _sql(text: str) -> Found:
    found = Found()
    for statement in _INSERT.finditer(text):
        line = text.count("\n", 0, statement.start()) + 1
        if statement["table"].lower() != "dispatcher":
            if statement["table"].lower() != "version":
                found.warnings.append(f"line {line}: table {statement['table']} left out")
            continue
        names = [name.strip(" `\"\n").lower() for name in (statement["columns"] or "").split(",") if name.strip()]
        for values in _tuples(statement["values"], line):
            columns = names or COLUMNS[: len(values)]
            if len(values) != len(columns):
                raise NotUnderstood(f"line {line}: {len(values)} values for {len(columns)} columns")
            found.rows.append(_row(dict(zip(columns, values, strict=True)), f"line {line}"))
    return found


def _tuples(text: str, line: int) -> Iterator[list[str]]:
    """The values of each pair of brackets, quotes removed and doubled quotes made one."""
    for group in re.finditer(r"\(((?:'(?:[^']|'')*'|[^()'])*)\)", text):
        values = re.findall(r"\s*('(?:[^']|'')*'|[^,]*)\s*(?:,|$)", group[1])
        if values and not values[-1] and not group[1].rstrip().endswith(","):
            values.pop()
        yield [_unquoted(value.strip()) for value in values]


def _unquoted(value: str) -> str:
    if value.startswith("'"):
        return value[1:-1].replace("''", "'")
    return "" if value.upper() == "NULL" else value


def _csv(text: str) -> Found:
    found = Found()
    for number, record in enumerate(csv.DictReader(io.StringIO(text)), 2):
        if None in record or None in record.values():
            raise NotUnderstood(f"line {number}: not as many values as columns")
        found.rows.append(_row({str(name).strip().lower(): value for name, value in record.items()}, f"line {number}"))
    return found


def _db_text(text: str) -> Found:
    """Module db_text: a line of name(type), then values between colons, with backslash escapes."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)
             if line.strip() and not line.startswith("#")]  # fmt: skip
    names = [found[1].lower() for found in re.finditer(r"(\w+)\([^)]*\)", lines[0][1])]
    found = Found()
    for number, line in lines[1:]:
        values = [_unescaped(value) for value in re.findall(r"((?:\\.|[^:\\])*)(?::|$)", line)][: len(names)]
        if len(values) != len(names):
            raise NotUnderstood(f"line {number}: {len(values)} values for {len(names)} columns")
        found.rows.append(_row(dict(zip(names, values, strict=True)), f"line {number}"))
    return found


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r", "0": ""}.get(found[1], found[1]), value)


def _parameters(text: str) -> Found:
    """modparam("dispatcher", ...) and ds_select_dst(...) of a kamailio.cfg; routes are ours."""
    found = Found()
    for parameter in _PARAMETER.finditer(text):
        name, value = parameter[1], parameter[2] if parameter[2] is not None else parameter[3]
        if name in OLD:
            found.warnings.append(f"{name}: a parameter of Kamailio before 5.0; what it held is kept by the script")
        elif name in INTERNAL:
            found.warnings.append(f"{name}: not needed here")
        elif name == "db_url":
            found.warnings.append("db_url: set sip_database.url; sets are imported from the table or a dump of it")
        elif name in SipDispatcher.model_fields:
            found.settings[name] = int(value) if re.fullmatch(r"-?\d+", value) else value
        else:
            found.warnings.append(f"{name}: there is no such setting here")
    for call in _SELECT.finditer(text):
        found.algorithms[int(call[1])] = int(call[2])
    return found


def _row(values: Mapping[str, str], where: str) -> Row:
    named = {ALIASES.get(name, name): value for name, value in values.items()}
    if not named.get("destination"):
        raise NotUnderstood(f"{where}: no destination")
    return Row(
        setid=_number(named, "setid", where), destination=named["destination"].strip(),
        flags=_number(named, "flags", where), priority=_number(named, "priority", where),
        attrs=named.get("attrs", "").strip(), description=named.get("description", "").strip(),
    )  # fmt: skip


def _number(values: Mapping[str, str], name: str, where: str) -> int:
    text = (values.get(name) or "0").strip()
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        raise NotUnderstood(f"{where}: {name} {text!r} is no number") from None


def sound(found: Found) -> list[Row]:
    """The rows that the table may hold; for each of the others a warning, as Kamailio leaves them out too."""
    kept = []
    for row in found.rows:
        try:
            check(row)
            kept.append(row)
        except InvalidRequest as error:
            found.warnings.append(f"set {row.setid}, {row.destination}: left out: {error}")
    return kept


def settings_text(found: Found) -> str:
    """What goes into the gateway's settings, as TOML."""
    lines = ["[sip_dispatcher]", *(f"{name} = {_toml(value)}" for name, value in found.settings.items())]
    for number, algorithm in sorted(found.algorithms.items()):
        lines += ["", "[[destination_sets]]", f"id = {number}", f"algorithm = {algorithm}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def listing(rows: Sequence[Row]) -> str:
    """The same rows as a dispatcher.list."""
    lines = (f"{row.setid} {row.destination} {row.flags} {row.priority} {row.attrs}" for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)
