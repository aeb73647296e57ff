"""Settings that are written as one string: endpoints, port ranges, SIP listeners. `str()` gives it back."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_settings import NoDecode

T = TypeVar("T")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SIP_TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")


@dataclass(frozen=True, slots=True)
class HostPort:
    """An IP literal and a port to listen on: "127.0.0.1:2223", "[::1]:2223"."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @classmethod
    def parse(cls, text: str) -> HostPort:
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is not ADDRESS:PORT with a port of 1..65535")
        if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
            raise ValueError(f"{text!r}: write an IPv6 address in brackets, [::1]:{port}")
        return cls(ip_literal(host.strip("[]")), int(port))


@dataclass(frozen=True, slots=True)
class SipListen:
    """A socket of the SIP edge: "udp:127.0.0.1:5060"; transports udp, tcp, tls, ws, wss."""

    transport: str
    at: HostPort

    def __str__(self) -> str:
        return f"{self.transport}:{self.at}"

    @classmethod
    def parse(cls, text: str) -> SipListen:
        transport, _, rest = text.partition(":")
        if transport.lower() not in SIP_TRANSPORTS:
            raise ValueError(f"{text!r} does not begin with a transport ({', '.join(SIP_TRANSPORTS)})")
        return cls(transport.lower(), HostPort.parse(rest))


@dataclass(frozen=True, slots=True)
class PortRange:
    """UDP ports first..last, both included: "30000-39999"."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    @classmethod
    def parse(cls, text: str) -> PortRange:
        first, dash, last = (part.strip() for part in text.partition("-"))
        if not dash or not first.isdecimal() or not last.isdecimal():
            raise ValueError(f"{text!r} is not FIRST-LAST")
        if not 1024 <= int(first) < int(last) <= 65535:
            raise ValueError(f"{text!r}: ports must rise and lie within 1024..65535")
        return cls(int(first), int(last))


def ip_literal(text: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling. ValueError for names: settings never wait for DNS."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address (names are not looked up)") from None


def ip_network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"not a network such as 192.0.2.0/24: {error}") from None


def optional_ip_literal(text: str) -> str:
    return ip_literal(text) if text else ""


def _from_text(parse: Callable[[str], T]) -> BeforeValidator:
    def read(value: Any) -> Any:
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(read)


def _optional(parse: Callable[[str], T]) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            return parse(value) if value.strip() else None
        return value

    return BeforeValidator(read)


def _listed(value: Any) -> Any:
    """A list in a file; in the environment also words with commas between them, or JSON's list."""
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[] ").replace('"', "").split(",") if part.strip()]
    return value


_text = PlainSerializer(str, return_type=str)
_text_or_empty = PlainSerializer(lambda value: str(value) if value is not None else "", return_type=str)
_string = WithJsonSchema({"type": "string"})

Listen = Annotated[HostPort, _from_text(HostPort.parse), _text, _string]
OptionalListen = Annotated[HostPort | None, NoDecode, _optional(HostPort.parse), _text_or_empty, _string]
SipSocket = Annotated[SipListen, _from_text(SipListen.parse), _text, _string]
OptionalSipSocket = Annotated[SipListen | None, NoDecode, _optional(SipListen.parse), _text_or_empty, _string]
Ports = Annotated[PortRange, NoDecode, _from_text(PortRange.parse), _text, _string]
OptionalPorts = Annotated[PortRange | None, NoDecode, _optional(PortRange.parse), _text_or_empty, _string]
IPLiteral = Annotated[str, AfterValidator(ip_literal)]
OptionalIPLiteral = Annotated[str, AfterValidator(optional_ip_literal)]

# Tuples that the environment may give as "a,b".
Listens = Annotated[tuple[Listen, ...], NoDecode, BeforeValidator(_listed)]
SipSockets = Annotated[tuple[SipSocket, ...], NoDecode, BeforeValidator(_listed)]
Network = Annotated[IPNetwork, _from_text(ip_network), _text, _string]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_listed)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
