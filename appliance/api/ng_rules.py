"""What NG takes from the settings, and what it makes of a message with them."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Mapping

from appliance.policy.options import MediaOptions
from appliance.protocols.ng.codec import Message
from appliance.protocols.ng.flags import Asked
from appliance.protocols.ng.remembered import Words
from appliance.values import changed

FAMILIES = {"IP4": 4, "IP6": 6}


class NgRules:
    """`defaults` lies under what a message asks for. `templates`: named flag strings; "default" and the one named
    like a command are read before the message's words. `interfaces`: name -> local address, the default one first.
    `secret` is that of loop-protect's mark."""

    def __init__(
        self,
        defaults: Callable[[], MediaOptions] = MediaOptions,
        templates: Mapping[str, str] | None = None,
        interfaces: Mapping[str, str] | None = None,
        delete_delay_s: int = 0,
        secret: bytes | None = None,
    ) -> None:
        self.interfaces, self.delete_delay_s = interfaces or {}, delete_delay_s
        self.secret = secret or secrets.token_bytes(16)
        self._defaults, self._words = defaults, Words(templates or {})

    def read(self, message: Message) -> Asked:
        """The wishes of a message, interfaces resolved."""
        command = message.word("command").replace(" ", "-")
        asked = self._words.read(message.body, self._defaults(), command)
        here, there = asked.value("inbound-peer"), asked.value("outbound-peer")
        if here or there or asked.options.address_family:
            return Asked(self._interfaces(asked.options, here, there), asked.values)
        return asked

    def _interfaces(self, options: MediaOptions, here: str, there: str) -> MediaOptions:
        """`inbound-peer`, `outbound-peer` and `address-family` choose an interface where none is named."""
        missing = list(options.unavailable)
        a, b = self._towards(here), self._towards(there)
        options = changed(options, interface_a=a or options.interface_a, interface_b=b or options.interface_b)
        missing += [f"inbound-peer={here:.40}"] if here and not a else []
        missing += [f"outbound-peer={there:.40}"] if there and not b else []
        if options.address_family and not options.interface_b:
            found = self._of_family(options.address_family)
            options = changed(options, interface_b=found)
            missing += [] if found else [f"address-family={options.address_family:.10}"]
        return changed(options, unavailable=tuple(missing))

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
