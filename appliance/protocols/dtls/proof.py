"""Whether a client's second flight is of the peer that has got our first, asked before OpenSSL sees any of it.

Certificate, ClientKeyExchange and CertificateVerify are plaintext and have numbers that everybody knows: who forges one
ends the handshake, and with another certificate the call. CertificateVerify signs all that was said, our random with it
(RFC 5246 section 7.4.8): who made it has got our flight. To check it takes 70 us, and OpenSSL does it again, so it is
done in doubt only. There is none when the flight comes at once, with the certificate that was signalled, and nothing
else has come for it."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.calls.media import Fingerprint
from appliance.protocols.dtls import fingerprints, records, signatures
from appliance.protocols.dtls.collector import Collector, Whole, as_records
from appliance.protocols.dtls.records import Opened
from appliance.protocols.dtls.signatures import Verdict

CERTIFICATE, CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE = 11, 15, 16
DOUBT_S = 2.0  # a flight that nothing can be said about counts when no other one comes; peers repeat theirs after one


class Proof:
    """The client's side of a handshake as OpenSSL gets to see it after our ServerHello: a flight that is the peer's,
    and after that nothing in plaintext but ChangeCipherSpec. Plaintext records are numbered anew, as in `Answer`."""

    def __init__(
        self, heard: list[Opened], sent: Iterable[bytes], expected: tuple[Fingerprint, ...], *, wary: bool
    ) -> None:
        """`heard`: records with its ClientHello; `sent`: our flight. `wary`: there is doubt already."""
        self.expected = expected  # empty: the peer's fingerprints are not known yet
        self.good = False  # the flight has come
        self.doubtful = b""  # one that nothing can be said about; OpenSSL's when nothing better comes
        self._heard, self._sent, self._wary = heard, sent, wary
        self._number = max((record.number for record, _ in heard), default=0)
        self._hello = next((one.sequence for _, messages in heard for one in messages), 0)
        self._collector = Collector()
        self._behind: dict[bool, records.Record] = {}  # False: ChangeCipherSpec, True: an encrypted record

    def take(self, opened: list[Opened]) -> bytes:
        """Of what Gate has let in, what is for OpenSSL now."""
        others = [record for record, messages in opened if not messages]
        if self.good:
            return self._numbered(others)
        for record in others:  # it may be here before the rest of the flight; the last one counts
            self._behind[record.epoch > 0] = record
        found = [record for record, messages in opened if messages]
        messages = _unfragmented(opened)
        if (flight := _flight(messages, self._hello + 1)) and len(flight) == len(messages):
            return self._judge(flight, found)
        if not found or (messages and max(one.sequence for one in messages) <= self._hello):
            return b""  # the ClientHello again
        self._wary = True
        self._collector.add(found)
        flight = _flight(self._collector.whole(self._hello + 1), self._hello + 1)
        return self._judge(flight, records.records(as_records(flight))) if flight else b""

    def _judge(self, flight: list[Whole], found: list[records.Record]) -> bytes:
        """`found`: the records that it came in."""
        self._collector = Collector()
        verdict = Verdict.OURS if self._plain(flight) else self._verdict(flight)
        if verdict is Verdict.OURS:
            return self._passed(found)
        self._wary = True
        if verdict is Verdict.UNKNOWN:
            self.doubtful = b"".join(one.data for one in found)
        return b""

    def _passed(self, found: list[records.Record]) -> bytes:
        self.good, self.doubtful = True, b""
        return self._numbered(found + [self._behind[sealed] for sealed in (False, True) if sealed in self._behind])

    def believe(self) -> bytes:
        """The doubtful one, after all."""
        return self._passed(records.records(self.doubtful))

    def _plain(self, flight: list[Whole]) -> bool:
        """No reason to doubt it; if it is wrong all the same OpenSSL says so, and we tell the peer."""
        own = signatures.own_certificate(flight[0].body)
        return not self._wary and bool(own) and fingerprints.match(own, self.expected) is not None

    def _verdict(self, flight: list[Whole]) -> Verdict:
        if len(flight) < 3:
            return Verdict.UNKNOWN
        heard, sent = Collector(record for record, _ in self._heard), Collector(records.records(b"".join(self._sent)))
        said = [*heard.whole(self._hello)[:1], *sent.whole(sent.first(records.SERVER_HELLO)), *flight[:2]]
        transcript = b"".join(one.unfragmented() for one in said)
        return signatures.judge(signatures.own_certificate(flight[0].body), flight[2].body, transcript)

    def _numbered(self, found: Iterable[records.Record]) -> bytes:
        parts = []
        for record in found:
            if record.epoch == 0:
                self._number = self._number + 1 & records.HIGHEST_NUMBER
                record = record.numbered(self._number)
            parts.append(record.data)
        return b"".join(parts)


_NO_CERTIFICATE = bytes(3)  # an empty list of them


def _unfragmented(opened: list[Opened]) -> list[Whole]:
    """The messages of a datagram that has whole ones only; empty: it has others, or none."""
    whole: list[Whole] = []
    for record, messages in opened:
        at = records.RECORD_HEADER
        for kind, length, sequence, _, fragment in messages:
            if fragment != length:
                return []
            at += records.MESSAGE_HEADER + length
            whole.append(Whole(sequence, kind, record.data[at - length : at]))
    return whole


def _flight(messages: list[Whole], start: int) -> list[Whole]:
    """Certificate, ClientKeyExchange, CertificateVerify, which a client without certificate has no key for; empty: some
    of it is still to come."""
    kinds = [(one.sequence - start, one.type) for one in messages[:3]]
    if kinds == _WHOLE:
        return messages[:3]
    return messages[:2] if kinds[:2] == _WHOLE[:2] and messages[0].body == _NO_CERTIFICATE else []


_WHOLE = [(0, CERTIFICATE), (1, CLIENT_KEY_EXCHANGE), (2, CERTIFICATE_VERIFY)]
