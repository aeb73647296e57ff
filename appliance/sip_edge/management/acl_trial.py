"""What would happen to a request, and which rule decides: `srtpgw acl test`.

The same settings, tables and files as the routing script has, in the same order (ksr/access.py); the look-ups that
Kamailio does there are done here as Kamailio 5.6.3 does them. A live test compares the two. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from appliance.policy import permission_file
from appliance.policy.permission_file import PermissionFile
from appliance.policy.posix_regex import compiled
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk, host_of
from appliance.sip_edge.ksr.rules import contacts, routes
from appliance.sip_edge.ksr.rules.access import Group
from appliance.sip_edge.ksr.rules.tls_peer import matches
from appliance.sip_edge.tables.access_rows import Address, Member, Trusted


@dataclass(frozen=True)
class Question:
    """One request as it would come in. `user`: who proved a password, empty: nobody."""

    source: str
    port: int = 5060
    transport: str = "udp"
    method: str = "INVITE"
    from_uri: str = "sip:anonymous@anonymous.invalid"
    uri: str = "sip:anonymous@anonymous.invalid"
    refer_to: str = ""
    contact: str = ""
    user: str = ""
    certificate: tuple[str, ...] = ()  # names in it, verified
    received_on: str = ""  # our socket ("udp:192.0.2.1:5060"); empty: any


@dataclass(frozen=True)
class Step:
    """One rule that was asked. `verdict`: pass, deny, ask (for a password), info."""

    rule: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    steps: tuple[Step, ...]
    status: int = 0  # SIP status that is answered; 0: the request goes on
    rule: str = ""  # that decided; the word of event and counter
    trunk: str = ""
    destination: str = ""
    uri_user: str = ""  # of the Request-URI as it goes on


@dataclass(frozen=True)
class Knowledge:
    """What decides: the routing table, rows in order of their ids, permission files by subject."""

    table: RoutingTable
    addresses: Sequence[Address] = ()
    trusted: Sequence[Trusted] = ()
    members: Sequence[Member] = ()
    files: Mapping[str, tuple[PermissionFile, PermissionFile]] = field(default_factory=dict)


class _Answered(Exception):
    def __init__(self, status: int, rule: str) -> None:
        self.status, self.rule = status, rule


def ask(known: Knowledge, question: Question) -> Outcome:
    """Every step of it. ValueError: the question itself is wrong (no address, no SIP URI)."""
    ipaddress.ip_address(question.source)
    for name, uri in (("from", question.from_uri), ("to", question.uri)):
        if not host_of(uri):
            raise ValueError(f"{name} {uri!r} is no SIP URI")
    trial = _Trial(known, question)
    try:
        if question.method == "REGISTER":
            trial.may_register()
            return Outcome(tuple(trial.steps), destination="registrar")
        trunk = trial.identify()
        trial.permits()
        destination, user = trial.target(trunk)
    except _Answered as answer:
        return Outcome(tuple(trial.steps), answer.status, answer.rule, trial.trunk)
    return Outcome(tuple(trial.steps), trunk=trunk.name, destination=destination, uri_user=user)


class _Trial:
    def __init__(self, known: Knowledge, question: Question) -> None:
        self.known, self.question, self.access = known, question, known.table.access
        self.steps: list[Step] = []
        self.trunk = ""

    def identify(self) -> Trunk:
        asked, table = self.question, self.known.table
        for denied in self.access.denied:
            if self.within(denied, asked.source, asked.port):
                self.end(403, "address_denied", f"{asked.source} is in group {denied.number} ({denied.name})")
        trunk, by = table.by_source(asked.source, asked.received_on), "network"
        if trunk:
            self.say("trunk_network", "pass", f"{asked.source} is in the networks of trunk {trunk.name}")
        else:
            self.say("trunk_network", "info", f"{asked.source} is in no trunk's networks")
        group = self.group(asked.source, asked.port)
        if group:
            self.say("address", "info", f"in group {group.number} ({group.name})")
        if trunk is None:
            trunk, by = self.from_tables(group)
        self.trunk = trunk.name
        if trunk.authenticate == "certificate":
            self.certificate(trunk)
        else:
            self.password(trunk, group, by)
        return trunk

    def from_tables(self, group: Group | None) -> tuple[Trunk, str]:
        table = self.known.table
        if group and group.trunk and (trunk := table.by_name(group.trunk)):
            self.say("address", "pass", f"group {group.number} belongs to trunk {trunk.name}")
            return trunk, "address"
        row = self.trusted_row()
        if row is None:
            self.end(404, "no_trunk", "no trunk, no address group with a trunk, no trusted peer")
        trunk = table.by_name(row.tag) or table.by_name(self.access.trusted_trunk)
        if trunk is None:
            self.end(403, "no_trunk_for_peer", f"trusted ({row}), but its tag {row.tag!r} names no trunk")
        self.say("trusted", "pass", f"{row} belongs to trunk {trunk.name}")
        return trunk, "trusted"

    def certificate(self, trunk: Trunk) -> None:
        shown = self.question.certificate
        found = next((name for name in trunk.peer_names if shown and matches((name,), shown)), None)
        if self.question.transport not in ("tls", "wss") or found is None:
            self.end(403, "certificate_name", f"trunk {trunk.name} wants one of {', '.join(trunk.peer_names)}")
        self.say("certificate", "pass", f"the certificate has the name {found}")

    def password(self, trunk: Trunk, group: Group | None, by: str) -> None:
        if self.access.ip_auth:
            if trunk.authenticate != "digest":
                return self.say("ip_auth", "pass", f"trunk {trunk.name} takes the address for proof")
            if by == "trusted":
                return self.say("trusted", "pass", "a trusted peer needs no password")
            if group and group.trusted:
                return self.say("address", "pass", f"group {group.number} ({group.name}) needs no password")
            if row := self.trusted_row():
                return self.say("trusted", "pass", f"{row} needs no password")
        why = f"trunk {trunk.name} wants a password" if self.access.ip_auth else "sip_access.ip_auth is off"
        if not self.question.user:
            self.say("digest", "ask", why)
            raise _Answered(407, "digest")
        return self.say("digest", "pass", f"{why}; {self.question.user} gave it")

    def permits(self) -> None:
        asked = self.question
        if self.access.routing:
            self.files("routing", "permissions_routing", asked.from_uri, _plain(asked.uri))
        values: Mapping[str, str] = {"$rt": asked.refer_to, "$fu": asked.from_uri, "$ru": asked.uri}
        for variable in self.access.uri_check if self.access.uri else ():
            if value := values.get(variable, ""):
                self.files("uri", "permissions_uri", asked.from_uri, value)

    def target(self, trunk: Trunk) -> tuple[str, str]:
        user, table = _user_of(self.question.uri), self.known.table
        route = routes.first(table.routes, trunk.name, self.question.method, user)
        if route is None:
            self.say("route", "info", f"no route: the destination of trunk {trunk.name}")
            return self.destination(trunk.destination, user)
        if route.deny:
            self.end(403, "route_denied", f"route {route.name} refuses {user}")
        if route.group and not self.member(route.group):
            self.end(403, "not_in_group", f"route {route.name}: {self.caller()} is not in group {route.group}")
        self.say("route", "pass", f"route {route.name}" + (f", in group {route.group}" if route.group else ""))
        if route.destination.startswith("trunk:"):
            callee = table.by_name(route.destination.removeprefix("trunk:"))
            return self.destination(callee.uri if callee else "", route.rewritten(user))
        return self.destination(route.destination or trunk.destination, route.rewritten(user))

    def destination(self, where: str, user: str) -> tuple[str, str]:
        if not where:
            self.end(404, "no_destination", "nobody says where it goes")
        return where, user

    def may_register(self) -> None:
        for contact in contacts.read((self.question.contact,)) if self.question.contact else ():
            trunk = self.known.table.by_source(contact.host)
            gateways = (group for group in self.access.gateways if self.within(group, contact.host, contact.port))
            if self.access.register_protect:
                if trunk is not None and trunk.authenticate == "address":
                    self.end(403, "register_gateway", f"{contact.host} is in the networks of trunk {trunk.name}")
                if group := next(gateways, None):
                    self.end(403, "register_gateway", f"{contact.host} is in group {group.number} ({group.name})")
            if self.access.register_files:
                compared = contact.with_port if self.access.register_include_port else _plain(contact.with_port)
                self.files("register_files", "permissions_register", self.question.uri, compared)

    # -- Look-ups -----------------------------------------------------------------------------------------------------

    def files(self, subject: str, rule: str, who: str, uri: str) -> None:
        allow, deny = self.known.files.get(subject, (PermissionFile(), PermissionFile()))
        verdict = permission_file.judge(allow, deny, who, [uri])
        pair = f"{who} -> {uri}"
        where = f"{subject}.{verdict.file} line {verdict.rule.line}" if verdict.rule else "no rule"
        if not verdict.allowed:
            self.end(403, rule, f"{where}: {pair}")
        self.say(rule, "pass", f"{where}: {pair}")

    def group(self, host: str, port: int) -> Group | None:
        if not self.access.address:
            return None
        row = find(self.known.addresses, host, port, longest=self.access.longest)
        return self.access.group(row.grp) if row else None

    def within(self, group: Group, host: str, port: int) -> bool:
        if not self.access.address:
            return False
        if self.access.longest:
            found = find(self.known.addresses, host, port, longest=True)
            return found is not None and found.grp == group.number
        members = [row for row in self.known.addresses if row.grp == group.number]
        return find(members, host, port) is not None

    def trusted_row(self) -> Trusted | None:
        if not self.access.trusted:
            return None
        asked = self.question
        ordered = sorted(self.known.trusted, key=lambda row: -row.priority)
        return next((row for row in ordered if _trusts(row, asked)), None)

    def member(self, group: str) -> bool:
        return self.access.members and any(
            (row.username, row.grp) == (self.caller().partition("@")[0], group) for row in self.known.members
        )

    def caller(self) -> str:
        return self.question.user or _user_of(self.question.from_uri)

    def say(self, rule: str, verdict: str, detail: str) -> None:
        self.steps.append(Step(rule, verdict, detail))

    def end(self, status: int, rule: str, detail: str) -> NoReturn:
        self.say(rule, "deny", detail)
        raise _Answered(status, rule)


def find(rows: Sequence[Address], host: str, port: int, *, longest: bool = False) -> Address | None:
    """The row that Kamailio's allow_address_group finds among `rows` (in order of their ids): single addresses first,
    the last row of several; then networks by the lowest group number, or by the longest prefix."""
    try:
        source = ipaddress.ip_address(host)
    except ValueError:
        named = [row for row in rows if row.network is None and row.ip_addr == host and _port(row, port)]
        return named[-1] if named else None
    held = [
        (row, network) for row in rows
        if (network := row.network) is not None and network.version == source.version and source in network
        and _port(row, port)
    ]  # fmt: skip
    singles = [row for row, network in held if network.num_addresses == 1]
    if singles:
        return singles[-1]
    rank: Callable[[tuple[Address, Any]], tuple[int, int]] = (
        (lambda one: (-one[1].prefixlen, one[0].grp)) if longest else (lambda one: (one[0].grp, 0))
    )
    return min(held, key=rank)[0] if held else None


def _port(row: Address, port: int) -> bool:
    return row.port in (0, port)


def _trusts(row: Trusted, asked: Question) -> bool:
    if row.src_ip != asked.source or row.proto not in ("any", asked.transport):
        return False
    pairs = ((row.from_pattern, asked.from_uri), (row.ruri_pattern, asked.uri))
    return all(not pattern or compiled(pattern, ignore_case=False).search(text) for pattern, text in pairs)


def _user_of(uri: str) -> str:
    body = uri.partition(":")[2]
    return routes.plain(body.partition("@")[0].partition(":")[0]) if "@" in body else ""


def _plain(uri: str) -> str:
    """sip:user@host, as Kamailio compares Request-URIs and Contacts: no port, no parameters."""
    user = _user_of(uri)
    return f"sip:{user}@{host_of(uri)}" if user else f"sip:{host_of(uri)}"
