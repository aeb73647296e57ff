"""What an association gives back: datagrams for the peer, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from appliance.calls.media import ContextSpec, Fingerprint


class Reason(StrEnum):
    """Why an association has no keys to give."""

    FINGERPRINT_MISMATCH = "fingerprint_mismatch"  # RFC 5763 section 5, RFC 8122 section 6.2
    NO_CERTIFICATE = "no_certificate"  # the peer sent none (RFC 8122 section 6.2)
    WEAK_CERTIFICATE = "weak_certificate"  # the peer's key is below 112 bits of security (RFC 9325 section 4.5)
    NO_PROFILE = "no_profile"  # no common SRTP protection profile (RFC 5764 section 4.1)
    NO_MASTER_SECRET = "no_extended_master_secret"  # RFC 7627: exported keys would not be bound to this handshake
    VERSION = "version"  # below DTLS 1.2
    CIPHER = "cipher"  # no common cipher suite, curve or signature algorithm
    ALERT = "alert"  # the peer gave up; its alert is the detail
    MALFORMED = "malformed"  # what came is no handshake; OpenSSL's words are the detail
    TIMEOUT = "timeout"
    PROCESS = "process"  # the handshake process that had it died


PROVEN = frozenset((Reason.NO_PROFILE, Reason.NO_MASTER_SECRET))
"""Found out when the peer's Finished has come, or before anything has: nobody else can have brought them about."""


@dataclass(frozen=True, slots=True)
class KeysReady:
    """The handshake is complete and the peer's certificate is the one that was signalled."""

    suite: str  # canonical name of a row of protocols.srtp.suites
    send: ContextSpec
    receive: ContextSpec
    peer: Fingerprint  # of the peer's certificate, by the hash that decided


@dataclass(frozen=True, slots=True)
class Failed:
    """No keys will come of this association."""

    reason: Reason
    detail: str = ""  # for operators; never keys


class Outputs(NamedTuple):
    """`datagrams` are for the peer, in order, each at most the MTU. An association gives one event in its life."""

    datagrams: tuple[bytes, ...] = ()
    event: KeysReady | Failed | None = None


NOTHING = Outputs()
