"""Which addresses in a message are one side's business, and what the other side reads in their place (row K04).

topoh masks Via, Record-Route, Contact and Call-ID; the gateway writes its own SDP. Here is the rest: From, To, headers
that name parties or hosts (Refer-To, Referred-By, Diversion, History-Info, Warning, ...), and bodies that are no SDP.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.sip_edge.ksr.rules import replaces
from appliance.sip_edge.ksr.rules.masking import Mask
from appliance.sip_edge.ksr.rules.networks import Network, parsed

_V4 = r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"
_V6 = r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])"
_LITERAL = re.compile(f"{_V4}|{_V6}")
_HOST = re.compile(r"(sips?:(?:[^@\s<>]*@)?)(\[[0-9A-Fa-f:.]+\]|[^:;?>\s]+)(:\d+)?", re.IGNORECASE)
# What others take care of: topoh, record-routing, uac (From, To), the script; and what is no name of anything.
_TAKEN_CARE_OF = frozenset({
    "via", "v", "record-route", "route", "contact", "m", "call-id", "i", "from", "f", "to", "t", "cseq", "th",
    "max-forwards", "content-length", "l", "content-type", "c", "user-agent", "server", "p-asserted-identity",
    "remote-party-id", "p-preferred-identity", "proxy-authenticate", "www-authenticate", "authorization",
    "date", "timestamp", "replaces",
})  # fmt: skip
SIPFRAG = "message/sipfrag"
_KEPT_BY_UAC = re.compile(r"^Route[ \t]*:[^\r]*;vs[ft]=", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Sides:
    """Who sends and who receives: networks of their trunks, where the message came from, our addresses, and the one
    that stands for what is hidden (the receiver knows us by it)."""

    sender: tuple[str, ...]
    receiver: tuple[str, ...]
    source: str
    ours: tuple[str, ...]
    facing: str

    def hides(self, text: str) -> bool:
        """An address of the sender's or of ours towards it, or of any private network but the receiver's."""
        try:
            address = ipaddress.ip_address(text.strip("[]"))
        except ValueError:
            return False
        if str(address) == self.facing or address.is_unspecified or _within(address, self.receiver):
            return False
        mine = str(address) == self.source or str(address) in self.ours
        return mine or _within(address, self.sender) or not address.is_global

    def clean(self, text: str) -> str:
        """`text` with nothing hidden in it; the port goes with its address where that is a URI's."""
        text = _HOST.sub(self._host, text)
        return _LITERAL.sub(lambda found: self.facing if self.hides(found[0]) else found[0], text)

    def _host(self, found: re.Match[str]) -> str:
        if not self.hides(found[2]):
            return found[0]
        return found[1] + (f"[{self.facing}]" if ":" in self.facing else self.facing)


def hidden(text: str, sides: Sides) -> list[str]:
    """Addresses in it that are, each once."""
    return [one for one in dict.fromkeys(_LITERAL.findall(text)) if sides.hides(one)]


def changes(
    head: str, sides: Sides, drop: Callable[[str, str], bool], masks: tuple[Mask, ...] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Headers to be written anew: name, and all its values in order. `drop`: whether a header goes no further; `masks`:
    keys of Call-IDs."""
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        key = name.strip().lower()
        if not colon or key in _TAKEN_CARE_OF:
            continue
        _, before, after = found.setdefault(key, (name.strip(), [], []))
        before.append(value.strip())
        if key in ("refer-to", "r"):
            after.append(replaces.in_refer_to(value.strip(), masks, sides.clean))
        elif not drop(key, value):
            after.append(sides.clean(value.strip()) if _LITERAL.search(value) else value.strip())
    for name, before, after in found.values():
        if before != after:
            yield name, after


def body(kind: str, text: str, sides: Sides) -> str:
    """A body that is no SDP: of a message fragment (RFC 3420) the status line, which is all that RFC 3515 asks for; in
    what a program reads (XML, other fragments), addresses are replaced; what people write is theirs."""
    kind = kind.partition(";")[0].strip().lower()
    if kind == SIPFRAG:
        return sides.clean(text.lstrip().split("\r\n")[0].split("\n")[0]) + "\r\n"
    if kind.endswith("+xml") or kind.startswith("message/"):
        return sides.clean(text)
    return text


def kept_by_uac(head: str) -> bool:
    """Whether Kamailio's uac wrote From or To of this dialog into its route (vsf, vst): it restores them by itself."""
    return _KEPT_BY_UAC.search(re.sub(r"\r\n[ \t]+", " ", head)) is not None


def contacts(head: str) -> list[str]:
    """Every value of the Contact headers, in order."""
    lines = (line.partition(":") for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")[1:])
    values = [value for name, _, value in lines if name.strip().lower() in ("contact", "m")]
    return [one.strip() for value in values for one in _split(value) if one.strip()]


def _split(value: str) -> Iterator[str]:
    """At commas outside quotes and angle brackets (RFC 3261 section 7.3.1); one pass, whatever it is."""
    begun, until, escaped = 0, "", False
    for place, letter in enumerate(value):
        if escaped:
            escaped = False
        elif until:
            escaped = letter == "\\" and until == '"'
            until = "" if letter == until else until
        elif letter in '"<':
            until = '"' if letter == '"' else ">"
        elif letter == ",":
            yield value[begun:place]
            begun = place + 1
    yield value[begun:]


def at(uri: str, host: str, port: str = "") -> str:
    """The same user at another host."""
    named = f"[{host}]" if ":" in host else host
    return _HOST.sub(lambda found: f"{found[1]}{named}{port}", uri, count=1)


def host(text: str) -> str:
    """Of the first URI in it; empty when there is none."""
    found = _HOST.search(text)
    return found[2].strip("[]") if found else ""


def port_of(uri: str) -> str:
    """ ":5070", or empty."""
    found = _HOST.search(uri)
    return (found[3] or "") if found else ""


def realm(value: str) -> str:
    """Of a header with credentials (RFC 7616)."""
    found = re.search(r'\brealm="([^"]*)"', value, re.IGNORECASE)
    return found[1] if found else ""


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, texts: tuple[str, ...]) -> bool:
    networks: tuple[Network, ...] = parsed(texts)
    return any(address.version == network.version and address in network for network in networks)
