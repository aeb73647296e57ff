"""Sanity checks, sizes and scanners (rows K01-K03): what is refused, and how it is answered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS

HEAD = 4096  # octets of request line and headers that the longest body over WebSocket may have before it


@dataclass(frozen=True)
class GuardRules:
    """Masks of Kamailio's sanity module; sizes in octets, 0: any; words of User-Agent headers, in lower case."""

    checks: int = 17895
    uri_checks: int = 7
    reply_checks: int = 17604
    reply_uri_checks: int = 6
    message: int = 0
    headers: int = 0
    body: int = 0
    header: int = 0
    method: int = 0
    uri: int = 0
    scanners: tuple[str, ...] = ()
    websocket_body: int = 0  # over WebSocket, where it is more

    def over(self, transport: str) -> GuardRules:
        """Those for messages over `transport`."""
        if transport not in TRANSPORTS or self.websocket_body <= self.body:
            return self
        message = max(self.message, self.websocket_body + HEAD)
        return replace(self, body=self.websocket_body, message=message)

    @property
    def sized(self) -> bool:
        return self.message > 0


@dataclass(frozen=True)
class Sizes:
    """Of one message. `head`: request line and headers; `uris`: From and To; all in octets."""

    message: int
    body: int
    head: str
    method: int
    ruri: int
    uris: tuple[int, ...]


def too_large(rules: GuardRules, sizes: Sizes) -> tuple[int, str, str] | None:
    """Status, phrase and rule of the first limit passed (row K03; RFC 3261 sections 21.4.9, 21.4.12, 21.5.7)."""
    if sizes.message > rules.message:
        return 513, "Message Too Large", "size_message"
    if sizes.body > rules.body:
        return 413, "Request Entity Too Large", "size_body"
    if sizes.message - sizes.body > rules.headers:
        return 513, "Message Too Large", "size_headers"
    if sizes.method > rules.method:
        return 400, "Method Too Long", "size_method"
    if sizes.ruri > rules.uri:
        return 414, "Request-URI Too Long", "size_ruri"
    if any(size > rules.uri for size in sizes.uris):
        return 400, "URI Too Long", "size_uri"
    if longest_header(sizes.head) > rules.header:
        return 400, "Header Too Long", "size_header"
    return None


def longest_header(head: str) -> int:
    """Octets of the longest header field, folded lines counted together (RFC 3261 section 7.3.1)."""
    longest = here = 0
    for line in head.split("\n")[1:]:
        size = len(line.rstrip("\r"))
        here = here + size if line[:1] in (" ", "\t") else size
        longest = max(longest, here)
    return longest


def is_scanner(rules: GuardRules, user_agent: str) -> bool:
    """Whether a User-Agent names a tool that looks for gateways to break into."""
    said = user_agent.lower()
    return any(word in said for word in rules.scanners)
