"""SDES on one leg (RFC 4568 section 5.1): which line of an offer to take, what to answer, what to offer, and the
contexts that come of it. Pure; randomness is handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from appliance.calls.media import ContextSpec, MasterKey, RocPolicy
from appliance.policy import suites as suite_policy
from appliance.policy.options import Choice, SdesOptions
from appliance.policy.secure_media import SecureMedia
from appliance.protocols.sdes.crypto import Crypto, InlineKey, InvalidCrypto, Parameters, parse
from appliance.protocols.srtp.suites import Suite

NO_PARAMETERS = Parameters()
DRAWS = 8  # a key drawn twice means a broken random source; do not try for ever


class NoKey(ValueError):
    """No line of an offer or answer can be used; the text says why, line by line, without keys."""


def read(values: Iterable[str], sdes: SdesOptions) -> tuple[list[Crypto], list[str]]:
    """Valid lines in order, and why the others are treated as absent (SDES-3). A tag used twice spoils the later line
    (SDES-2)."""
    lines: dict[int, Crypto] = {}
    faults = []
    for at, value in enumerate(values, 1):
        try:
            line = parse(value, liberal_lifetime=sdes.liberal_lifetime)
        except InvalidCrypto as fault:
            faults.append(f"a=crypto line {at}: {fault}")
            continue
        if line.tag in lines:
            faults.append(f"a=crypto line {at}: tag used before")
        else:
            lines[line.tag] = line
    return list(lines.values()), faults


def choose(
    values: Sequence[str],
    sdes: SdesOptions,
    policy: SecureMedia | None,
    ours: Collection[bytes],
    kept: Crypto | None = None,
) -> Crypto:
    """The line of an offer that we answer. `ours`: keys this call has sent out (an offer may not echo one: two-time
    pad, B5); `kept`: the line agreed before, taken again if it is still offered (SDES-20). NoKey."""
    lines, faults = read(values, sdes)
    rank = {suite.name: at for at, suite in enumerate(suite_policy.accepted(sdes, policy))}
    usable = []
    for line in lines:
        fault = _refused(line, sdes, rank, ours)
        if fault:
            faults.append(f"a=crypto tag {line.tag}: {fault}")
        else:
            usable.append(line)
    if not usable:
        raise NoKey("; ".join(faults) or "no a=crypto line")
    if kept is not None:
        for line in usable:
            if same_keys(line, kept):
                return line
    if sdes.choice is Choice.OFFERER:
        return usable[0]
    return min(usable, key=lambda line: rank[line.suite.name] if line.suite else len(rank))


def _refused(line: Crypto, sdes: SdesOptions, allowed: Collection[str], ours: Collection[bytes]) -> str:
    """Why an offered line cannot be answered; "" when it can."""
    if line.suite is None:
        return "unknown suite"
    if line.suite.name not in allowed:
        return f"{line.suite.name} is not allowed here" + (f" ({line.suite.weak})" if line.suite.weak else "")
    if fault := _unusable(line, sdes, ours):
        return fault
    wanted = (sdes.unencrypted_srtp, sdes.unencrypted_srtcp, sdes.unauthenticated_srtp)
    if any(said and not allowed_here for said, allowed_here in zip(line.parameters.negotiated, wanted, strict=True)):
        return "asks for less protection than the policy allows"
    return ""


def _unusable(line: Crypto, sdes: SdesOptions, ours: Collection[bytes]) -> str:
    """Why the keys of a line, offered or answered, cannot be used; "" when they can."""
    if any(key.material in ours for key in line.keys):
        return "repeats a key of ours"
    floor = 1 << sdes.lifetime_floor_log2 if sdes.lifetime_floor_log2 else 0
    if any(0 < key.lifetime < floor for key in line.keys):
        return f"key lifetime below 2^{sdes.lifetime_floor_log2} packets"
    if line.parameters.fec_order == "SRTP_FEC":  # FEC over what is encrypted ends where it is decrypted (6.3.4)
        return "FEC_ORDER=SRTP_FEC cannot pass a gateway that decrypts"
    return ""


def same_keys(one: Crypto, other: Crypto) -> bool:
    """The same suite with the same keys and parameters, whatever tag and spelling: contexts go on (RFC 4568 section
    7.1.4)."""
    return one.suite is other.suite and one.keys == other.keys and one.parameters == other.parameters


def reply(line: Crypto, sdes: SdesOptions, draw: KeySource, previous: Crypto | None = None) -> Crypto:
    """Our answer to `line`: its tag, its spelling, our own key (`previous`'s when contexts go on)."""
    suite = _known(line)
    keys = previous.keys if previous is not None and previous.suite is suite else draw.keys(suite, sdes)
    return Crypto(line.tag, line.spelling, suite, keys, _echo(line.parameters))


def _echo(theirs: Parameters) -> Parameters:
    """Negotiated parameters are repeated; declarative ones (KDR, WSH, FEC) speak of the other direction only (section
    6.3)."""
    if theirs.negotiated == (False, False, False):
        return NO_PARAMETERS
    return Parameters(
        unencrypted_srtp=theirs.unencrypted_srtp,
        unencrypted_srtcp=theirs.unencrypted_srtcp,
        unauthenticated_srtp=theirs.unauthenticated_srtp,
    )


def propose(
    wanted: Sequence[Suite], sdes: SdesOptions, draw: KeySource, previous: Sequence[Crypto] = ()
) -> tuple[Crypto, ...]:
    """The lines of an offer of ours, tags 1..n in order of preference. A suite that `previous` lines had keeps its
    key, so that a re-offer is the same text; after an answer of ours (one line) the agreed suite stays in front."""
    held = {line.suite.name: line for line in previous if line.suite}
    if len(previous) == 1:
        wanted = sorted(wanted, key=lambda suite: suite.name not in held)
        if sdes.static:
            wanted = [suite for suite in wanted if suite.name in held] or wanted
    parameters = Parameters(
        unencrypted_srtp=sdes.unencrypted_srtp,
        unencrypted_srtcp=sdes.unencrypted_srtcp,
        unauthenticated_srtp=sdes.unauthenticated_srtp,
    )
    if parameters == NO_PARAMETERS:
        parameters = NO_PARAMETERS
    lines = []
    for tag, suite in enumerate(wanted, 1):
        keys = held[suite.name].keys if suite.name in held else draw.keys(suite, sdes)
        lines.append(Crypto(tag, suite_policy.spelt(suite, sdes.spelling), suite, keys, parameters))
    return tuple(lines)


def match(
    values: Sequence[str], proposed: Sequence[Crypto], sdes: SdesOptions, ours: Collection[bytes]
) -> tuple[Crypto, Crypto]:
    """The answer to our lines: (our line, theirs). It must name a tag we offered with that tag's suite, in either
    spelling, our negotiated parameters, and a key that is not ours (RFC 4568 sections 5.1.3, 7.1.3). NoKey."""
    lines, faults = read(values, sdes)
    by_tag = {line.tag: line for line in proposed}
    for line in lines:
        mine = by_tag.get(line.tag)
        if mine is not None and sdes.gcm8_answered_as_gcm:
            line = _cisco_gcm_8(line, mine)
        if mine is None or line.suite is None or line.suite is not mine.suite:
            faults.append(f"a=crypto tag {line.tag}: was not offered with this suite")
        elif line.parameters.negotiated != mine.parameters.negotiated:
            faults.append(f"a=crypto tag {line.tag}: other session parameters than offered")
        elif fault := _unusable(line, sdes, ours):
            faults.append(f"a=crypto tag {line.tag}: {fault}")
        else:
            return mine, line
    raise NoKey("; ".join(faults) or "no a=crypto line")


def _cisco_gcm_8(line: Crypto, mine: Crypto) -> Crypto:
    """Some Cisco phones take our AEAD_AES_n_GCM_8 and name AEAD_AES_n_GCM in the answer (freeswitch#691): the suite is
    the one we offered. Key lengths are the same."""
    answered, offered = line.suite, mine.suite
    if answered and offered and offered.name == f"{answered.name}_8" and answered.cipher == "AES_GCM":
        return replace(line, suite=offered)
    return line


class KeySource:
    """Fresh keys from the injected random source, no two alike within a call (SDES-6, C10)."""

    def __init__(self, random: Callable[[int], bytes], used: set[bytes]) -> None:
        """`used`: materials of this call; every drawn key is added."""
        self._random, self.used = random, used

    def keys(self, suite: Suite, sdes: SdesOptions) -> tuple[InlineKey, ...]:
        """The new keys of one line: one without MKI, or `mki_keys` with MKI 1..n of one octet (C06). RuntimeError when
        the random source repeats itself."""
        lifetime = min(1 << sdes.lifetime_log2, suite.max_rtp_lifetime) if sdes.lifetime_log2 else 0
        if not sdes.mki_keys:
            return (InlineKey(self._material(suite), lifetime),)
        return tuple(
            InlineKey(self._material(suite), lifetime, number.to_bytes(1, "big"))
            for number in range(1, sdes.mki_keys + 1)
        )

    def _material(self, suite: Suite) -> bytes:
        for _ in range(DRAWS):
            material = self._random(suite.master_octets)
            if len(material) == suite.master_octets and material not in self.used:
                self.used.add(material)
                return material
        raise RuntimeError("the random source repeats itself")


class Shape(Protocol):
    """What of SdesOptions shapes a context."""

    @property
    def window(self) -> int: ...
    @property
    def max_window(self) -> int: ...
    @property
    def ssrc_limit(self) -> int: ...
    @property
    def srtcp_tag_as_srtp(self) -> bool: ...
    @property
    def legacy_192(self) -> bool: ...
    @property
    def roc(self) -> RocPolicy: ...


def context(line: Crypto, sdes: Shape, sending_mki: bytes = b"") -> ContextSpec:
    """The context of the direction that `line`'s writer sends. Its WSH is a hint for the receiver's window (section
    6.3.6). `sending_mki`: of a line of ours, the key in use; not of this line, or b"": its first."""
    suite, said = _known(line), line.parameters
    window = min(max(sdes.window, said.window), max(sdes.max_window, sdes.window))
    return ContextSpec(
        suite=suite.name,
        keys=tuple(master_key(key, suite) for key in line.keys),
        window=-(-window // 64) * 64,
        kdr_log2=said.kdr_log2 or None,
        encrypt_rtp=not said.unencrypted_srtp,
        encrypt_rtcp=not said.unencrypted_srtcp,
        authenticate_rtp=not said.unauthenticated_srtp,
        srtcp_tag_as_srtp=sdes.srtcp_tag_as_srtp,
        legacy_192=sdes.legacy_192 and suite.cipher == "AES_CM" and suite.key_octets == 24,
        ssrc_limit=sdes.ssrc_limit,
        roc=sdes.roc,
        sending_mki=sending_mki if any(key.mki == sending_mki for key in line.keys) else b"",
    )


def switched(spec: ContextSpec, mki: bytes) -> ContextSpec:
    """A sender's context with another of its keys in use (C06). NoKey when it has none of that MKI."""
    if not mki or all(key.mki != mki for key in spec.keys):
        known = ", ".join(str(int.from_bytes(key.mki, "big")) for key in spec.keys if key.mki) or "none"
        raise NoKey(f"the sender has no key with this MKI; its MKIs: {known}")
    return replace(spec, sending_mki=mki)


def master_key(key: InlineKey, suite: Suite) -> MasterKey:
    """Key and salt apart. The line's one lifetime counts for SRTP, and for SRTCP up to its own maximum (section
    6.1)."""
    return MasterKey(
        key=key.material[: suite.key_octets],
        salt=key.material[suite.key_octets :],
        mki=key.mki,
        rtp_lifetime=key.lifetime,
        rtcp_lifetime=min(key.lifetime, suite.max_rtcp_lifetime),
    )


def fingerprint(line: Crypto) -> str:
    """Names a line's keys without showing them."""
    digest = hashlib.blake2b(digest_size=12)
    for key in line.keys:
        digest.update(key.material)
    return digest.hexdigest()


def _known(line: Crypto) -> Suite:
    if line.suite is None:
        raise ValueError("a line of an unknown suite has no context")
    return line.suite
