"""NG's `loop protect`: SDP that this gateway wrote and that comes back to it (a spiral, two proxies with the same
gateway) is recognised by an attribute and passes untouched.

The attribute is a MAC over what we wrote of addresses, ports and profiles, so that nobody can put it on an SDP of his
own to be led past the gateway.
"""

from __future__ import annotations

import hashlib
import hmac

ATTRIBUTE = b"a=srtpgw:"
_OCTETS = 12


def mark(sdp: bytes, secret: bytes) -> bytes:
    """`sdp` with our mark at the end of its session part."""
    lines = sdp.split(b"\n")
    end = b"\r" if lines and lines[0].endswith(b"\r") else b""
    at = next((at for at, line in enumerate(lines) if line.startswith(b"m=")), len(lines) - 1)
    return b"\n".join([*lines[:at], ATTRIBUTE + _mac(lines, secret) + end, *lines[at:]])


def is_marked(sdp: bytes, secret: bytes) -> bool:
    """It is ours, and leads where we said."""
    lines = sdp.split(b"\n")
    marks = [line.strip()[len(ATTRIBUTE) :] for line in lines if line.startswith(ATTRIBUTE)]
    return any(hmac.compare_digest(found, _mac(lines, secret)) for found in marks[:4])


def _mac(lines: list[bytes], secret: bytes) -> bytes:
    where = b"\n".join(line.strip() for line in lines if line[:2] in (b"m=", b"c=", b"a=") and _leads(line))
    return hmac.new(secret, where, hashlib.sha256).hexdigest().encode()[: 2 * _OCTETS]


def _leads(line: bytes) -> bool:
    """Whether the line says where media goes or under which keys."""
    return line[:2] != b"a=" or line[2:].startswith((b"rtcp:", b"rtcp-mux", b"crypto:", b"candidate:"))
