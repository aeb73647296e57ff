"""gRPC messages to the values of the call service. InvalidRequest names the field, in the message's own spelling."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

from appliance.calls.media import Address, ContextSpec, Latching, LegMedia, MasterKey, RocPolicy, StreamMedia
from appliance.calls.views import AnswerRequest, OfferRequest, Party, SessionRequest, SubscribeRequest
from appliance.errors import InvalidRequest
from appliance.placement.desired_contexts import MOST_ALSO
from appliance.policy import secure_media
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import flags as ng_flags
from appliance.protocols.sdp.profiles import PROFILES
from appliance.protocols.srtp import suites
from srtpgw.v1 import calls_pb2, sessions_pb2, types_pb2

LONGEST_NAME = 1024  # characters of call-ids, tags, branches and labels; the call service has the same bound
MOST_STREAMS = 64
MOST_KEYS = 16
LONGEST_MKI = 128  # RFC 4568 section 6.1 allows up to 128 octets
LONGEST_KDR_LOG2 = 24  # RFC 3711 section 4.3.1: 1..2^24
WINDOWS = (64, 128, 256, 512, 1024)
MOST_SSRCS = 16

_LATCHING: dict[int, Latching] = {
    types_pb2.LATCHING_OFF: Latching.OFF,
    types_pb2.LATCHING_SIGNALLED_HOST: Latching.SIGNALLED_HOST,
    types_pb2.LATCHING_ONCE: Latching.ONCE,
    types_pb2.LATCHING_AUTHENTICATED: Latching.AUTHENTICATED,
}
_ROLLOVER: dict[int, RocPolicy] = {
    sessions_pb2.ROLLOVER_AUTO: RocPolicy.AUTO,
    sessions_pb2.ROLLOVER_RESET: RocPolicy.RESET,
    sessions_pb2.ROLLOVER_KEEP: RocPolicy.KEEP,
}
_PROTOCOLS = ("", *PROFILES)
_MUX_WORDS = frozenset({"offer", "require", "demux", "accept", "reject"})


def offer_request(message: calls_pb2.OfferRequest, base: MediaOptions) -> OfferRequest:
    """`base` is what lies under the wishes of the request: the deployment's security settings."""
    return OfferRequest(
        call_id=name(message.call_id, "call_id"),
        from_tag=name(message.from_tag, "from_tag"),
        to_tag=name(message.to_tag, "to_tag", required=False),
        via_branch=name(message.via_branch, "via_branch", required=False),
        label=name(message.label, "label", required=False),
        sdp=_sdp(message.sdp),
        options=_options(message.options, base),
    )


def answer_request(message: calls_pb2.AnswerRequest, base: MediaOptions) -> AnswerRequest:
    return AnswerRequest(
        call_id=name(message.call_id, "call_id"),
        from_tag=name(message.from_tag, "from_tag"),
        to_tag=name(message.to_tag, "to_tag"),
        via_branch=name(message.via_branch, "via_branch", required=False),
        sdp=_sdp(message.sdp),
        options=_options(message.options, base),
    )


def candidates(message: calls_pb2.TrickleRequest) -> tuple[str, str, bytes]:
    """Call-id, tag, fragment."""
    if not message.fragment:
        _refuse("fragment", "must be given")
    return name(message.call_id, "call_id"), name(message.tag, "tag"), message.fragment.encode()


def session_request(message: Any, call_id_required: bool = False) -> SessionRequest:
    """CreateSessionRequest or UpdateSessionRequest."""
    call_id = name(message.call_id, "call_id", required=call_id_required)
    label = name(message.label, "label", required=False)
    if not message.streams:
        _refuse("streams", "one stream at least")
    if len(message.streams) > MOST_STREAMS:
        _refuse("streams", f"{len(message.streams)} streams, {MOST_STREAMS} at most")
    streams = tuple(_stream(stream, f"streams[{place}]") for place, stream in enumerate(message.streams))
    return SessionRequest(streams=streams, call_id=call_id, label=label)


def party(message: calls_pb2.PartyRequest) -> tuple[str, Party]:
    """Call-id, and who is meant."""
    tag, label = name(message.tag, "tag", required=False), name(message.label, "label", required=False)
    address = _host(message.address, "address") if message.address else ""
    return name(message.call_id, "call_id"), Party(tag, address, label)


def subscribe_request(message: calls_pb2.SubscribeRequest, base: MediaOptions) -> SubscribeRequest:
    return SubscribeRequest(
        name(message.call_id, "call_id"),
        _options(message.options, base),
        tuple(name(tag, f"from_tags[{n}]") for n, tag in enumerate(message.from_tags)),
        name(message.to_tag, "to_tag", required=False),
    )


def answer_subscription(
    message: calls_pb2.AnswerSubscriptionRequest, base: MediaOptions
) -> tuple[str, str, bytes, MediaOptions]:
    """Call-id, tag of the subscription, SDP, options."""
    call_id, to_tag = name(message.call_id, "call_id"), name(message.to_tag, "to_tag")
    return call_id, to_tag, _sdp(message.sdp), _options(message.options, base)


def name(value: str, field: str, required: bool = True) -> str:
    """A call-id, tag, branch or label: printable, not too long."""
    if not value:
        if required:
            _refuse(field, "must be given")
        return value
    if len(value) > LONGEST_NAME:
        _refuse(field, f"longer than {LONGEST_NAME} characters")
    if not value.isprintable():
        _refuse(field, "holds control characters")
    return value


def _sdp(text: str) -> bytes:
    if not text:
        _refuse("sdp", "must be given")
    return text.encode()


_NG_KEYS = {"sdes": "sdes", "sdes_from": "sdes-from", "vbr": "vbr", "dtls": "dtls", "dtls_from": "dtls-reverse",
            "ice": "ice", "bundle": "bundle", "transcode": "transcode"}  # fmt: skip
_NG_FLAGS = {"webrtc": "webrtc", "reject_ice": "reject-ice"}


def _ng_words(message: calls_pb2.MediaOptions, base: MediaOptions) -> MediaOptions:
    """The fields whose words are NG's, by NG's own tables."""
    body: dict[str, Any] = {"flags": [word for field, word in _NG_FLAGS.items() if getattr(message, field)]}
    for field, key in _NG_KEYS.items():
        if value := getattr(message, field):
            body[key] = value if isinstance(value, str) else list(value)
            if wrong := [*(found := ng_flags.read({key: body[key]})).unknown, *found.unavailable]:
                _refuse(f"options.{field}", f"{wrong[0]}: not understood, or not to be had")
    return ng_flags.read(body, base)


def _options(message: calls_pb2.MediaOptions, base: MediaOptions) -> MediaOptions:
    if message.transport_protocol not in _PROTOCOLS:
        _refuse("options.transport_protocol", f"not one of {', '.join(_PROTOCOLS[1:])}")
    mux = frozenset(message.rtcp_mux)
    if not mux <= _MUX_WORDS:
        _refuse("options.rtcp_mux", f"not one of {', '.join(sorted(_MUX_WORDS))}")
    base = _ng_words(message, base)
    inbound, outbound = message.secure_media_inbound, message.secure_media_outbound
    suite_names = tuple(_suite(suite, f"options.suites[{n}]").name for n, suite in enumerate(message.suites))
    return replace(
        base,
        transport_protocol=message.transport_protocol or base.transport_protocol,
        inbound=_policy(inbound, "options.secure_media_inbound", secure_media.parse) if inbound else None,
        outbound=_policy(outbound, "options.secure_media_outbound", secure_media.parse) if outbound else None,
        sdes=replace(
            base.sdes, enabled=base.sdes.enabled and not message.sdes_off, suites=suite_names or base.sdes.suites
        ),
        signalling_secure=message.signalling_secure,
        signalling_secure_out=message.signalling_secure_out,
        rtcp_mux=mux | base.rtcp_mux,
        replace=frozenset(message.replace),
        interface_a=message.interface_a,
        interface_b=message.interface_b,
        media_address=_host(message.media_address, "options.media_address") if message.media_address else "",
        received_from=_host(message.received_from, "options.received_from") if message.received_from else "",
        latching=_LATCHING.get(message.latching),
    )


def _policy(value: str, field: str, parse: Callable[[str], secure_media.SecureMedia]) -> secure_media.SecureMedia:
    try:
        return parse(value)
    except ValueError as error:
        _refuse(field, str(error))


# ---------------------------------------------------------------- low-level sessions


def _stream(message: sessions_pb2.SessionStream, field: str) -> StreamMedia:
    for side in ("a", "b"):
        if not message.HasField(side):
            _refuse(f"{field}.{side}", "must be given")
    return StreamMedia(
        kind=name(message.kind, f"{field}.kind", required=False) or "audio",
        a=_leg(message.a, f"{field}.a"),
        b=_leg(message.b, f"{field}.b"),
    )


def _leg(message: sessions_pb2.SessionLeg, field: str) -> LegMedia:
    receive = _crypto(message.receive, f"{field}.receive") if message.HasField("receive") else None
    send = _crypto(message.send, f"{field}.send") if message.HasField("send") else None
    secure = receive is not None or send is not None
    if secure and receive is None and not message.block_receive:
        _refuse(f"{field}.receive", "a secure leg needs it, or block_receive")
    if secure and send is None and not message.block_send:
        _refuse(f"{field}.send", "a secure leg needs it, or block_send")
    rtp = _address(message.remote_rtp, f"{field}.remote_rtp") if message.HasField("remote_rtp") else None
    rtcp = _address(message.remote_rtcp, f"{field}.remote_rtcp") if message.HasField("remote_rtcp") else None
    if rtp is not None and rtcp is None:
        rtcp = rtp if message.rtcp_mux else _above(rtp, f"{field}.remote_rtp")
    return LegMedia(
        interface=message.interface,
        remote_rtp=rtp,
        remote_rtcp=rtcp,
        mux=message.rtcp_mux,
        secure=secure,
        receive=receive,
        receive_also=_also(message, field),
        send=send,
        may_send=not message.block_receive,
        may_receive=not message.block_send,
        latching=_latching(message.latching, secure, field),
    )


def _also(message: sessions_pb2.SessionLeg, field: str) -> tuple[ContextSpec, ...]:
    if len(message.receive_also) > MOST_ALSO or (message.receive_also and not message.HasField("receive")):
        _refuse(f"{field}.receive_also", f"at most {MOST_ALSO}, beside `receive`")
    return tuple(_crypto(also, f"{field}.receive_also[{at}]") for at, also in enumerate(message.receive_also))


def _latching(number: int, secure: bool, field: str) -> Latching:
    if number == types_pb2.LATCHING_UNSPECIFIED:
        return Latching.AUTHENTICATED if secure else Latching.SIGNALLED_HOST
    latching = _LATCHING.get(number)
    if latching is None or (latching is Latching.AUTHENTICATED and not secure):
        _refuse(f"{field}.latching", "unknown, or not for a plain leg")
    return latching


def _crypto(message: sessions_pb2.SessionCrypto, field: str) -> ContextSpec:
    suite = _suite(message.suite, f"{field}.suite")
    window = message.replay_window or 128
    if window not in WINDOWS:
        _refuse(f"{field}.replay_window", f"not one of {', '.join(map(str, WINDOWS))}")
    limit = message.ssrc_limit or MOST_SSRCS
    if limit > MOST_SSRCS:
        _refuse(f"{field}.ssrc_limit", f"{MOST_SSRCS} at most")
    kdr = message.kdr_log2 if message.HasField("kdr_log2") else None
    if kdr is not None and kdr > LONGEST_KDR_LOG2:
        _refuse(f"{field}.kdr_log2", f"{LONGEST_KDR_LOG2} at most (RFC 3711 section 4.3.1)")
    if message.unauthenticated_srtp and suite.cipher == "AES_GCM":
        _refuse(f"{field}.unauthenticated_srtp", f"{suite.name} cannot do without its tag (RFC 7714)")
    return ContextSpec(
        suite=suite.name,
        keys=_keys(message.keys, suite, field),
        window=window,
        kdr_log2=kdr,
        encrypt_rtp=not message.unencrypted_srtp,
        encrypt_rtcp=not message.unencrypted_srtcp,
        authenticate_rtp=not message.unauthenticated_srtp,
        srtcp_tag_as_srtp=message.srtcp_tag_as_srtp,
        ssrc_limit=limit,
        initial_roc=message.initial_roc,
        legacy_192=message.legacy_aes_192,
        roc=_rollover(message.rollover, field),
        sending_mki=_sending(message, field),
    )


def _rollover(number: int, field: str) -> RocPolicy:
    policy = _ROLLOVER.get(number)
    if policy is None:
        _refuse(f"{field}.rollover", "unknown")
    return policy


def _sending(message: sessions_pb2.SessionCrypto, field: str) -> bytes:
    if message.sending_mki and all(key.mki != message.sending_mki for key in message.keys):
        _refuse(f"{field}.sending_mki", "no key has it")
    return bytes(message.sending_mki)


def _keys(messages: Any, suite: suites.Suite, field: str) -> tuple[MasterKey, ...]:
    if not 1 <= len(messages) <= MOST_KEYS:
        _refuse(f"{field}.keys", f"1 to {MOST_KEYS} keys")
    keys = tuple(_key(message, suite, f"{field}.keys[{place}]") for place, message in enumerate(messages))
    if len(keys) > 1:
        if len({len(key.mki) for key in keys}) > 1 or not keys[0].mki:
            _refuse(f"{field}.keys", "several keys need an MKI each, all of one length (RFC 4568 section 6.1)")
        if len({key.mki for key in keys}) < len(keys):
            _refuse(f"{field}.keys", "two keys have the same MKI")
    return keys


def _key(message: sessions_pb2.MasterKey, suite: suites.Suite, field: str) -> MasterKey:
    for part, wanted in (("key", suite.key_octets), ("salt", suite.salt_octets)):
        octets = len(getattr(message, part))
        if octets != wanted:
            _refuse(f"{field}.{part}", f"{octets} octets, {suite.name} takes {wanted}")
    if len(message.mki) > LONGEST_MKI:
        _refuse(f"{field}.mki", f"longer than {LONGEST_MKI} octets")
    if message.rtp_lifetime > suite.max_rtp_lifetime:
        _refuse(f"{field}.rtp_lifetime", f"{suite.name} allows {suite.max_rtp_lifetime} packets")
    if message.rtcp_lifetime > suite.max_rtcp_lifetime:
        _refuse(f"{field}.rtcp_lifetime", f"{suite.name} allows {suite.max_rtcp_lifetime} packets")
    return MasterKey(message.key, message.salt, message.mki, message.rtp_lifetime, message.rtcp_lifetime)


def _suite(text: str, field: str) -> suites.Suite:
    suite = suites.find(text)
    if suite is None:
        _refuse(field, f"unknown suite {text[:64]!r}" if text else "must be given")
    return suite


def _address(message: types_pb2.Endpoint, field: str) -> Address:
    if not 0 < message.port < 65536:
        _refuse(f"{field}.port", "not a port of 1..65535")
    return Address(_host(message.host, f"{field}.host"), message.port)


def _above(rtp: Address, field: str) -> Address:
    if rtp.port == 65535:
        _refuse(f"{field}.port", "no port above it for RTCP; give remote_rtcp")
    return Address(rtp.host, rtp.port + 1)


def _host(text: str, field: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        _refuse(field, f"{text[:64]!r} is not an IPv4 or IPv6 literal" if text else "must be given")


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidRequest(f"{field}: {message}", field)
