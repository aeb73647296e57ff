"""Key exchanges on the media path, joined to calls: DTLS associations of legs, and what workers say of their ICE.

media of a branch change -> `follow`: which components want an association; they are opened before the answer is
there, so that a ClientHello that comes first finds one (A4, DTLS-2)
punt -> flow -> association;   its datagrams -> the flow's socket, back to where its records come from
keys -> the branch -> `carry_out`: both directions at once, nothing passes before (DTLS-10, A9)
failure -> told; of strangers only counted (A3)
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable

from appliance.calls.keyed import Seat
from appliance.calls.keying_install import Installer
from appliance.calls.keying_parts import Associations, Counts, Inject
from appliance.calls.keying_transport import State, Transport
from appliance.calls.keying_wishes import continues, silence, wanted
from appliance.calls.media import Address, DtlsMedia, LegMedia
from appliance.calls.pinholes import Pinholes
from appliance.calls.registry import Branch, Call
from appliance.protocols.dtls.outputs import PROVEN, Failed, KeysReady, Reason
from kernels.control.commands import Punt

LINGER_S = 32.0  # a finished association answers repetitions of the peer's last flight (RFC 6347 section 4.2.4)
SECOND_CHANCE_S = 2.0  # after a failure that may be somebody else's, so long the peer may still get through
MOST_TRIES = 3  # of the active role without ICE


class Keying:
    """One per control process. `associations` is set before the first call is followed."""

    associations: Associations

    def __init__(
        self,
        installer: Installer,
        inject: Inject,
        counts: Counts,
        *,
        timeout_s: Callable[[], float] = lambda: 30.0,
        pair_of: Callable[[int, int], Address | None] = lambda worker, slot: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pair_of(worker, flow slot)`: far end of the pair that a worker has selected; asked for calls that a
        predecessor began. `now`: CLOCK_MONOTONIC in seconds."""
        self._installer, self._inject, self._counts = installer, inject, counts
        self._timeout_s, self._pair_of, self._now = timeout_s, pair_of, now
        self._numbers = itertools.count(1)
        self._of: dict[Branch, dict[Seat, Transport]] = {}
        self._routes: dict[tuple[int, int], Transport] = {}
        self._by_key: dict[int, Transport] = {}
        self._lingering: deque[tuple[float, int]] = deque()
        self._waiting: dict[Transport, None] = {}  # those with a deadline, in its order
        self.pinholes = Pinholes(now)
        installer.on_settled = self._let_go
        self.on_stun: Callable[[Transport, Punt], None] = lambda transport, punt: None  # of legs with full ICE
        self.on_expired: Callable[[Transport, Address], None] = lambda transport, far: None  # consent, says a worker

    # ---------------------------------------------------------------- what calls want

    def follow(self, call: Call, branch: Branch) -> None:
        """The media of a branch, or where they live, have changed."""
        held, wishes = self._of.get(branch), wanted(branch)
        if held is None:
            if not wishes:
                return
            held = self._of[branch] = {}
        for seat in [seat for seat in held if seat not in wishes]:
            self._forget(held.pop(seat))
        for seat, (worker, slot, leg) in wishes.items():
            transport = held.get(seat)
            if transport is None:
                transport = held[seat] = Transport(call, branch, seat)
            self._place(transport, worker, slot)
            self._want(transport, leg)
        if not held:
            del self._of[branch]

    def leave(self, branch: Branch) -> None:
        """It has ended: everything of it is freed."""
        for transport in self._of.pop(branch, {}).values():
            self._forget(transport)

    def transports(self, branch: Branch) -> Iterable[Transport]:
        """Those of a branch."""
        return self._of.get(branch, {}).values()

    def send(self, transport: Transport, data: bytes, to: Address) -> None:
        """A datagram from the flow's own socket."""
        self._inject(transport.worker, transport.slot, data, to)

    def tick(self) -> None:
        """About once a second: associations that lingered long enough, peers that never came, second chances."""
        now = self._now()
        while self._lingering and self._lingering[0][0] <= now:
            self._close(self._by_key.get(self._lingering.popleft()[1]))
        for transport in [one for one in self._waiting if one.deadline <= now or one.failed_at]:
            self._late(transport, now)
        self._installer.tick()

    def _place(self, transport: Transport, worker: int, slot: int) -> None:
        if (transport.worker, transport.slot) != (worker, slot):
            if self._routes.get((transport.worker, transport.slot)) is transport:
                del self._routes[transport.worker, transport.slot]
            transport.worker, transport.slot = worker, slot
        self._routes[worker, slot] = transport

    def _want(self, transport: Transport, leg: LegMedia) -> None:
        wish, was, ice = leg.dtls, transport.wish, leg.ice
        if ice is None or transport.ice is None or ice.local != transport.ice.local:
            transport.pair = None  # also a restart: the old pair goes on for what it carries, and for no more
        transport.ice, transport.wish = ice, wish
        if ice is None:
            transport.signalled = leg.remote_rtp if transport.seat.component == "rtp" else leg.remote_rtcp
        keys = transport.branch.keyed.get(transport.seat)
        if wish is None:
            self._close(transport)
            self._set(transport, State.NONE)
        elif keys is not None and keys.association == wish.association:
            self._waiting.pop(transport, None)
            transport.done = True
            self._set(transport, State.KEYED)
        else:
            if was is None or transport.state is State.KEYED or not continues(was, wish):
                self._open(transport, wish)
            elif wish.fingerprints != was.fingerprints:
                self.associations.expect(transport.key, wish.fingerprints, transport.signalled)
            self._start(transport, wish)

    def _open(self, transport: Transport, wish: DtlsMedia) -> None:
        self._close(transport)
        transport.begin_anew()
        transport.key = next(self._numbers)
        self._by_key[transport.key] = transport
        self.associations.open(transport.key, wish, transport.ice is None, transport.signalled)
        self._set(transport, State.WAITING)

    def _start(self, transport: Transport, wish: DtlsMedia) -> None:
        """What can begin by now: our ClientHello, the time in which the peer must come, the pinhole for its own.
        Nothing while the call rings: who offered has no answer of ours, and knows neither role nor certificate."""
        if wish.active is None or not transport.branch.answered:
            return
        now = self._now()
        if not transport.deadline and transport.state is not State.FAILED:
            transport.deadline = now + self._timeout_s()
            self._waiting[transport] = None
        where = transport.signalled if transport.ice is None else self._known_pair(transport)
        if where is None or not where.port:
            return
        if wish.active and (not transport.started or (transport.ice is None and transport.asked != where)):
            transport.started, transport.asked = True, where  # or its SDP has it elsewhere now
            transport.began(where, now)
            self._set(transport, State.HANDSHAKING)
            self.associations.go(transport.key, where)
        elif not wish.active and transport.ice is None and transport.asked != where:
            transport.asked = where
            self.send(transport, self.pinholes.request(), where)

    def _known_pair(self, transport: Transport) -> Address | None:
        if transport.pair is None and transport.call.adopted:
            transport.pair = self._pair_of(transport.worker, transport.slot)
        return transport.pair

    # ---------------------------------------------------------------- what comes from the network

    def punt(self, punt: Punt) -> None:
        """A datagram that is not media, or what a worker says of its ICE."""
        transport = self._routes.get((punt.worker, punt.flow))
        if transport is None:
            self._counts.ignored("no_association")
        elif punt.kind == "dtls":
            self._record(transport, punt)
        elif punt.kind == "ice":
            told = self.on_expired if punt.data == b"expired" else self.paired
            told(transport, Address(*punt.source))
        elif punt.kind == "stun":
            self._stun(transport, punt)

    def paired(self, transport: Transport, pair: Address) -> None:
        """Validated, or nominated; the newest one counts. What is under way goes on over it (DTLS-15)."""
        transport.pair = pair
        wish = transport.wish
        if wish is None or not transport.key or transport.done:
            return
        if transport.started:
            self.associations.go(transport.key, pair)
        else:
            self._start(transport, wish)

    def _record(self, transport: Transport, punt: Punt) -> None:
        if not transport.key:
            self._counts.ignored("no_association")
            return
        source = Address(*punt.source)
        if not transport.done:
            transport.began(source, punt.received_ns / 1e9)
            if transport.state is State.WAITING and transport.trusts(source):
                self._set(transport, State.HANDSHAKING)
        self.associations.datagram(transport.key, source, punt.data)

    def _stun(self, transport: Transport, punt: Punt) -> None:
        if transport.ice is not None:
            self.on_stun(transport, punt)
            return
        answer = self.pinholes.answer(transport, punt)
        if answer is None:
            self._counts.ignored("stun")
        else:
            self.send(transport, answer, Address(*punt.source))

    # ---------------------------------------------------------------- what associations say

    def datagram(self, key: int, to: Address, data: bytes) -> None:
        """An association sends (`Handshakes`: send): to where its newest record came from (peers #25)."""
        transport = self._by_key.get(key)
        if transport is None:
            return
        if transport.held is not None:
            transport.held.append((to, data))
        else:
            self._inject(transport.worker, transport.slot, data, to)

    def _let_go(self, transport: Transport) -> None:
        """The worker has the keys: our last flight may tell the peer to send."""
        held, transport.held = transport.held, None
        for to, data in held or ():
            self._inject(transport.worker, transport.slot, data, to)

    def event(self, key: int, source: Address, what: KeysReady | Failed) -> None:
        """An association has ended (`Handshakes`: event)."""
        transport = self._by_key.get(key)
        if transport is None:
            return
        begun = transport.begun.pop(source, None)
        if isinstance(what, Failed):
            self._failed(transport, source, what, begun)
        elif not transport.done:
            transport.done = True
            transport.failed_at = 0.0
            self._waiting.pop(transport, None)
            transport.held = []
            self._lingering.append((self._now() + LINGER_S, key))
            self._installer.add(transport, what, source, begun)

    def _failed(self, transport: Transport, source: Address, failed: Failed, begun: float | None) -> None:
        if transport.done or not transport.trusts(source):
            self._counts.ignored(failed.reason)
            return
        self._counts.ended(failed.reason, None if begun is None else self._now() - begun)
        transport.failure = f"{failed.reason}: {failed.detail}" if failed.detail else str(failed.reason)
        transport.mismatch = failed.reason is Reason.FINGERPRINT_MISMATCH
        if failed.reason is Reason.PROCESS and transport.wish is not None:
            self._open(transport, transport.wish)  # with the same certificate; a peer that begins again is served
            self._start(transport, transport.wish)
        elif transport.begun if transport.ice is not None else not (transport.mismatch or failed.reason in PROVEN):
            # others who were validated are under way: the wrong ones of several answerers. Or, without ICE, anybody
            # could send an alert in the peer's name
            transport.failed_at = self._now()
            self._waiting[transport] = None
        else:
            self._torn_down(transport)

    def _late(self, transport: Transport, now: float) -> None:
        """Its time is over, or it has failed and nobody has got through since."""
        wish = transport.wish
        if (transport.deadline and transport.deadline <= now) or wish is None:
            transport.failure = transport.failure or silence(transport)
            self._counts.ended(Reason.TIMEOUT)
            self._torn_down(transport)
        elif transport.ice is None and wish.active and transport.tries < MOST_TRIES:
            transport.tries += 1
            if transport.signalled is not None:
                self.associations.go(transport.key, transport.signalled)
        elif now - transport.failed_at >= SECOND_CHANCE_S and (
            transport.ice is not None or transport.signalled not in transport.begun
        ):
            self._torn_down(transport)

    def _torn_down(self, transport: Transport) -> None:
        """No keys will come of it, as far as anybody can tell. The association stays open for a peer that comes after
        all, unless its certificate was the wrong one."""
        self._waiting.pop(transport, None)
        transport.failed_at = 0.0
        self._set(transport, State.FAILED)
        if transport.mismatch:
            self._close(transport)
        self._installer.tear_down(transport)

    # ---------------------------------------------------------------- books

    def _set(self, transport: Transport, state: State) -> None:
        transport.state = state
        if state is State.NONE:
            transport.branch.handshakes.pop(transport.seat, None)
        else:
            failed = state is State.FAILED and transport.failure
            transport.branch.handshakes[transport.seat] = f"{state}: {transport.failure}" if failed else str(state)

    def _close(self, transport: Transport | None) -> None:
        if transport is not None and transport.key:
            self.associations.close(transport.key)
            self._by_key.pop(transport.key, None)
            transport.key = 0
            self._waiting.pop(transport, None)

    def _forget(self, transport: Transport) -> None:
        self._close(transport)
        self._installer.drop(transport)
        self.pinholes.forget(transport)
        transport.branch.handshakes.pop(transport.seat, None)
        if self._routes.get((transport.worker, transport.slot)) is transport:
            del self._routes[transport.worker, transport.slot]
