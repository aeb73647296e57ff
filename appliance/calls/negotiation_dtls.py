"""DTLS-SRTP on one leg of one stream: what a peer's m-line says of it, what ours says, who is the client, when a new
association is wanted (RFC 5763 section 5, RFC 8122, RFC 8842). Pure; randomness and certificates are handed in."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace

from appliance.calls.media import DtlsMedia, Fingerprint, LocalCertificate
from appliance.policy.options import DtlsOptions, MediaOptions
from appliance.protocols.sdp import fingerprints
from appliance.protocols.sdp.description import Description, Media
from appliance.values import frozen

Random = Callable[[int], bytes]
Certificates = Callable[[str | None], LocalCertificate]
"""Name -> certificate with its key: None a fresh one, "" the gateway's own, else the one of this name (DTLS-19)."""

TLS_ID_OCTETS = 15  # 120 bits at least (RFC 8842 section 4): 20 characters
_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}\Z")
ROLES = frozenset({"actpass", "active", "passive", "holdconn"})  # RFC 4145 section 4


class NoDtls(ValueError):
    """An m-line cannot be keyed by DTLS-SRTP; the text says why."""


class SameTransport(NoDtls):
    """What an m-line asks for, its transport does not allow: never an occasion to go on with less."""


@frozen
class Said:
    """What a peer's m-line says of DTLS-SRTP."""

    fingerprints: tuple[Fingerprint, ...]  # of one hash, the strongest that was said
    setup: str
    tls_id: str = ""


@frozen
class DtlsLine:
    """DTLS-SRTP on one leg of one stream."""

    certificate: LocalCertificate
    hash: str  # of our a=fingerprint
    tls_id: str  # ours
    association: str  # as in DtlsMedia
    setup: str = "actpass"  # our word in the SDP that the peer got last
    telling: bool = True  # a=tls-id stands in it
    active: bool | None = None  # as in DtlsMedia
    chosen: bool = False  # the peer left the role to us, in the offer that we answer now
    fingerprints: tuple[Fingerprint, ...] = ()  # the peer's; empty: not known yet
    peer_tls_id: str = ""
    transport: str = ""  # what of the peer's transport the association is bound to: see `transport`
    suites: tuple[str, ...] = ()
    sha1: bool = False
    legacy: bool = False

    def media(self) -> DtlsMedia:
        return DtlsMedia(
            self.association, self.certificate, self.active, self.fingerprints, self.suites, self.legacy
        )  # fmt: skip


def shown(options: DtlsOptions, *, webrtc: bool) -> str | None:
    """Which of our certificates a leg gets, as `Certificates` knows it. A WebRTC leg's must not tell who else is called
    through this gateway; others may want to know us again (RFC 8827 section 6.5, RFC 5763 section 8.4; DTLS-19)."""
    fresh = options.fresh == "always" or (options.fresh == "webrtc" and webrtc)
    return None if fresh else options.certificate


def this_side(options: MediaOptions) -> DtlsOptions:
    """Of the leg whose SDP is handed in."""
    return options.dtls_from if options.dtls_from is not None else _PLAIN


_PLAIN = DtlsOptions()

# ---------------------------------------------------------------- what a peer says


def present(sdp: Description, media: Media) -> bool:
    return media.has("fingerprint") or sdp.session.has("fingerprint")


def read(sdp: Description, media: Media, *, offer: bool, sha1: bool) -> Said:
    """What an m-line says, or inherits from the session part. NoDtls for fingerprints that will not do, and for a role
    that nobody may have. Without a=setup an offerer is active and an answerer passive (RFC 4145 section 4)."""
    values = media.attributes("fingerprint") or sdp.session.attributes("fingerprint")
    setup = (sdp.attribute(media, "setup") or ("active" if offer else "passive")).strip().lower()
    if setup not in ROLES:
        raise NoDtls("a=setup is not readable")
    if setup == "holdconn" or (setup == "actpass" and not offer):
        raise NoDtls(f"a=setup:{setup} is no role in {'an offer' if offer else 'an answer'}")
    tls_id = (media.attribute("tls-id") or "").strip()
    return Said(_strongest(values, sha1=sha1), setup, tls_id if _TLS_ID.match(tls_id) else "")


def _strongest(values: Sequence[str], *, sha1: bool) -> tuple[Fingerprint, ...]:
    """The fingerprints of the strongest hash that we may take: one of them has to match (RFC 8122 section 5.1)."""
    if not values:
        raise NoDtls("no a=fingerprint")
    read = [found for value in values if (found := fingerprints.parse(value))]
    said = {name for name, _ in read}
    for name in fingerprints.OCTETS:
        if name in said and (name != "sha-1" or sha1):
            return tuple(dict.fromkeys(Fingerprint(name, octets) for hash, octets in read if hash == name))
    weak = ", ".join(sorted(said))
    raise NoDtls(f"a=fingerprint is {weak} only" if weak else "no a=fingerprint is readable")


def transport(ufrag: str, address: object | None) -> str:
    """What an association is bound to on the peer's side: its ICE session, else its address (RFC 8842 section 5.1).
    "": not known."""
    return f"ice {ufrag}" if ufrag else str(address) if address is not None else ""


# ---------------------------------------------------------------- when an association goes on


def _anew(old: DtlsLine, said: Said, active: bool, transport: str) -> str:
    """Why a new association is wanted (RFC 8842 section 5.1, D12); "": the old one goes on."""
    if set(old.fingerprints) != set(said.fingerprints):
        return "another fingerprint"
    if old.peer_tls_id and said.tls_id and old.peer_tls_id != said.tls_id:
        return "another tls-id"
    if active is not old.active:
        return "another role"
    if _moved(old, transport) and not (transport.startswith("ice ") and old.transport.startswith("ice ")):
        return "another transport"  # an ICE restart alone keeps the association (section 6)
    return ""


def _moved(old: DtlsLine, transport: str) -> bool:
    return bool(transport and old.transport and transport != old.transport)


def check(old: DtlsLine, said: Said, transport: str) -> None:
    """SameTransport when a peer's re-offer wants a new association on the transport of the old one: nobody could tell
    their records apart (DTLS-14, RFC 8842 section 5.1)."""
    if not old.fingerprints or not old.transport or _moved(old, transport):
        return
    if why := _anew(old, said, _role(said.setup, old.active, ""), transport):
        raise SameTransport(f"{why} wants a new DTLS association on the transport of the old one")


def _role(setup: str, kept: bool | None, wish: str) -> bool:
    """Are we the client, towards a peer that said `setup`? `kept`: the role we have."""
    if setup == "actpass":
        return kept if kept is not None else wish != "passive"
    return setup == "passive"


# ---------------------------------------------------------------- our side of it


def offered(
    said: Said,
    options: DtlsOptions,
    suites: tuple[str, ...],
    old: DtlsLine | None,
    transport: str,
    random: Random,
    certificate: Callable[[], LocalCertificate],
) -> DtlsLine:
    """Our answer to an offer that said `said`. `old`: the leg as it was, if its own transport did not move."""
    if old is not None and old.fingerprints:
        active = _role(said.setup, old.active, options.role)
        if not _anew(old, said, active, transport):
            return replace(
                old, setup=_word(active), telling=bool(said.tls_id), chosen=False, peer_tls_id=said.tls_id,
                transport=transport or old.transport, suites=suites, sha1=options.sha1, legacy=options.legacy,
            )  # fmt: skip
    active, tls_id = _role(said.setup, None, options.role), _text(random)
    return DtlsLine(
        certificate() if old is None else old.certificate,
        said.fingerprints[0].hash if options.fingerprint == "peer" else options.fingerprint or "sha-256",
        tls_id,
        tls_id,
        setup=_word(active),
        telling=bool(said.tls_id),
        active=active,
        chosen=said.setup == "actpass",
        fingerprints=said.fingerprints,
        peer_tls_id=said.tls_id,
        transport=transport,
        suites=suites,
        sha1=options.sha1,
        legacy=options.legacy,
    )


def ours(
    options: DtlsOptions,
    suites: tuple[str, ...],
    old: DtlsLine | None,
    random: Random,
    certificate: Callable[[], LocalCertificate],
) -> DtlsLine:
    """Our offer. What was agreed with the peer (`old`) goes on unless it says otherwise."""
    if old is not None:
        return replace(
            old, setup="actpass", telling=options.tls_id, chosen=False, suites=suites,
            sha1=options.sha1, legacy=options.legacy,
        )  # fmt: skip
    tls_id = _text(random)
    wish = options.fingerprint
    return DtlsLine(
        certificate(), wish if wish and wish != "peer" else "sha-256", tls_id, tls_id,
        telling=options.tls_id, suites=suites, sha1=options.sha1, legacy=options.legacy,
    )  # fmt: skip


def answered(line: DtlsLine, known: DtlsLine | None, said: Said, transport: str, random: Random) -> DtlsLine:
    """Our offer `line` after its answer. `known`: the leg as agreed before, also by an earlier answer to this offer
    (another fork's, or the same again)."""
    active, association = _role(said.setup, None, ""), line.association
    if known is not None and known.fingerprints and known.tls_id == line.tls_id:
        association = _text(random) if _anew(known, said, active, transport) else known.association
    return replace(
        line, active=active, association=association, fingerprints=said.fingerprints, peer_tls_id=said.tls_id,
        transport=transport,
    )  # fmt: skip


def with_role(line: DtlsLine, wish: str) -> DtlsLine:
    """The offerer's leg, where the answer's request has a wish about the role and the offer left it to us."""
    if not line.chosen or not wish:
        return line
    active = wish != "passive"
    return replace(line, active=active, setup=_word(active))


def attributes(line: DtlsLine) -> list[str]:
    """Of our m-line. No a=connection: that is TCP's (DTLS-21)."""
    octets = fingerprints.of(line.certificate.certificate, line.hash)
    said = [f"fingerprint:{fingerprints.emit(line.hash, octets)}", f"setup:{line.setup}"]
    return [*said, f"tls-id:{line.tls_id}"] if line.telling else said


def _word(active: bool) -> str:
    return "active" if active else "passive"


def _text(random: Random) -> str:
    return urlsafe_b64encode(random(TLS_ID_OCTETS)).decode()
