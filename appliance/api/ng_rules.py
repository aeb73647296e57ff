"""What NG takes from the settings, and what it makes of a message with them."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from appliance.policy.options import MediaOptions
from appliance.protocols.ng import flags
from appliance.protocols.ng.codec import Message

FAMILIES = {"IP4": 4, "IP6": 6}


@dataclass(frozen=True, slots=True)
class NgRules:
    """`defaults` lies under what a message asks for. `templates`: named flag strings; "default" and the one named
    like a command are read before the message's words."""

    defaults: Callable[[], MediaOptions] = MediaOptions
    templates: Mapping[str, str] = field(default_factory=dict)
    interfaces: Mapping[str, str] = field(default_factory=dict)  # name -> local address, the default one first
    delete_delay_s: int = 0
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)  # of loop-protect's mark

    def read(self, message: Message) -> flags.Asked:
        """The wishes of a message, interfaces resolved."""
        command = message.word("command").replace(" ", "-")
        asked = flags.interpret(message.body, self.defaults(), self.templates, first=("default", command))
        return replace(asked, options=self._interfaces(asked))

    def _interfaces(self, asked: flags.Asked) -> MediaOptions:
        """`inbound-peer`, `outbound-peer` and `address-family` choose an interface where none is named."""
        options, missing = asked.options, list(asked.options.unavailable)
        here, there = asked.value("inbound-peer"), asked.value("outbound-peer")
        a, b = self._towards(here), self._towards(there)
        options = replace(options, interface_a=a or options.interface_a, interface_b=b or options.interface_b)
        missing += [f"inbound-peer={here:.40}"] if here and not a else []
        missing += [f"outbound-peer={there:.40}"] if there and not b else []
        if options.address_family and not options.interface_b:
            found = self._of_family(options.address_family)
            options = replace(options, interface_b=found)
            missing += [] if found else [f"address-family={options.address_family:.10}"]
        return replace(options, unavailable=tuple(missing))

    def _of_family(self, family: str) -> str:
        version = FAMILIES.get(family.upper())
        return next((name for name, host in self.interfaces.items() if _version(host) == version), "")

    def _towards(self, peer: str) -> str:
        """The interface whose address the kernel would send from. A connected UDP socket sends nothing."""
        version = _version(peer)
        if not version:
            return ""
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((peer, 9))
                ours = probe.getsockname()[0]
            except OSError:
                return ""
        return next((name for name, host in self.interfaces.items() if host == ours), "")


def _version(host: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0
