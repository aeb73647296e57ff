"""A leg of a stream with its transport: ICE and DTLS-SRTP laid over what `negotiation_legs` made of it. Pure;
randomness and certificates are handed in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_dtls as dtls
from appliance.calls import negotiation_ice as ice
from appliance.calls.media import LocalCertificate
from appliance.calls.negotiation_dtls import Certificates
from appliance.calls.negotiation_legs import Before
from appliance.calls.negotiation_read import LinePlan
from appliance.calls.negotiation_state import LegLine
from appliance.calls.negotiation_target import Target
from appliance.errors import CryptoRequired
from appliance.policy import suites as suite_policy
from appliance.policy.options import DtlsOptions, Ice, MediaOptions
from appliance.protocols.sdp.description import Description, Media
from appliance.values import changed

WEBRTC = "UDP/TLS/RTP/SAVPF"  # RFC 8834; a leg with ICE counts as one too


class Transports:
    """Of one leg. `held`: the certificate that the leg shows on other streams: one for all of them."""

    def __init__(
        self, random: Callable[[int], bytes], certificates: Certificates | None, held: LocalCertificate | None
    ) -> None:
        self._random, self._certificates, self._held = random, certificates, held

    def _certificate(self, options: DtlsOptions, leg: LegLine, session: ice.IceLine | None) -> LocalCertificate:
        if self._held is None:
            if self._certificates is None:
                raise RuntimeError("DTLS-SRTP was negotiated without certificates")
            webrtc = session is not None or leg.proto.upper() == WEBRTC
            self._held = self._certificates(dtls.shown(options, webrtc=webrtc))
        return self._held

    def offerers(self, leg: LegLine, line: LinePlan, options: MediaOptions, before: Before) -> LegLine:
        """The leg that offered."""
        old, moved = before.leg, not before.fixed
        session = None
        if line.ice is not None:
            session = ice.offered(line.ice, options, old.ice if old else None, moved, self._random)
        keyed = None
        if line.dtls is not None:
            ufrag = line.ice.credentials.ufrag if line.ice else ""
            own = dtls.this_side(options)
            keyed = dtls.offered(
                line.dtls, own, suite_policy.dtls(options.inbound) or (),
                old.dtls if old and before.fixed else None,
                dtls.transport(ufrag, leg.rtp), self._random, partial(self._certificate, own, leg, session),
            )  # fmt: skip
        if session is None and keyed is None and leg.bundled == line.bundled:
            return leg
        return changed(leg, ice=session, dtls=keyed, bundled=line.bundled)

    def others(
        self, stream: int, leg: LegLine, line: LinePlan, target: Target, options: MediaOptions, before: Before
    ) -> LegLine:
        """The leg that we offer to."""
        old, moved = before.leg, not before.fixed
        before_ice = old.ice if old else None
        session = None
        if ice.wanted(options, line.ice is not None, old is not None, before_ice):
            session = ice.ours(options, before_ice, moved, self._random)
        keyed = None
        if target.dtls:
            keyed = dtls.ours(
                options.dtls, suite_policy.dtls(options.outbound) or (), old.dtls if old and before.fixed else None,
                self._random, partial(self._certificate, options.dtls, leg, session),
            )  # fmt: skip
        grouped = bundle.offers(options, leg.proto)
        mid = leg.mid or (f"m{stream}" if grouped or "generate-mid" in options.flags else "")
        if session is None and keyed is None and mid == leg.mid and grouped == leg.bundled:
            return leg
        return changed(leg, ice=session, dtls=keyed, mid=mid, bundled=grouped)

    def answered(
        self, at: int, leg: LegLine, known: LegLine | None, answer: Description, media: Media, options: MediaOptions
    ) -> LegLine:
        """The leg that answered, m-line `at` (from 1) of its SDP. `known`: as agreed before. CryptoRequired."""
        said = ice.read(answer, media)
        session = ice.answered(leg.ice, said) if leg.ice is not None else None
        keyed = leg.dtls
        if keyed is not None:
            ufrag = said.credentials.ufrag if said and session else ""
            own = dtls.this_side(options)
            try:
                told = dtls.read(answer, media, offer=False, sha1=keyed.sha1 or own.sha1)
            except dtls.NoDtls as why:
                raise CryptoRequired(f"answer, m-line {at}: {why}") from None
            keyed = dtls.answered(
                keyed, known.dtls if known else None, told, dtls.transport(ufrag, leg.rtp), self._random
            )
        return leg if session is leg.ice and keyed is leg.dtls else changed(leg, ice=session, dtls=keyed)


def told(leg: LegLine, options: MediaOptions) -> LegLine:
    """The offerer's leg, where the answer's request has wishes about it: a role (DTLS), no ICE (rtpengine's ICE=remove
    in an answer)."""
    if options.ice is Ice.REMOVE and leg.ice is not None:
        leg = changed(leg, ice=None)
    if leg.dtls is not None and leg.dtls.chosen and options.dtls.role:
        leg = changed(leg, dtls=dtls.with_role(leg.dtls, options.dtls.role))
    return leg
