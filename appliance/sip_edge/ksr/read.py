"""What a message says, whatever octets it says it in: Kamailio's Python raises at what is no UTF-8."""

from __future__ import annotations

import KSR


def socket() -> str:
    """Of ours, that the message arrived on, as settings write it: "udp:10.0.0.1:5060"."""
    return f"{str(KSR.pv.gete('$proto')).lower()}:{at()}"


def at() -> str:
    """The same without its transport: "[2001:db8::1]:5060"."""
    host = str(KSR.pv.gete("$Ri")).strip("[]")
    return f"{f'[{host}]' if ':' in host else host}:{KSR.pv.gete('$Rp')}"


def head() -> str:
    """The message without its body."""
    return text("$mb").partition("\r\n\r\n")[0]


def text(name: str) -> str:
    """The pseudo-variable `name` ("$ua"), "" when it has no value. What is no UTF-8 reads as Latin-1."""
    try:
        return str(KSR.pv.gete(name))
    except UnicodeDecodeError:
        return bytes.fromhex(KSR.pv.gete(f"$({name[1:]}{{s.encode.hexa}})")).decode("latin-1")
