"""One DTLS-SRTP association: the handshake, and what of it outlives it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial

from OpenSSL import SSL

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.protocols.dtls import answer, contexts, failures, fingerprints, finished, keys, native, proof, records
from appliance.protocols.dtls.answer import Answer
from appliance.protocols.dtls.collector import LONGEST_FLIGHT
from appliance.protocols.dtls.flight import Flight
from appliance.protocols.dtls.gate import Admitted, Gate
from appliance.protocols.dtls.outputs import NOTHING, Failed, KeysReady, Outputs, Reason
from appliance.protocols.dtls.proof import Proof

HANDSHAKE_S = 30.0  # from the first datagram to the end
ALERT_PATIENCE_S = 1.0  # a plaintext alert may be forged: it counts when the handshake does not go on
LINGER_S = 30.0  # a peer that did not get our last flight repeats its own so long
_READ = 8_192  # octets at a time: pyOpenSSL makes a buffer of that size; a flight of ours with P-256 has 1,200


class Association:
    """One handshake with one peer, in the role that the wish says (no role known yet: server).

    Nothing that is received raises. Every call gives `Outputs`; `now` is seconds of any monotonic clock. The OpenSSL
    connection (90 KiB) lives as long as the handshake. Afterwards only the last flight is kept, and for `LINGER_S`:
    everything that comes then, alerts and renegotiation included, changes nothing (security-and-faults D5).

    `cookie`: datagrams begin with a ClientHello that CookieFront has accepted. `wary`: somebody has sent records in the
    peer's name already. ValueError: our certificate is none."""

    def __init__(self, wish: DtlsMedia, *, cookie: bool, mtu: int = 1200, now: float, wary: bool = False) -> None:
        self.ended: float | None = None  # when its event, or its keys held back, came about
        self._client = bool(wish.active)
        self._context = contexts.context(wish.suites, wish.legacy)
        self._certificate = wish.certificate
        self._legacy = wish.legacy
        self._expected = tuple(wish.fingerprints)
        self._matched: Fingerprint | None = None  # of them, the one that the peer's certificate has
        self._cookie, self._mtu, self._wary = cookie, mtu, wary
        self._listened = self._client or not cookie
        self._gate, self._flight = Gate(client=self._client), Flight()
        self._connection: SSL.Connection | None = None
        self._deadline: float | None = None  # of the handshake, then of the lingering
        self._alert: tuple[int, float] | None = None  # description, and when it counts
        self._heard: list[records.Opened] = []  # by the server until its first flight
        self._room = LONGEST_FLIGHT  # octets, in it
        self._other: Answer | Proof | None = None  # what the peer is believed; None: all, it may be of an old version
        self._doubt: float | None = None  # when a flight of it counts that cannot be checked
        self._answered = -1  # newest handshake message of the peer when our last flight was made
        self._peer = b""  # its certificate
        self._refused: Failed | None = None  # by `judge`
        self._held: KeysReady | None = None
        self._farewell: tuple[bytes, ...] = ()  # for a fingerprint that turns out to be wrong later

    @property
    def next_timeout(self) -> float | None:
        """When `timeout` wants to be called; calling it early or late does no harm."""
        when = self._deadline
        if self._flight.due is not None and (when is None or self._flight.due < when):
            when = self._flight.due
        if self._alert is not None and (when is None or self._alert[1] < when):
            when = self._alert[1]
        if self._doubt is not None and (when is None or self._doubt < when):
            when = self._doubt
        return when

    @property
    def begun(self) -> bool:
        return self._deadline is not None or self.ended is not None

    @property
    def progressed(self) -> bool:
        """The peer has answered a flight of ours: it is where it says it is."""
        return bool(self._peer) or self.ended is not None

    @property
    def holds_keys(self) -> bool:
        """The handshake is complete, and `expect` will say whether its keys may be used."""
        return self._held is not None

    @property
    def spent(self) -> bool:
        """Nothing will come of it any more, whatever is received."""
        return self.ended is not None and self._deadline is None and self._held is None

    def start(self, now: float) -> Outputs:
        """As the client: the ClientHello. As the server, or begun already: nothing."""
        return self._step(now) if self._client and not self.begun and self._begin(now) else self._impossible(now)

    def receive(self, datagram: bytes, source: Address, now: float) -> Outputs:
        """A datagram of the peer. `source` is the caller's affair: there is one, or ICE validated them all."""
        if self.ended is not None:
            return Outputs(self._flight.answer(now) if _repeats(datagram) else ())
        admitted = self._gate.admit(datagram)
        if admitted.alert is not None and self._alert is None and self.begun:
            self._alert = (admitted.alert, now + ALERT_PATIENCE_S)
        if not admitted.found:
            return NOTHING
        if self._connection is None and not self._accept(admitted, now):
            return self._impossible(now)
        if self._other is not None:
            data = self._believed(self._other, admitted.found, now)
        else:
            data = admitted.data
            self._room -= len(data)
            if self._room >= 0:
                self._heard += admitted.found
        given = self._read(data, now) if data else NOTHING
        if not given.datagrams and given.event is None and admitted.oldest is not None:
            return Outputs(self._flight.answer(now) if admitted.oldest <= self._answered else ())
        return given

    def _read(self, data: bytes, now: float) -> Outputs:
        assert self._connection is not None
        self._connection.bio_write(data)
        if not self._listened and not self._listen():
            return NOTHING
        return self._step(now)

    def _believed(self, other: Answer | Proof, found: list[records.Opened], now: float) -> bytes:
        """Of a datagram of the peer, what OpenSSL may see."""
        taken = other.take(found)
        self._gate.bounded = other.good
        if other.good:
            self._doubt = None
        elif other.doubtful and self._doubt is None:
            self._doubt = now + (answer.DOUBT_S if self._client else proof.DOUBT_S)
        return taken

    def timeout(self, now: float) -> Outputs:
        """Whatever is due: a flight again, the end of patience, the end of what is kept."""
        if self._deadline is not None and now >= self._deadline:
            if self.ended is None:
                return self._fail(Failed(Reason.TIMEOUT, "the peer did not finish the handshake"), now)
            self._deadline, self._flight = None, Flight()
        if self._alert is not None and now >= self._alert[1]:
            return self._fail(failures.from_alert(self._alert[0]), now)
        if self._doubt is not None and self._other is not None and now >= self._doubt:
            self._doubt = None
            self._gate.bounded = True
            return self._read(self._other.believe(), now)
        due = self._flight.due is not None and now >= self._flight.due
        if due and self._connection is not None and not self._flight.sealed:
            self._renew(self._connection)
        again = self._flight.repeat(now)
        if again:
            self._gate.relent()
        return Outputs(again)

    def _renew(self, connection: SSL.Connection) -> None:
        """A server that has had our Finished, and whose reply was lost, takes no second record of that number for a
        repetition (RFC 6347 section 4.1.2.6; BoringSSL): it would wait for ever, and so should we."""
        try:
            connection.DTLSv1_handle_timeout()
        except SSL.Error:
            return
        if flight := self._written(connection):
            self._flight.renew(flight)

    def expect(self, fingerprints: Iterable[Fingerprint], now: float) -> Outputs:
        """What the peer's certificate has to match is known now."""
        self._expected = tuple(fingerprints)
        if isinstance(self._other, Proof):
            self._other.expected = self._expected
        self._match()
        held, self._held = self._held, None
        if not self._expected or held is None:
            self._held = held
            return NOTHING
        if self._matched is None:
            return Outputs(self._farewell, _mismatch(self._expected))
        return Outputs((), KeysReady(held.suite, held.send, held.receive, self._matched))

    # ---------------------------------------------------------------- the handshake

    @property
    def content(self) -> bool:
        """`judge` has been asked, and has nothing against the certificate."""
        return bool(self._peer) and self._refused is None

    def judge(self, certificate: bytes, *, weak: bool) -> bool:
        """OpenSSL asks, before anything depends on it; a wrong one gets an alert (mission.md row D03)."""
        self._peer = certificate
        self._match()
        if weak and not self._legacy:
            self._refused = Failed(Reason.WEAK_CERTIFICATE, "the peer's key is too short")
        elif self._expected and self._matched is None:
            self._refused = _mismatch(self._expected)
        return self._refused is None

    def _accept(self, admitted: Admitted, now: float) -> bool:
        """The server's first datagram: a ClientHello or, without cookies, any piece of one."""
        hello = records.hello(admitted.data)
        if self._client or admitted.oldest is None or (self._cookie and (hello is None or not hello.cookie)):
            return False
        return self._begin(now)

    def _listen(self) -> bool:
        """OpenSSL takes a second ClientHello for a first one only so: it counts messages from there (DTLSv1_listen)."""
        assert self._connection is not None
        try:
            self._connection.DTLSv1_listen()
        except SSL.Error:  # it finds no cookie in it: as if it had not come
            self._free()
            self._deadline, self._heard = None, []
        else:
            self._listened = True
        return self._listened

    def _begin(self, now: float) -> bool:
        if self._context is None or (self._expected and not fingerprints.deciding(self._expected)):
            return False
        self._connection = contexts.connection(self._context, self._certificate)
        self._connection.set_app_data(weakref.proxy(self))  # 90 KiB go with us, not with the next full collection
        self._connection.set_ciphertext_mtu(self._mtu)
        if self._client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self._deadline = now + HANDSHAKE_S
        return True

    def _impossible(self, now: float) -> Outputs:
        """What `_begin` refused; nothing when there is another reason not to begin."""
        if self.begun:
            return NOTHING
        if self._context is None:
            return self._fail(Failed(Reason.NO_PROFILE, "no suite of ours has a DTLS profile"), now)
        if self._expected and not fingerprints.deciding(self._expected):
            return self._fail(_mismatch(self._expected), now)
        return NOTHING

    def _step(self, now: float) -> Outputs:
        """Let OpenSSL read what it has been given, and take what it writes."""
        connection = self._connection
        assert connection is not None
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            flight = self._written(connection)
            if not flight:
                return NOTHING
            self._alert = None
            self._answered = self._gate.newest
            if self._other is None and not self._legacy:
                self._doubt_from_now_on(flight)
            sealing = partial(finished.sealing, connection, flight) if self._client else None
            return Outputs(self._flight.send(flight, now, repeat=True, sealing=sealing))
        except SSL.Error as error:
            return self._fail(self._refused or failures.from_openssl(error), now)
        return self._complete(connection, now)

    def _doubt_from_now_on(self, flight: tuple[bytes, ...]) -> None:
        """Our first flight: what answers it in plaintext has to show that it does."""
        if not self._client:
            self._other = Proof(self._heard, flight, self._expected, wary=self._wary)
        elif hello := records.hello(flight[0]):
            self._other = Answer(hello.random)
        self._gate.bounded = self._other is None
        self._heard = []

    def _complete(self, connection: SSL.Connection, now: float) -> Outputs:
        flight = self._written(connection)
        suite = keys.by_profile(connection.get_selected_srtp_profile().decode())
        if suite is None:
            return self._fail(Failed(Reason.NO_PROFILE, "the peer accepted no SRTP profile of ours"), now, flight)
        if not self._legacy and not native.extended_master_secret(connection):
            return self._fail(Failed(Reason.NO_MASTER_SECRET, "RFC 7627 is required"), now, flight)
        material = connection.export_keying_material(keys.EXPORTER_LABEL, keys.octets(suite))
        send, receive = keys.split(suite, material, client=self._client)
        matched = self._matched
        if self._expected and matched is None:  # told after the certificate had come
            return self._fail(_mismatch(self._expected), now, flight)
        ready = KeysReady(suite.name, send, receive, matched or fingerprints.of(self._peer))
        if matched is None:
            self._held = ready
            self._farewell = self._close(connection)
        return Outputs(self._end(flight, now), ready if matched else None)

    def _written(self, connection: SSL.Connection) -> tuple[bytes, ...]:
        written = b""
        try:
            written = found = connection.bio_read(_READ)
            while len(found) == _READ:
                found = connection.bio_read(_READ)
                written += found
        except SSL.WantReadError:
            pass
        return records.pack(written, self._mtu)

    # ---------------------------------------------------------------- its end

    def _match(self) -> None:
        self._matched = fingerprints.match(self._peer, self._expected) if self._peer else None

    def _fail(self, failed: Failed, now: float, flight: tuple[bytes, ...] = ()) -> Outputs:
        """The peer is told: by the alert that OpenSSL wrote, or by close_notify when it found nothing wrong."""
        told = flight
        if self._connection is not None and failed.reason not in (Reason.TIMEOUT, Reason.ALERT):
            told += self._written(self._connection) or self._close(self._connection)
        return Outputs(self._end(told, now), failed)

    def _close(self, connection: SSL.Connection) -> tuple[bytes, ...]:
        try:
            connection.shutdown()
        except SSL.Error:
            return ()
        return self._written(connection)

    def _end(self, last: tuple[bytes, ...], now: float) -> tuple[bytes, ...]:
        """`last`: the flight that is kept. Gives it as it goes out."""
        self._free()
        self._alert = self._doubt = None
        self.ended, self._deadline = now, now + LINGER_S
        return self._flight.send(last, now, repeat=False)

    def _free(self) -> None:
        if self._connection is not None:
            self._connection.set_app_data(None)
            self._connection = None


def _mismatch(expected: tuple[Fingerprint, ...]) -> Failed:
    """Not the certificate that was signalled (RFC 8122 section 6.2)."""
    if fingerprints.deciding(expected):
        return Failed(Reason.FINGERPRINT_MISMATCH, "the peer's certificate is not the one that was signalled")
    return Failed(Reason.FINGERPRINT_MISMATCH, "no fingerprint with a hash that may be used")


def _repeats(datagram: bytes) -> bool:
    """Handshake records after the handshake: the peer has not got our last flight."""
    return any(record.type == records.ContentType.HANDSHAKE for record in records.records(datagram))
