"""Which contexts a stream needs, what they are called, which slots they get, and the commands that install them. Pure.

A leg has a context for each direction, and for a time up to two more to receive with (`LegMedia.receive_also`). Its
RTCP shares them, but where it has an association of its own (DTLS-SRTP without rtcp-mux: RFC 5764 section 4): then
RTCP has two of its own, and one more to receive with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from appliance.calls.media import ContextSpec, MasterKey, StreamMedia
from appliance.errors import InvalidRequest
from appliance.protocols.srtp import suites
from appliance.values import changed, frozen
from kernels.control.commands import AddKey, InstallCrypto, MasterKeyBytes, Transform

LEGACY_KEY_OCTETS = 24  # the suites that ContextSpec.legacy_192 is about
MOST_ALSO = 2  # of LegMedia.receive_also that the engine asks (kernels/srtp/tables.pxd)
RECEIVING = {side: (f"{side}_receive", *(f"{side}_receive_also{n}" for n in range(MOST_ALSO))) for side in "ab"}
RECEIVING_RTCP = {side: (f"{side}_rtcp_receive", f"{side}_rtcp_receive_also0") for side in "ab"}
CHAINS = (*RECEIVING.values(), *RECEIVING_RTCP.values())  # the one that is asked first stands first
SENDERS = ("a_send", "b_send", "a_rtcp_send", "b_rtcp_send")
CRYPTOS = (
    "a_receive", "a_send", "b_receive", "b_send", *RECEIVING["a"][1:], *RECEIVING["b"][1:],
    "a_rtcp_send", "b_rtcp_send", *RECEIVING_RTCP["a"], *RECEIVING_RTCP["b"],
)  # fmt: skip


@frozen
class Context:
    """One crypto slot: the command that installs its first key, the further keys (MKI), and which of them protects."""

    install: InstallCrypto = field(repr=False)
    further: tuple[AddKey, ...] = field(default=(), repr=False)
    sending: bytes = b""  # MKI, of a sender with several keys

    @property
    def keys(self) -> tuple[MasterKeyBytes, ...]:
        return (self.install.key, *(added.key for added in self.further))

    def continues(self, before: Context) -> bool:
        """Whether a slot that held `before` goes on with its ROC, windows and indices."""
        return bool(_secrets(self) & _secrets(before))


def contexts(media: StreamMedia) -> dict[str, ContextSpec]:
    """By name of CRYPTOS, those the stream uses. `receive_also` counts beside a `receive`: without it the leg is plain;
    of equal keys the first counts, and what is beyond MOST_ALSO does not."""
    named: dict[str, ContextSpec] = {}
    for side, leg in (("a", media.a), ("b", media.b)):
        if leg.receive is not None:
            named.update(zip(RECEIVING[side], _different(leg.receive, leg.receive_also), strict=False))
        if leg.send is not None:
            named[f"{side}_send"] = leg.send
        if leg.rtcp_apart:
            also = () if leg.rtcp_receive_also is None else (leg.rtcp_receive_also,)
            if leg.rtcp_receive is not None:
                named.update(zip(RECEIVING_RTCP[side], _different(leg.rtcp_receive, also), strict=False))
            if leg.rtcp_send is not None:
                named[f"{side}_rtcp_send"] = leg.rtcp_send
    return named


def _different(receive: ContextSpec, also: tuple[ContextSpec, ...]) -> list[ContextSpec]:
    specs = [receive]
    for spec in also:
        if not any(_spec_secrets(spec) & _spec_secrets(known) for known in specs):
            specs.append(spec)
    return specs


def assign_cryptos(
    media: StreamMedia, held: Mapping[str, int], installed: Mapping[int, Context], take: Callable[[], int]
) -> dict[str, int]:
    """Slots for the contexts of a stream that has `held` so far. A key keeps its slot, whatever becomes of it: the one
    before a re-key goes on beside the new one with its ROC and replay windows, an offered one that is answered becomes
    the first. What is not needed any more keeps a name too, until it is given back."""
    named = contexts(media)
    free = dict(held)
    slots: dict[str, int] = {}
    for chain in CHAINS:
        if chain[0] not in named:
            continue
        wanted = [name for name in chain if name in named]
        for name in wanted:
            for old in [old for old in chain if old in free]:
                if free[old] in installed and _holds(installed[free[old]], named[name]):
                    slots[name] = free.pop(old)
                    break
        for name in wanted:
            if name not in slots:
                spare = [old for old in (name, *chain) if old in free]
                slots[name] = free.pop(spare[0]) if spare else take()
    for name in SENDERS:
        if name in named:
            slots[name] = free.pop(name) if name in free else take()
    for old, slot in free.items():
        vacant = (name for name in (old, *_chain_of(old)) if name not in slots)
        slots[next(vacant)] = slot
    return slots


def _chain_of(name: str) -> tuple[str, ...]:
    """A sender that is not needed any more is kept under a name of the receivers' chain, if its own is taken."""
    return next((chain for chain in CHAINS if name in chain), RECEIVING[name[0]])


def cryptos(media: StreamMedia, slots: Mapping[str, int]) -> dict[int, Context]:
    """By slot, in an order in which they can be installed. InvalidRequest: keys that do not fit the suite."""
    made: dict[int, Context] = {}
    named = contexts(media)
    for chain in CHAINS:
        if chain[0] not in named:
            continue
        also = None
        for name in reversed(chain):  # the one that is asked first is installed last
            if name in named:
                made[slots[name]] = _context(slots[name], named[name], False, also)
                also = slots[name]
    for name in SENDERS:
        if name in named:
            made[slots[name]] = _context(slots[name], named[name], True)
    return made


def _holds(context: Context, spec: ContextSpec) -> bool:
    return bool(_secrets(context) & _spec_secrets(spec))


def _spec_secrets(spec: ContextSpec) -> set[tuple[bytes, bytes]]:
    return {(key.key, key.salt) for key in spec.keys}


def _secrets(context: Context) -> set[tuple[bytes, bytes]]:
    return {(key.key, key.salt) for key in context.keys}


def _context(slot: int, spec: ContextSpec, send: bool, also: int | None = None) -> Context:
    row = _row(spec.suite)
    transform = _transform(row)
    keys = _keys(spec, transform, row)
    install = InstallCrypto(
        slot=slot,
        transform=transform,
        key=keys[0],
        send=send,
        window=spec.window,
        kdr_log2=spec.kdr_log2,
        encrypt_rtp=spec.encrypt_rtp,
        encrypt_rtcp=spec.encrypt_rtcp,
        authenticate_rtp=spec.authenticate_rtp,
        ssrc_limit=spec.ssrc_limit,
        initial_roc=spec.initial_roc,
        legacy_192=spec.legacy_192 and transform.key_octets == LEGACY_KEY_OCTETS,
        roc=str(spec.roc),
        also=also,
    )
    if spec.srtcp_tag_as_srtp:
        install = changed(install, transform=changed(transform, rtcp_tag=transform.rtp_tag))
    sending = spec.sending_mki or keys[0].mki if send else b""
    return Context(install, tuple(AddKey(slot, key) for key in keys[1:]), sending)


def _keys(spec: ContextSpec, transform: Transform, row: suites.Suite) -> list[MasterKeyBytes]:
    """As commands carry them. InvalidRequest: none, of a wrong length, or not to be told apart by MKI (SR-15)."""
    if not spec.keys:
        raise InvalidRequest("a context needs at least one master key", "keys")
    keys = [_key(key, transform, row) for key in spec.keys]
    if len(keys) == 1 and spec.sending_mki in (b"", keys[0].mki):
        return keys
    mkis = {key.mki for key in keys}
    if len(mkis) < len(keys) or len({len(mki) for mki in mkis}) > 1:
        raise InvalidRequest("several keys need MKIs, different ones of one length", "keys")
    if spec.sending_mki and spec.sending_mki not in mkis:
        raise InvalidRequest("no key has the MKI to send with", "sending_mki")
    return keys


def _key(key: MasterKey, transform: Transform, row: suites.Suite) -> MasterKeyBytes:
    """A lifetime that nobody gave is the suite's (SR-14: shorter than the engine's own for some)."""
    if len(key.key) != transform.key_octets or len(key.salt) != transform.salt_octets:
        raise InvalidRequest("length of key or salt does not fit the suite", "keys")
    rtp, rtcp = key.rtp_lifetime or row.max_rtp_lifetime, key.rtcp_lifetime or row.max_rtcp_lifetime
    return MasterKeyBytes(key.key, key.salt, key.mki, rtp, rtcp)


def transform_of(suite: str) -> Transform:
    """The numbers behind a suite name. InvalidRequest when the table has no such row."""
    return _transform(_row(suite))


def _transform(row: suites.Suite) -> Transform:
    known = _TRANSFORMS.get(row.name)
    if known is None or known[0] is not row:
        transform = Transform(row.cipher, row.auth, row.key_octets, row.salt_octets, row.rtp_tag, row.rtcp_tag)
        _TRANSFORMS[row.name] = known = row, transform
    return known[1]


_TRANSFORMS: dict[str, tuple[suites.Suite, Transform]] = {}


def _row(suite: str) -> suites.Suite:
    row = suites.find(suite)
    if row is None:
        raise InvalidRequest(f"unknown suite: {suite[:40]!r}", "suite")
    return row
