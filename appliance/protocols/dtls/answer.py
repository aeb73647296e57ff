"""Whether a server's flight answers our ClientHello, asked before OpenSSL sees any of it.

Until then anybody can write ServerHellos, and OpenSSL ends a handshake at the first that does not fit: one that a
stranger forged, or one for a ClientHello that a process of ours sent before it died. RFC 6347 section 4.1.2.7 wants
such records discarded. The signature of ServerKeyExchange covers both randoms (RFC 8422 section 5.4): who made it has
got our ClientHello. Whether the certificate is the right one is not asked here: a wrong one has to be told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appliance.protocols.dtls import records, signatures
from appliance.protocols.dtls.collector import Collector, Whole, as_records
from appliance.protocols.dtls.signatures import Verdict

CERTIFICATE, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE = 11, 12, 14
DOUBT_S = 1.0  # a flight that nothing can be said about counts when no other one comes


class Answer:
    """The server's side of a handshake as OpenSSL gets to see it: HelloVerifyRequest, a flight with a good signature,
    and after that nothing in plaintext but ChangeCipherSpec. Plaintext records are numbered anew: nothing protects
    their numbers, and OpenSSL takes none that is far behind the highest it has seen."""

    def __init__(self, client_random: bytes) -> None:
        self.good = False  # the flight has come
        self.doubtful = b""  # one that nothing can be said about; OpenSSL's when nothing better comes
        self._random = client_random
        self._collector = Collector()
        self._number = 0

    def take(self, opened: Iterable[records.Opened]) -> bytes:
        """Of what Gate has let in, what is for OpenSSL now."""
        said = [record for record, _ in opened]
        if self.good:
            return self._numbered(one for one in said if one.epoch or one.type != _HANDSHAKE)
        if records.is_verify_request(said[0].data):
            return self._numbered(filter(records.asks_to_verify, said[:1]))
        if not (found := flight(Collector(said))):
            self._collector.add(said)
            found = flight(self._collector)
        return self._judge(found) if found else b""

    def _judge(self, messages: list[Whole]) -> bytes:
        found = verdict(messages, self._random)
        self._collector = Collector()
        if found is Verdict.UNKNOWN:
            self.doubtful = as_records(messages)
        if found is not Verdict.OURS:
            return b""
        self.good = True
        return self._numbered(records.records(as_records(messages)))

    def believe(self) -> bytes:
        """The doubtful one, after all."""
        data, self.doubtful, self.good = self.doubtful, b"", True
        return self._numbered(records.records(data))

    def _numbered(self, found: Iterable[records.Record]) -> bytes:
        parts = []
        for record in found:
            if record.epoch == 0:
                record = record.numbered(self._number)
                self._number += 1
            parts.append(record.data)
        return b"".join(parts)


_HANDSHAKE = int(records.ContentType.HANDSHAKE)


def flight(collected: Collector) -> list[Whole]:
    """From ServerHello to ServerHelloDone; empty: some of it is still to come."""
    found = collected.whole(collected.first(records.SERVER_HELLO))
    done = next((at for at, one in enumerate(found, 1) if one.type == SERVER_HELLO_DONE), 0)
    return found[:done]


def verdict(messages: Sequence[tuple[int, int, bytes]], client_random: bytes) -> Verdict:
    """Of a whole flight."""
    bodies = {kind: body for _, kind, body in messages}
    hello, certificate, exchange = (
        bodies.get(kind, b"") for kind in (records.SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE)
    )
    if hello[:2] != b"\xfe\xfd" or len(hello) < 34 or exchange[:1] != b"\x03" or len(certificate) < 6:
        return Verdict.UNKNOWN
    at = 4 + exchange[3] if len(exchange) > 3 else len(exchange)  # named curve, point (RFC 8422 section 5.4)
    own = signatures.own_certificate(certificate)
    return signatures.judge(own, exchange[at:], client_random + hello[2:34] + exchange[:at])
