"""Handshake messages put together from plaintext records, before OpenSSL sees any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from appliance.protocols.dtls import records

MOST_MESSAGES = 8  # a flight has five; a certificate's status may be among them
LONGEST_FLIGHT = 20_000  # octets kept of it


class Whole(NamedTuple):
    """A message of which everything is there."""

    sequence: int
    type: int
    body: bytes

    def unfragmented(self) -> bytes:
        """As the transcript of a handshake has it (RFC 6347 section 4.2.6)."""
        length = len(self.body).to_bytes(3, "big")
        return bytes((self.type,)) + length + self.sequence.to_bytes(2, "big") + bytes(3) + length + self.body


@dataclass(slots=True)
class _Message:
    """What is there of one."""

    type: int
    octets: bytearray
    there: bytearray  # 1 where an octet has come

    @property
    def whole(self) -> bool:
        return 0 not in self.there


class Collector:
    """A flight, as its fragments come in, in any order. Of two that contradict each other the later one counts."""

    def __init__(self, found: Iterable[records.Record] = ()) -> None:
        self._messages: dict[int, _Message] = {}
        self.add(found)

    def add(self, found: Iterable[records.Record]) -> None:
        """The handshake messages of plaintext records that Gate has let in."""
        for record in found:
            if record.epoch or record.type != records.ContentType.HANDSHAKE:
                continue
            at = records.RECORD_HEADER
            for message in records.messages(record.data, at):
                if message is None:
                    break
                at += records.MESSAGE_HEADER
                self._put(message, record.data[at : at + message.fragment])
                at += message.fragment

    def _put(self, message: records.Message, piece: bytes) -> None:
        held = self._messages.get(message.sequence)
        if held is None or held.type != message.type or len(held.octets) != message.length:
            others = [one for number, one in self._messages.items() if number != message.sequence]
            if len(others) >= MOST_MESSAGES or sum(len(o.octets) for o in others) + message.length > LONGEST_FLIGHT:
                self._messages.clear()
            held = _Message(message.type, bytearray(message.length), bytearray(message.length))
            self._messages[message.sequence] = held
        end = message.offset + message.fragment
        held.octets[message.offset : end] = piece
        held.there[message.offset : end] = b"\1" * message.fragment

    @property
    def newest(self) -> int:
        """Highest number of a message; -1: there is none."""
        return max(self._messages, default=-1)

    def first(self, kind: int) -> int | None:
        """Lowest number of a message of this type."""
        return min((number for number, one in self._messages.items() if one.type == kind), default=None)

    def whole(self, start: int | None) -> list[Whole]:
        """From this number on, until one is not there, or not all of it."""
        found: list[Whole] = []
        while start is not None and (one := self._messages.get(start)) is not None and one.whole:
            found.append(Whole(start, one.type, bytes(one.octets)))
            start += 1
        return found


def as_records(messages: Iterable[Whole]) -> bytes:
    """One record for each message, all with the number 0."""
    made = b""
    for one in messages:
        message = one.unfragmented()
        made += _HEADER + len(message).to_bytes(2, "big") + message
    return made


_HEADER = bytes((int(records.ContentType.HANDSHAKE), 0xFE, 0xFD)) + bytes(8)
