"""NG messages out of a stream of octets (`tcp-ng`). rtpengine's stream has no delimiter: a message ends where its
bencode value ends (checked against Debian's daemon), the next cookie follows at once. JSON bodies, which that daemon
does not take over TCP, are framed in the same way. White space between messages is skipped.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.protocols.ng.bencode import MAX_DEPTH
from appliance.protocols.ng.codec import MAX_COOKIE, MAX_MESSAGE

_SPACES = b" \r\n\t"
_MOST_DIGITS = 20


class Unframed(ValueError):
    """Where the next message begins cannot be known: the connection is of no more use."""


class Framer:
    """Feed octets, take whole messages (`cookie SP body`). Work per octet is constant, memory at most one message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._end: Callable[[bytearray], int] | None = None

    @property
    def pending(self) -> int:
        """Octets of a message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Unframed."""
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if self._end is None and not self._begin():
            return None
        assert self._end is not None
        end = self._end(self._buffer)
        if (end or len(self._buffer)) > MAX_MESSAGE:
            raise Unframed("message too long")
        if not end:
            return None
        message = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._end = None
        return message

    def _begin(self) -> bool:
        """Whether cookie and first octet of the body are there."""
        buffer = self._buffer
        start = next((at for at, octet in enumerate(buffer) if octet not in _SPACES), len(buffer))
        del buffer[:start]
        space = buffer.find(b" ", 0, MAX_COOKIE + 1)
        if space < 0:
            if len(buffer) > MAX_COOKIE:
                raise Unframed("no cookie")
            return False
        if len(buffer) < space + 2:
            return False
        first = buffer[space + 1 : space + 2]
        if first == b"d":
            self._end = _Bencode(space + 1).end
        elif first == b"{":
            self._end = _Json(space + 1).end
        else:
            raise Unframed("neither bencode nor JSON")
        return True


class _Bencode:
    """Looks for the end of one value, going on where it stopped."""

    def __init__(self, at: int) -> None:
        self._at, self._depth = at, 0

    def end(self, buffer: bytearray) -> int:
        """Index behind the value; 0: not there yet. Unframed."""
        while self._at < len(buffer):
            first = buffer[self._at]
            if first in b"dl":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise Unframed("nested too deeply")
                self._at += 1
            elif first == ord("e") and self._depth:
                self._depth -= 1
                self._at += 1
            else:
                stop = buffer.find(b"e" if first == ord("i") else b":", self._at, self._at + _MOST_DIGITS)
                if stop < 0:
                    if len(buffer) - self._at >= _MOST_DIGITS:
                        raise Unframed("broken bencode")
                    return 0
                self._at = stop + 1 if first == ord("i") else self._string(buffer, stop)
            if not self._depth:
                return self._at if self._at <= len(buffer) else 0
        return 0

    def _string(self, buffer: bytearray, colon: int) -> int:
        digits = bytes(buffer[self._at : colon])
        if not digits.isdigit():
            raise Unframed("broken bencode")
        end = colon + 1 + int(digits)
        if end > MAX_MESSAGE:
            raise Unframed("message too long")
        return end


class _Json:
    """Looks for the brace that closes the first one."""

    def __init__(self, at: int) -> None:
        self._at, self._depth, self._string, self._escaped = at, 0, False, False

    def end(self, buffer: bytearray) -> int:
        """Index behind the object; 0: not there yet."""
        for at in range(self._at, len(buffer)):
            octet = buffer[at]
            if self._escaped:
                self._escaped = False
            elif self._string:
                self._escaped, self._string = octet == ord("\\"), octet != ord('"')
            elif octet == ord('"'):
                self._string = True
            elif octet in b"{[":
                self._depth += 1
            elif octet in b"}]":
                self._depth -= 1
                if not self._depth:
                    return at + 1
        self._at = len(buffer)
        return 0
