"""What an offer becomes towards the other side: which profile, and in which form a peer is asked that may be secure or
plain. Pure decisions of policy, words and what the peer was before."""

from __future__ import annotations

from appliance.calls.negotiation_state import LegLine
from appliance.errors import CryptoRequired, InvalidRequest, NotAcceptable
from appliance.policy import suites as suite_policy
from appliance.policy.options import Ice, MediaOptions
from appliance.policy.secure_media import Mode
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.profiles import Profile
from appliance.values import frozen

CLEARTEXT = "sdes_over_cleartext: keys may travel over protected signalling only (RFC 4568 section 8.3)"


@frozen
class Target:
    """What goes to the other side: the profile, and how keys are put to a peer that may have none."""

    profile: Profile
    osrtp: bool = False  # keys under the plain profile: the answer takes them up or not (RFC 8643)
    twins: bool = False  # the secure m-line, then a plain one for the same stream (row H02)
    fingerprint: bool = False  # keyed by DTLS under a profile that would allow a=crypto too (SDP-3)
    both: bool = False  # a fingerprint and a=crypto: the answer takes up one of them

    @property
    def secure(self) -> bool:
        return self.profile.secure or self.osrtp

    @property
    def dtls(self) -> bool:
        return self.profile.dtls or self.fingerprint

    @property
    def sdes(self) -> bool:
        return self.secure and (not self.dtls or self.both)


def target(offered: Profile, options: MediaOptions, before: LegLine | None = None) -> Target:
    """The profile towards the other side: asked for by name, else by its policy, else as before, else as offered; and
    the form in which a leg that may be secure or plain is asked (SDP-7, SDP-8, SDP-11). RTP/SAVPF with ICE is how
    browsers were asked before UDP/TLS/RTP/SAVPF: it gets a fingerprint beside its a=crypto."""
    mode = options.outbound.mode if options.outbound else None
    if (kept := _by_dtls_before(options, mode, before)) is not None:
        return kept
    chosen = _chosen(offered, options, mode, before)
    words = options.osrtp & {"offer", "offer-legacy"}
    if chosen.secure and not chosen.dtls and options.dtls.enabled:
        browser = chosen.feedback and options.ice in (Ice.FORCE, Ice.OPTIONAL)
        if not options.sdes.enabled or (browser and _no_keys(options)):
            return Target(_permitted(chosen, options, mode, fingerprint=True), fingerprint=True)
        if browser and before is None and mode is not Mode.OPTIONAL and not words:
            return Target(_permitted(chosen, options, mode), fingerprint=True, both=True)
    osrtp = "offer" in words or (before is not None and before.osrtp)
    if mode is Mode.MANDATORY or mode is Mode.FORBIDDEN or not (words or osrtp or mode is Mode.OPTIONAL):
        return Target(_permitted(chosen, options, mode))
    if chosen.dtls or (options.transport_protocol and not (words or osrtp)):
        return Target(_permitted(chosen, options, mode))
    if _no_keys(options):
        by_dtls = osrtp and options.dtls.enabled and suite_policy.dtls(options.outbound) is not None
        return Target(profiles.variant(chosen, secure=False), osrtp=by_dtls, fingerprint=by_dtls)
    was = profiles.find(before.proto) if before else None
    if before is not None and was is not None and not before.osrtp and (before.secure or not osrtp):
        return Target(_permitted(was, options, mode))  # it is settled what this peer can
    secure = _permitted(profiles.variant(chosen, secure=True), options, mode)
    if osrtp:
        return Target(profiles.variant(secure, secure=False), osrtp=True)
    return Target(secure, twins=before is None)


def _by_dtls_before(options: MediaOptions, mode: Mode | None, before: LegLine | None) -> Target | None:
    """A leg that is keyed by DTLS stays so, in the form that its peer chose, unless another profile is asked for."""
    was = profiles.find(before.proto) if before else None
    if before is None or was is None or before.dtls is None or not options.dtls.enabled or mode is Mode.FORBIDDEN:
        return None
    if options.transport_protocol and profiles.find(options.transport_protocol) is not was:
        return None
    if before.osrtp and mode is Mode.MANDATORY:
        return None
    unanswered = bool(before.proposed) and not before.dtls.fingerprints
    return Target(was, osrtp=before.osrtp, fingerprint=not was.dtls, both=unanswered)


def _chosen(offered: Profile, options: MediaOptions, mode: Mode | None, before: LegLine | None) -> Profile:
    if options.transport_protocol:
        named = profiles.find(options.transport_protocol)
        if named is None:
            raise InvalidRequest(
                f"unknown transport protocol {options.transport_protocol!r}", field="transport-protocol"
            )
        return named
    was = profiles.find(before.proto) if before else None
    if mode is Mode.OPTIONAL and was is not None:
        return was
    if mode is not None:
        return profiles.variant(offered, secure=mode is not Mode.FORBIDDEN)
    as_it_is = was or offered
    return as_it_is if options.dtls.enabled or not as_it_is.dtls else profiles.variant(as_it_is, secure=True)


def _permitted(chosen: Profile, options: MediaOptions, mode: Mode | None, *, fingerprint: bool = False) -> Profile:
    if not chosen.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy towards the other side demands SRTP")
        return chosen
    if mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy towards the other side forbids SRTP")
    if chosen.dtls or fingerprint:
        if not options.dtls.enabled:
            raise NotAcceptable("DTLS-SRTP is not available towards the other side")
        if suite_policy.dtls(options.outbound) is None:
            raise CryptoRequired("no suite of the policy towards the other side is to be had by DTLS-SRTP")
        return chosen
    if why := _no_keys(options):
        raise CryptoRequired(why)
    return chosen


def _no_keys(options: MediaOptions) -> str:
    """Why no a=crypto may be written towards the other side."""
    if not options.sdes.enabled:
        return "SDES is switched off and no other key exchange is available"
    if options.sdes_requires_tls and not (options.signalling_secure_out or options.sdes.over_cleartext):
        return CLEARTEXT
    return ""
