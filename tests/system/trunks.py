"""Many trunks at one gateway: every policy has a pair of addresses of its own, a caller's and a callee's.

caller 10.77.1.N (trunk aN) --> gateway --> callee 10.77.2.N (trunk bN)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.sip_edge import sipp
from tests.system import lab as labs
from tests.system.calls import Call
from tests.system.gateway import TOML, Gateway

FIRST = 20  # last octet of the first pair
Setting = str | bool | int | Sequence[str]


@dataclass(frozen=True)
class Policy:
    """Settings of the trunk that calls and of the one that is called; unset ones as delivered."""

    caller: Mapping[str, Setting] = field(default_factory=dict)
    callee: Mapping[str, Setting] = field(default_factory=dict)
    number: int = 0

    @property
    def here(self) -> str:
        return f"10.77.1.{self.number}"

    @property
    def there(self) -> str:
        return f"10.77.2.{self.number}"


class Trunks:
    """The policies of one test module, by name, each at its addresses."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.policies = {
            name: replace(policy, number=FIRST + place) for place, (name, policy) in enumerate(policies.items())
        }

    def __getitem__(self, name: str) -> Policy:
        return self.policies[name]

    def start(self, lab: labs.Lab, settings: str = TOML) -> Gateway:
        for policy in self.policies.values():
            for role, address in (("access", policy.here), ("core", policy.there)):
                labs._ip("-n", labs.name(role), "address", "add", f"{address}/24", "dev", "gw")
        return Gateway(lab, extra="\n".join(map(_tables, self.policies.values())), settings=settings).start()

    def call(self, lab: labs.Lab, name: str, caller: str, callee: str = "", suite: str = "AES_CM_128_HMAC_SHA1_80",
             length_ms: int = 100) -> Call:  # fmt: skip
        """A call between the two trunks of a policy; scenarios as `dialogue` makes them."""
        policy = self[name]
        paths = [_written(lab.directory / f"{name}-{side}.xml", text) for side, text in (("a", caller), ("b", callee))]
        return Call(lab, suite, caller=paths[0], callee=paths[1] if callee else "", length_ms=length_ms,
                    here=policy.here, there=policy.there, timeout_s=15)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One m-line of an SDP body, with what this test asks about."""

    kind: str
    port: int
    protocol: str
    crypto: tuple[tuple[int, str, str], ...] = field(repr=False)  # tag, suite, inline

    @property
    def suites(self) -> tuple[str, ...]:
        return tuple(suite for _, suite, _ in self.crypto)

    @property
    def tags(self) -> tuple[int, ...]:
        return tuple(tag for tag, _, _ in self.crypto)


def sections(message: sipp.Message) -> list[Section]:
    """The m-lines of a message's body; AssertionError when a crypto line is none (RFC 4568 section 9.1)."""
    found = []
    for text in re.split(r"^(?=m=)", message.body, flags=re.MULTILINE)[1:]:
        kind, port, protocol = re.match(r"m=(\S+) (\d+) (\S+)", text).groups()  # type: ignore[union-attr]
        lines = re.findall(r"^a=crypto:.*$", text, re.MULTILINE)
        parsed = [re.fullmatch(r"a=crypto:(\d{1,9}) (\w+) inline:([A-Za-z0-9+/]+={0,2})\s*", line) for line in lines]
        assert all(parsed), lines
        crypto = tuple((int(line[1]), line[2], line[3]) for line in parsed if line)
        found.append(Section(kind, int(port), protocol, crypto))
    return found


def _tables(policy: Policy) -> str:
    sides = (("a", policy.here, f"sip:{policy.there}:5060", "access", policy.caller),
             ("b", policy.there, "", "core", policy.callee))  # fmt: skip
    return "\n".join(_table(f"{side}{policy.number}", *rest) for side, *rest in sides)


def _table(name: str, address: str, destination: str, interface: str, settings: Mapping[str, Setting]) -> str:
    values = {"name": name, "match": [f"{address}/32"], "interface": interface, **settings}
    if destination:
        values["destination"] = destination
    return "[[trunks]]\n" + "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())


def _toml(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(_toml, value))}]"


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
