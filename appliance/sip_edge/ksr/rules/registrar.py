"""REGISTER: domains, bindings, the block against floods of it (rows L01-L08).

The block is the reference's, with its slip put right: it compares with `==` and counts nowhere; here an attempt is
counted when it is handled, and the comparison is `>=`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from enum import Enum

BLOCKS = "auth_block_list"  # Kamailio's hash table, as the reference names it
LOCATION = "location"  # table of bindings
SESSIONS = "wsphones"  # htable of ksr/sessions.py
LONGEST_USER = 64  # octets of a key; longer names, which a stranger made up, stand as hashes
_WRITTEN = re.compile(r"(\d{1,10}):(\d{1,12}):(\d{1,12})")


@dataclass(frozen=True)
class BlockRules:
    """`key`: user, ip, both."""

    enabled: bool = False
    attempts: int = 30
    window_s: int = 300
    block_s: int = 900
    key: str = "both"
    most: int = 50_000  # entries


@dataclass(frozen=True)
class RegistrarRules:
    enabled: bool = False
    domains: tuple[str, ...] = ()  # in lower case; empty: any
    trunk: str = ""
    block: BlockRules = field(default_factory=BlockRules)


@dataclass(frozen=True)
class Attempts:
    """Of one key; times in seconds since the epoch, 0: never."""

    auth_count: int = 0
    last_auth: int = 0
    last_block: int = 0


class Judgement(Enum):
    HANDLED = "handled"  # and counted
    BLOCKED = "blocked"  # by this attempt
    ALREADY = "already"


def judge(rules: BlockRules, seen: Attempts, now: int) -> tuple[Judgement, Attempts]:
    """What becomes of a REGISTER, and what is remembered. Both comparisons of times are strict (row L05)."""
    if seen.auth_count >= rules.attempts:
        if seen.last_block > now - rules.block_s:
            return Judgement.ALREADY, seen
        if seen.last_auth > now - rules.window_s:
            return Judgement.BLOCKED, replace(seen, last_block=now)
        seen = replace(seen, auth_count=0)
    return Judgement.HANDLED, replace(seen, auth_count=seen.auth_count + 1, last_auth=now)


def written(seen: Attempts) -> str:
    """As it stands in the hash table: one entry, for one lock guards it."""
    return f"{seen.auth_count}:{seen.last_auth}:{seen.last_block}"


def read(text: str) -> Attempts:
    """What `written` wrote; none for anything else."""
    found = _WRITTEN.fullmatch(text)
    return Attempts(*map(int, found.groups())) if found else Attempts()


def key(rules: BlockRules, user: str, source: str) -> str:
    """What is counted (row L06)."""
    if len(user.encode()) > LONGEST_USER:
        user = hashlib.sha256(user.encode()).hexdigest()
    return {"user": user, "ip": source}.get(rules.key, f"{user}@{source}")


def room(rules: BlockRules, entries: int, *, heard_us: bool) -> bool:
    """Whether one more may be counted. Half of the room is for those who answer a challenge of ours: a forged source
    does not hear it."""
    return entries < (rules.most if heard_us else rules.most // 2)


def meant(rules: RegistrarRules, host: str, ours: tuple[str, ...]) -> tuple[str, ...]:
    """Domains in which a user at `host` is looked for. A PBX calls users at an address of ours, which is no domain of
    theirs."""
    return rules.domains if rules.domains and host.strip("[]") in ours else (host,)


def is_ours(rules: RegistrarRules, domain: str) -> bool:
    return not rules.domains or domain.lower() in rules.domains
