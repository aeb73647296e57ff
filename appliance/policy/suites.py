"""Which SRTP suites a leg may use, and in which order. Pure functions of the options, the trunk's policy and the
suite table.

Decisions (rows B09 to B18 of mission.md against B10 of security-and-faults.md):
* the built-in order is the table's: 16-octet GCM, then row B18, then F8 (C09: enabled in the default build);
* weak rows (8-octet GCM tags, NULL_AUTH, NULL ciphers) take part only if a list names them or `allow_weak` does;
* a list (`only-`, `mandatory:S1,S2`) is exactly what is offered, in that order, and is at the same time what is
accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from appliance.policy.options import SdesOptions, Spelling
from appliance.policy.secure_media import SecureMedia
from appliance.protocols.srtp import suites
from appliance.protocols.srtp.suites import Suite


def weak_suites(*, null_auth: bool = False, null_cipher: bool = False, gcm_8: bool = False) -> frozenset[str]:
    """The names that the three switches of the settings allow, for `SdesOptions.allow_weak`."""
    return frozenset(
        suite.name
        for suite in suites.SUITES
        if suite.weak
        and (
            (null_cipher and suite.cipher == "NULL")
            or (gcm_8 and suite.cipher == "AES_GCM" and suite.rtp_tag == 8)
            or (null_auth and suite.cipher != "NULL" and suite.rtp_tag == 0)
        )
    )


def offered(sdes: SdesOptions, policy: SecureMedia | None, theirs: Collection[str] = ()) -> tuple[Suite, ...]:
    """Suites of an offer we write, in order. `theirs`: suites of the offer that ours follows, for `nonew`."""
    listed = _listed(sdes, policy)
    if sdes.nonew:
        chosen = [suite for suite in _allowed(listed, sdes.allow_weak) if suite.name in theirs]
    elif listed:
        chosen = list(_allowed(listed, sdes.allow_weak))
    else:
        chosen = [suite for suite in _allowed((), sdes.allow_weak) if suite.name not in sdes.without]
    return tuple(_first(chosen, sdes.order))


def accepted(sdes: SdesOptions, policy: SecureMedia | None) -> tuple[Suite, ...]:
    """Suites that an offer to us may be answered with, the one we like best first (B19)."""
    return tuple(_first(_allowed(_listed(sdes, policy), sdes.allow_weak), sdes.offerer_preference))


def dtls(policy: SecureMedia | None) -> tuple[str, ...] | None:
    """The suites that DTLS-SRTP may use (canonical names, our order): those of the policy's list that have a protection
    profile (RFC 5764 section 4.1.2). Empty: no list, so all but the weak. None: a list, and none of it is possible."""
    listed = policy.suites if policy is not None else ()
    found = tuple(name for name in listed if (suite := suites.find(name)) is not None and suite.dtls_profile)
    return None if listed and not found else found


def spelt(suite: Suite, spelling: Spelling) -> str:
    """The name to write in our own offer."""
    return suite.aliases[0] if spelling is Spelling.ALIAS and suite.aliases else suite.name


def _listed(sdes: SdesOptions, policy: SecureMedia | None) -> tuple[str, ...]:
    """The narrower word first: a request's own list, else the trunk's."""
    return sdes.suites or (policy.suites if policy is not None else ())


@lru_cache(maxsize=256)
def _allowed(listed: tuple[str, ...], allow_weak: frozenset[str]) -> tuple[Suite, ...]:
    if listed:
        return tuple(suite for name in listed if (suite := suites.find(name)) is not None)
    return tuple(suite for suite in suites.SUITES if not suite.weak or suite.name in allow_weak)


def _first(chosen: Iterable[Suite], front: Sequence[str]) -> Iterable[Suite]:
    """`chosen` with the suites named in `front` moved to the front, in that order."""
    if not front:
        return chosen
    rank = {name: at for at, name in enumerate(front)}
    return sorted(chosen, key=lambda suite: rank.get(suite.name, len(rank)))
