"""Permissions: who may come in, call whom, register what (rows N01-N14, J07, J08).

What the settings say, and decisions over it that need no Kamailio. The tables themselves are in Kamailio's memory.
"""

from __future__ import annotations

from dataclasses import dataclass

STEP = 1_000_000  # subnet_match_mode "longest": a group number in the view is place of the prefix * STEP + group


@dataclass(frozen=True)
class Group:
    """What a number in the column `grp` of the table `address` means."""

    number: int
    name: str
    trunk: str = ""  # whose requests its members' are; empty: as the trunks' networks say
    trusted: bool = True  # no password
    gateway: bool = False  # never banned, its address not to be registered
    deny: bool = False


@dataclass(frozen=True)
class AccessRules:
    """Off by default: nothing is looked up, the address of a trunk is proof enough."""

    ip_auth: bool = True
    address: bool = False  # the table is loaded
    trusted: bool = False
    trusted_trunk: str = ""
    longest: bool = False  # subnet_match_mode
    groups: tuple[Group, ...] = ()
    routing: bool = False  # there are permission files for calls
    register_files: bool = False
    uri: bool = False
    uri_check: tuple[str, ...] = ()
    register_include_port: bool = False
    register_protect: bool = False
    members: bool = False  # the table grp can be asked

    def group(self, found: int) -> Group | None:
        """The group of a number that Kamailio found; one without a meaning of its own is trusted, and no more."""
        number = self.number(found)
        if number < 1:
            return None
        return next((group for group in self.groups if group.number == number), Group(number, f"group-{number}"))

    def number(self, found: int) -> int:
        """The group number in what allow_address_group answered; below 1: none."""
        return found % STEP if self.longest and found > 0 else found

    @property
    def gateways(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.gateway)

    @property
    def denied(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.deny)


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as it was found out: for the event, the call's variables and the routes."""

    trunk: str = ""
    group: str = ""
    tag: str = ""
    user: str = ""  # by password
    by: str = ""  # network, address, trusted, digest, certificate
