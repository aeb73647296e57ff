"""Users of the SIP edge: names, realms, and hashes of their passwords; live at once, for the script asks the database.

A password is never kept: only HA1 of each algorithm (RFC 7616 section 3.4.2), and none of these is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, select, tuple_, update

from appliance.errors import AlreadyExists, InvalidRequest, NotFound
from appliance.sip_edge.ksr.rules import auth
from appliance.sip_edge.management.edge import Changed, Edge
from appliance.sip_edge.tables import table_files
from appliance.sip_edge.tables.schema import grp, subscriber, subscriber_ha1

STRONG = tuple(name for name in auth.ALGORITHMS if name != "MD5")  # MD5 is in Kamailio's own table
SHORTEST = 8  # characters of a password
_HA1 = re.compile(r"[0-9A-Fa-f]{32}")  # of MD5


@dataclass(frozen=True, order=True)
class User:
    """`algorithms`: those that this user can prove a password with."""

    username: str
    domain: str
    algorithms: tuple[str, ...] = ()


class Subscribers:
    """Reads and changes `subscriber` (Kamailio's) and `subscriber_ha1` (ours)."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def list(self, most: int, after: tuple[str, str] = ("", "")) -> list[User]:
        """By name and realm, those behind `after`. DatabaseUnavailable."""
        return await self._edge.database.run(lambda link: _read(link, most, after))

    async def add(self, who: str, username: str, domain: str, password: str) -> User:
        """InvalidRequest, AlreadyExists, DatabaseUnavailable, AuditUnavailable."""
        _check(username, domain, password)

        def work(link: Connection) -> Changed[User]:
            if _there(link, username, domain):
                raise AlreadyExists(f"{username}@{domain} is there already")
            link.execute(insert(subscriber).values(username=username, domain=domain, password=""))
            return Changed(_hash(link, username, domain, password), None, _named(username, domain))

        return (await self._edge.change(who, "users add", f"{username}@{domain}", work)).value

    async def set_password(self, who: str, username: str, domain: str, password: str) -> User:
        """InvalidRequest, NotFound, DatabaseUnavailable, AuditUnavailable."""
        _check(username, domain, password)

        def work(link: Connection) -> Changed[User]:
            if not _there(link, username, domain):
                raise NotFound(f"there is no user {username}@{domain}")
            return Changed(_hash(link, username, domain, password), "a password", "another password")

        return (await self._edge.change(who, "users password", f"{username}@{domain}", work)).value

    async def remove(self, who: str, username: str, domain: str) -> None:
        """With its memberships of groups. NotFound, DatabaseUnavailable, AuditUnavailable."""

        def work(link: Connection) -> Changed[None]:
            if not _there(link, username, domain):
                raise NotFound(f"there is no user {username}@{domain}")
            for table in (subscriber, subscriber_ha1, grp):
                link.execute(delete(table).where(table.c.username == username, table.c.domain == domain))
            return Changed(None, _named(username, domain), None)

        await self._edge.change(who, "users remove", f"{username}@{domain}", work)

    async def load(self, who: str, text: str) -> int:
        """Import Kamailio's table `subscriber` (SQL dump, CSV, db_text), all or nothing; how many. Users that are there
        already keep their rows. A plain password without a hash becomes hashes. InvalidRequest naming the line."""
        rows = _imported(text)

        def work(link: Connection) -> Changed[int]:
            new = [row for row in rows if not _there(link, row["username"], row["domain"])]
            for row in new:
                link.execute(insert(subscriber).values({**row, "password": ""}))
                if not row["ha1"]:  # beside a hash, a password may be a placeholder that opens nothing
                    _hash(link, row["username"], row["domain"], row["password"])
            return Changed(len(new), None, {"users": len(new)})

        return (await self._edge.change(who, "users import", "subscriber", work)).value


def _check(username: str, domain: str, password: str) -> None:
    if not auth.plain(username) or "@" in username:
        raise InvalidRequest("a name has 1 to 64 characters, no space, quote, comma, semicolon or @", "username")
    if not auth.plain(domain):
        raise InvalidRequest("a realm has 1 to 64 characters, no space, quote, comma or semicolon", "domain")
    if len(password) < SHORTEST or not password.isprintable():
        raise InvalidRequest(f"a password has {SHORTEST} printable characters at least", "password")


def _there(link: Connection, username: str, domain: str) -> bool:
    found = select(subscriber.c.id).where(subscriber.c.username == username, subscriber.c.domain == domain)
    return link.execute(found).first() is not None


def _hash(link: Connection, username: str, domain: str, password: str) -> User:
    """Replace every hash of a user who is there."""
    whose = and_(subscriber.c.username == username, subscriber.c.domain == domain)
    both = auth.ha1("MD5", f"{username}@{domain}", domain, password)
    link.execute(update(subscriber).where(whose).values(ha1=auth.ha1("MD5", username, domain, password), ha1b=both))
    link.execute(delete(subscriber_ha1).where(subscriber_ha1.c.username == username, subscriber_ha1.c.domain == domain))
    link.execute(insert(subscriber_ha1), [
        {"username": username, "domain": domain, "algorithm": name, "ha1": auth.ha1(name, username, domain, password)}
        for name in STRONG
    ])  # fmt: skip
    return User(username, domain, auth.ALGORITHMS)


def _read(link: Connection, most: int, after: tuple[str, str]) -> list[User]:
    name, realm = subscriber.c.username, subscriber.c.domain
    behind = select(name, realm, subscriber.c.ha1).where(tuple_(name, realm) > after)
    page = behind.order_by(name, realm).limit(most).subquery()
    strong = subscriber_ha1.c
    whose = and_(strong.username == page.c.username, strong.domain == page.c.domain)
    both = select(page, strong.algorithm).join(subscriber_ha1, whose, isouter=True)
    rows = link.execute(both.order_by(page.c.username, page.c.domain))
    known: dict[tuple[str, str], set[str]] = {}
    for username, domain, md5, algorithm in rows:
        known.setdefault((username, domain), {"MD5"} if md5 else set()).add(algorithm or "")
    return [User(*who, tuple(one for one in auth.ALGORITHMS if one in has)) for who, has in known.items()]


def _imported(text: str) -> Sequence[dict[str, str]]:
    try:
        rows = table_files.read(text, "subscriber")
    except table_files.Unreadable as error:
        raise InvalidRequest(str(error), "text") from None
    found: list[dict[str, str]] = []
    lines: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.table != "subscriber":
            continue
        value = {name: str(row.values.get(name) or "") for name in ("username", "domain", "password", "ha1", "ha1b")}
        who = value["username"], value["domain"]
        why = _mistake(value)
        if not why and who in lines:
            why = f"{who[0]}@{who[1]} stands in line {lines[who]} too"
        if why:
            raise InvalidRequest(f"line {row.line}: {why}", "text")
        lines[who] = row.line
        found.append({**value, "ha1": value["ha1"].lower(), "ha1b": value["ha1b"].lower()})
    return found


def _mistake(value: dict[str, str]) -> str:
    if not (auth.plain(value["username"]) and auth.plain(value["domain"])):
        return "no user with a realm"
    for name in ("ha1", "ha1b"):
        if value[name] and not _HA1.fullmatch(value[name]):
            return f"{name} is no MD5 hash: 32 hexadecimal digits"
    return "" if value["password"] or value["ha1"] else "neither a password nor HA1"


def _named(username: str, domain: str) -> dict[str, str]:
    return {"username": username, "domain": domain}
