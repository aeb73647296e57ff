"""The mask of Kamailio's topoh 5.6 (th_mask.c): base64 over an alphabet that a key has shuffled, behind a prefix.

Kamailio knows one key at a time. While keys are changed, what was masked under the earlier one is put under the new one
before Kamailio reads a message, and the Call-ID of such a dialog is put back when one leaves: its peer knows no other.

Pure functions over whole messages. Only what has the earlier key's prefix is touched; what does not decode stays.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"
PADDING = "*"
POLYNOMIAL = 0x8408  # CRC-16/X-25, of Kamailio's core (crcitt_string)
URI, VIA, CALL_ID = "sr-", "z9hG4bKsr-", "!!:"  # prefixes of topoh
_MASKED = r"([A-Za-z0-9.\-]+\**)"


@dataclass(frozen=True)
class Mask:
    """One key. Each has prefixes of its own, so that what is masked says under which key."""

    key: str = field(repr=False)

    @property
    def tag(self) -> str:
        """Tells keys apart, says nothing of them."""
        return hashlib.sha256(f"topoh {self.key}".encode()).hexdigest()[:4]

    @property
    def uri(self) -> str:
        return f"{URI}{self.tag}-"

    @property
    def via(self) -> str:
        return f"{VIA}{self.tag}-"

    @property
    def call_id(self) -> str:
        return f"{CALL_ID}{self.tag}:"

    def encode(self, plain: str) -> str:
        """Without a prefix. What `decode` of the same key takes back."""
        octets, table = plain.encode("latin-1"), alphabet(self.key)
        words = []
        for place in range(0, len(octets), 3):
            some = octets[place : place + 3]
            block = int.from_bytes(some.ljust(3, b"\0"), "big")
            letters = [table[block >> shift & 0x3F] for shift in (18, 12, 6, 0)]
            words.append("".join(letters[: len(some) + 1]).ljust(4, PADDING))
        return "".join(words)

    def decode(self, masked: str) -> str | None:
        """None: that is no mask of any key."""
        letters, table = masked.rstrip(PADDING), alphabet(self.key)
        if len(masked) % 4 or len(masked) - len(letters) > 2:
            return None
        try:
            values = [table.index(letter) for letter in letters]
        except ValueError:
            return None
        octets = bytearray()
        for place in range(0, len(values), 4):
            some = values[place : place + 4]
            block = sum(value << 18 - 6 * number for number, value in enumerate(some))
            octets += block.to_bytes(3, "big")[: len(some) - 1]
        return octets.decode("latin-1")


@functools.lru_cache(maxsize=8)
def alphabet(key: str) -> str:
    """topoh's table for `key` (th_shuffle)."""
    octets, letters = key.encode(), list(ALPHABET)
    digest = hashlib.md5(octets * 2, usedforsecurity=False).digest()
    words = [int.from_bytes(digest[place : place + 4], "little") for place in (0, 4, 8, 12)]
    check = _crc(octets)
    for last in range(len(letters), 1, -1):
        number = check + last + len(octets)
        chosen = (words[number % 4] + octets[number % len(octets)] & 0xFFFFFFFF) % last
        letters[chosen], letters[last - 1] = letters[last - 1], letters[chosen]
    return "".join(letters)


def inwards(message: str, earlier: Mask, mask: Mask) -> str:
    """A message that arrived, with everything that `earlier` masked under `mask`."""
    message = _again(rf"(;line=){re.escape(earlier.uri)}{_MASKED}", message, earlier, mask, mask.uri)
    message = _again(rf"(;branch=){re.escape(earlier.via)}{_MASKED}", message, earlier, mask, mask.via)
    return _again(rf"([ :=]){re.escape(earlier.call_id)}{_MASKED}", message, earlier, mask, mask.call_id)


def outwards(message: str, earlier: Mask, mask: Mask, old: Callable[[str], bool]) -> str:
    """A message that leaves, with the Call-IDs of dialogs that began under `earlier` (those that are `old`) as their
    peers know them."""
    pattern = rf"([ :=]){re.escape(mask.call_id)}{_MASKED}"
    return _again(pattern, message, mask, earlier, earlier.call_id, old)


def marked(message: str, earlier: Mask) -> bool:
    """Whether an arriving message belongs to a dialog that began under `earlier`: by its target, route or Call-ID. (A
    Via of a reply says when the request left, not when its dialog began.)"""
    return f";line={earlier.uri}" in message or earlier.call_id in message


def call_id(message: str, masks: tuple[Mask, ...]) -> str:
    """The Call-ID of a message, as whoever chose it knows it; empty when there is none."""
    found = re.search(r"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", message, re.IGNORECASE | re.MULTILINE)
    value = found[1] if found else ""
    for mask in masks:
        if value.startswith(mask.call_id):
            return mask.decode(value.removeprefix(mask.call_id)) or value
    return value


def _again(
    pattern: str, message: str, of: Mask, under: Mask, prefix: str, wanted: Callable[[str], bool] = lambda plain: True
) -> str:
    def replaced(found: re.Match[str]) -> str:
        plain = of.decode(found[2])
        if plain is None or not wanted(plain):
            return found[0]
        return f"{found[1]}{prefix}{under.encode(plain)}"

    head, end, body = message.partition("\r\n\r\n")
    return re.sub(pattern, replaced, head, flags=re.IGNORECASE) + end + body


def _crc(octets: bytes) -> int:
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
    return value ^ 0xFFFF
