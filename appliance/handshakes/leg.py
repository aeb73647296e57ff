"""The associations of one transport. Usually there is one; strangers may have theirs beside it, and cannot get in its
way (security-and-faults A3, D3).

A ClientHello belongs to the association that began with the same random, anything else to those of its source; with
ICE, where every source is validated, to all (RFC 5763 section 6.7.1: the pairs of a component share one association).
A source may therefore begin again, and the first association goes on until the other one has proved itself (RFC 6347
section 4.2.8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.protocols.dtls import records
from appliance.protocols.dtls.association import Association
from appliance.protocols.dtls.cookie import CookieFront
from appliance.protocols.dtls.outputs import Failed, KeysReady, Outputs

MOST = 16  # associations of a leg
MOST_OF_HOST = 4
STALE_S = 1.0  # one that has shown no sign of life for so long gives way to a newcomer
Told = list[tuple[Address, Outputs]]


@dataclass(slots=True, eq=False)
class Entry:
    """An association, where its peer is, and the random of the ClientHello that it began with (as a server)."""

    association: Association
    source: Address
    random: bytes
    since: float
    wake: float | None = None  # the table's

    @property
    def half_open(self) -> bool:
        return self.association.ended is None

    @property
    def hopeful(self) -> bool:
        """Keys may still come of it."""
        return self.half_open or self.association.holds_keys


class Leg:
    """`cookie` and `remote` as for Handshakes.open."""

    def __init__(self, wish: DtlsMedia, *, cookie: bool, remote: Address | None, mtu: int = 1200) -> None:
        self.entries: list[Entry] = []
        self.done = False  # it has its keys: nobody else needs to come
        self.refused = 0  # newcomers for whom there was no room
        self._wish, self._cookie, self._remote, self._mtu = wish, cookie, remote, mtu
        self._wary = False  # records that belong to nothing have come in the peer's name

    @property
    def half_open(self) -> int:
        """Associations whose handshake goes on."""
        count = 0
        for entry in self.entries:
            count += entry.association.ended is None
        return count

    def go(self, source: Address, now: float) -> Told:
        """As the client. Under way already: towards that address from now on."""
        if self.done:
            return []
        for entry in self.entries:
            if self._wish.active and entry.half_open:
                entry.source = source
                return []
        self._wish = replace(self._wish, active=True)
        self.entries = [Entry(Association(self._wish, cookie=False, mtu=self._mtu, now=now), source, b"", now)]
        return self._told(self.entries[0], self.entries[0].association.start(now))

    def expect(self, fingerprints: Iterable[Fingerprint], remote: Address | None, now: float) -> Told:
        """Keys that were held back come out, of one association; or none of them had the right certificate."""
        self._remote = remote or self._remote
        self._wish = replace(self._wish, fingerprints=tuple(fingerprints))
        told: Told = []
        for entry in reversed(self.entries[:]):  # the newest that has the right certificate: its peer began again
            given = self._told(entry, entry.association.expect(self._wish.fingerprints, now))
            if self.done:
                return given
            told += given
        return told

    def datagram(self, source: Address, data: bytes, front: CookieFront, now: float, *, room: bool) -> Told:
        """`room`: more associations may be half open."""
        hello = None if self._wish.active else records.hello(data)
        found = self._of(source, hello)
        if not found:
            if hello is None or self.done:
                self._wary |= source == self._remote or not self._cookie
                return []
            verdict: bytes | Literal[True] | None = front.hello(data, source, now) if self._cookie else True
            if verdict is not True:
                return [(source, Outputs((verdict,)))] if verdict else []
            if not self._make_room(source, now, room):
                self.refused += 1
                return []
            wary = self._wary or bool(self.entries)
            association = Association(self._wish, cookie=self._cookie, mtu=self._mtu, now=now, wary=wary)
            found = [Entry(association, source, hello.random, now)]
            self.entries += found
        told: Told = []
        for entry in found:
            given = entry.association.receive(data, source, now)
            if given.datagrams or given.event:
                entry.source = source
            told += self._told(entry, given)
            if self.done:
                break
        return told

    def timeout(self, entry: Entry, now: float) -> Told:
        given = entry.association.timeout(now)
        newer = self.entries[self.entries.index(entry) + 1 :]
        if given.event is None and any(other.source == entry.source and other.half_open for other in newer):
            return []  # a peer that began again would take our repetitions for answers to its new hello
        told = self._told(entry, given)
        if entry.association.spent:
            self.entries.remove(entry)
        return told

    def _of(self, source: Address, hello: records.Hello | None) -> list[Entry]:
        if hello is not None:
            return [e for e in self.entries if e.random == hello.random and (not self._cookie or e.source == source)]
        found = [e for e in self.entries if e.source == source] or ([] if self._cookie else list(self.entries))
        return [entry for entry in found if entry.half_open] or found

    def _told(self, entry: Entry, given: Outputs) -> Told:
        """What goes out of it. One that fails while another of the same source is under way was only a beginning."""
        if isinstance(given.event, KeysReady):
            self.done, self.entries = True, [entry]
        elif isinstance(given.event, Failed) and any(
            other is not entry and other.source == entry.source and other.hopeful for other in self.entries
        ):
            self.entries.remove(entry)
            return []
        return [(entry.source, given)] if given.datagrams or given.event else []

    def _make_room(self, source: Address, now: float, room: bool) -> bool:
        """For a newcomer. Strangers of one host take each other's places, never those of the signalled source."""
        signalled = source == self._remote
        strangers = [entry for entry in self.entries if entry.source != self._remote]
        rivals = [e for e in self.entries if e.source == source] if signalled else strangers
        of_host = [entry for entry in rivals if entry.source.host == source.host]
        if len(of_host) >= MOST_OF_HOST:
            return self._displace(of_host, now)
        if not signalled and len(strangers) >= MOST - MOST_OF_HOST:
            return self._displace(strangers, now)
        return room or signalled

    def _displace(self, rivals: list[Entry], now: float) -> bool:
        """The oldest of those that failed, or whose peer never answered."""
        for entry in sorted(rivals, key=lambda entry: (entry.hopeful, entry.since)):
            if not entry.hopeful or (not entry.association.progressed and now >= entry.since + STALE_S):
                self.entries.remove(entry)
                return True
        return False
