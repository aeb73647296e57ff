"""rtpengine's NG control protocol, the envelope: `cookie SP body`, body bencode or JSON, the answer in the same format.

Bodies are dictionaries of str, int, float, list and dict. Octet strings become str by UTF-8 with surrogateescape, so
every octet survives; `value.octets()` and `value.text()` convert.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import cache

from appliance.protocols.ng import bencode
from appliance.protocols.ng.value import Value, octets, text
from appliance.values import frozen

MAX_MESSAGE = 131_072  # a UDP datagram is half of it; TCP and WebSocket carry no longer SDPs than that
MAX_COOKIE = 255

UNDECODABLE_BENCODE = "Could not decode bencode dictionary"  # rtpengine's words: scripts match on them
UNDECODABLE_JSON = "Failed to parse JSON document"
NO_PAYLOAD = "Invalid data (no payload)"
UNKNOWN_FORMAT = "Invalid NG data format"
NO_COMMAND = 'Dictionary contains no key "command"'
UNKNOWN_COMMAND = "Unrecognized command"
NO_CALL_ID = "No call-id in message"
NO_FROM_TAG = "No from-tag in message"
NO_TO_TAG = "No to-tag in message"
NO_SDP = "No SDP body in message"
UNKNOWN_CALL = "Unknown call-id"
UNKNOWN_CALL_ID = "Unknown call-ID"  # as the commands about media write it
NO_SUCH_TAG = "From-tag given, but no such tag exists"
NO_SUCH_ADDRESS = "Failed to match address to any tag"
NO_SUCH_LABEL = "No monologue matching the given label"
NO_MONOLOGUE = "No monologues matched"
TO_TAG_NOT_FOUND = "To-tag not found"
BROKEN_SDP = "Failed to parse SDP"
INCOMPLETE_SDP = "Incomplete SDP specification"
BAD_LIMIT = "invalid limit, must be >= 0"
LOAD_LIMIT = "load limit"  # `result` for clients that support it
TOO_MANY_SESSIONS = "Parallel session limit reached"
TOO_MUCH_LOAD = "CPU usage limit exceeded"
DELETED_UNKNOWN_CALL = "Call-ID not found or tags didn't match"

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Format(StrEnum):
    BENCODE = "bencode"
    JSON = "json"


class Malformed(Exception):
    """Not an NG message. `reason` is rtpengine's wording; `cookie` is empty when there is nobody to answer."""

    def __init__(self, reason: str, cookie: bytes = b"", format: Format = Format.BENCODE) -> None:
        super().__init__(reason)
        self.reason, self.cookie, self.format = reason, cookie, format


@frozen
class Message:
    """One request or reply."""

    cookie: bytes
    body: Mapping[str, Value] = field(repr=False)  # an SDP holds keys
    format: Format

    def word(self, key: str) -> str:
        """A string of the body; "" when it is missing or something else. rtpengine takes spaces and underscores for
        hyphens."""
        for name in _spellings(key):
            if name in self.body:
                value = self.body[name]
                return value if isinstance(value, str) else ""
        return ""

    @property
    def sdp(self) -> bytes:
        return octets(self.body.get("sdp"))


@cache  # of keys that stand in our source
def _spellings(key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key.replace("-", sign) for sign in "- _"))


def decode(datagram: bytes) -> Message:
    """Malformed and nothing else."""
    if len(datagram) > MAX_MESSAGE:
        raise Malformed("Message too long")
    cookie, space, payload = datagram.partition(b" ")
    if not space or not cookie or len(cookie) > MAX_COOKIE:
        raise Malformed("Invalid data (no cookie)")
    if not payload:
        raise Malformed(NO_PAYLOAD, cookie)
    read = _READERS.get(payload[:1])
    if read is None:
        raise Malformed(UNKNOWN_FORMAT, cookie)
    return read(cookie, payload)


def _bencode(cookie: bytes, payload: bytes) -> Message:
    try:
        body = bencode.decode(payload)
    except bencode.BencodeError:
        raise Malformed(UNDECODABLE_BENCODE, cookie) from None
    if not isinstance(body, Mapping):
        raise Malformed(UNDECODABLE_BENCODE, cookie)
    return Message(cookie, body, Format.BENCODE)


def _json(cookie: bytes, payload: bytes) -> Message:
    """RecursionError and MemoryError of the parser are bounded by MAX_MESSAGE; numbers of thousands of digits are a
    ValueError."""
    try:
        body = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed(UNDECODABLE_JSON, cookie, Format.JSON) from None
    if not isinstance(body, dict) or not _sound(body, bencode.MAX_DEPTH):
        raise Malformed(UNDECODABLE_JSON, cookie, Format.JSON)
    return Message(cookie, body, Format.JSON)


_READERS = {b"d": _bencode, b"{": _json}


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _sound(value: object, depth: int) -> bool:
    """Bounded in depth, and every string has octets: JSON can escape half a character."""
    if depth == 0:
        return False
    if isinstance(value, str):
        return _LONE_SURROGATE.search(value) is None
    if isinstance(value, dict):
        return all(_sound(key, depth) and _sound(item, depth - 1) for key, item in value.items())
    if isinstance(value, float):
        return math.isfinite(value)  # 1e999 is read as infinity, which no JSON can say
    return all(_sound(item, depth - 1) for item in value) if isinstance(value, list) else True


def encode(message: Message) -> bytes:
    """The datagram. In JSON an octet that is no UTF-8 becomes U+FFFD (JSON cannot carry it)."""
    if message.format is Format.BENCODE:
        return message.cookie + b" " + bencode.encode(message.body)
    document = json.dumps(message.body, ensure_ascii=False, separators=(",", ":"))
    return message.cookie + b" " + octets(document).decode("utf-8", "replace").encode()


def reply(request: Message, body: Mapping[str, Value]) -> bytes:
    """`body` as the answer to `request`: same cookie, same format."""
    return encode(Message(request.cookie, body, request.format))


def error(request: Message | Malformed, reason: str = "") -> bytes:
    """`result: error` with `error-reason`, as the answer to `request`; b"" when there is no cookie to answer to."""
    if not request.cookie:
        return b""
    if isinstance(request, Malformed):
        reason = reason or request.reason
    return encode(Message(request.cookie, {"result": "error", "error-reason": reason}, request.format))


__all__ = ["Format", "Malformed", "Message", "Value", "decode", "encode", "error", "octets", "reply", "text"]
