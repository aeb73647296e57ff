"""A subscription: our offer to somebody who gets copies of what parties of a call send (recorder, monitor), and its
answer. Pure: SDP and keys, no placement.

    codecs      what each m-line of an SDP says of its formats: kept of every SDP that a party is given
    offer       m-lines, sendonly, one for each stream that is copied
    answered    where the copies go and under which keys
    media       as desired media: streams beside those of the call (StreamMedia.copies_of)

Payload types are those that the copied party uses: it has them from the SDP that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_read as reading
from appliance.calls.media import Address, Latching, LegMedia, LocalPorts, StreamMedia
from appliance.calls.negotiation_endpoint import endpoint as endpoint_of
from appliance.calls.negotiation_target import target
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy import suites as suite_policy
from appliance.policy.options import KEEP_TOS, DtlsOptions, MediaOptions
from appliance.protocols.sdes import crypto
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import formats, profiles
from appliance.protocols.sdp.description import Media
from appliance.protocols.sdp.fields import DIRECTIONS, Connection
from appliance.protocols.sdp.parse import parse
from appliance.protocols.sdp.profiles import Profile

FIRST_LINE = 1000  # streams from here on are copies; m-lines of a call stay below
_TOLD = re.compile(r"^(?:m=\S+ (\d+) \S+ |a=(?=(?:rtpmap|fmtp|ptime|maxptime)(?::|\r?$)))([^\r\n]*)", re.MULTILINE)
END = "\r\n"

Codecs = tuple[tuple[int, str], ...]  # (port, formats and attributes, one a line) of each m-line


@dataclass(frozen=True, slots=True)
class Copy:
    """One m-line of a subscription."""

    line: int  # stream of the branch by which its ports and flows are known
    of: int  # stream that is copied
    side: str  # of its legs: "a" or "b"
    kind: str
    codecs: str
    proto: str
    interface: str
    mux: bool = False  # what we offered, then what is agreed
    proposed: tuple[Crypto, ...] = field(default=(), repr=False)
    chosen: int | None = None  # tag of the one of them that holds
    rtp: Address | None = None  # where copies go; None: not answered, or refused
    rtcp: Address | None = None
    wanted: bool = True  # the subscriber's direction attribute
    window: int = 128
    ssrc_limit: int = 16
    tos: int | None = None

    @property
    def profile(self) -> Profile:
        return profiles.PROFILES[self.proto]


@dataclass(frozen=True, slots=True)
class Subscription:
    """`to_tag` names it within its branch."""

    to_tag: str
    session_id: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be copied: a leg of a stream, and what its sender was told of formats."""

    of: int
    side: str
    kind: str
    codecs: str
    proto: str  # profile that it speaks itself


def codecs(sdp: bytes) -> Codecs:
    """Of an SDP that we wrote: by port, which tells m-lines apart whatever their order."""
    found: list[tuple[int, list[str]]] = []
    for port, told in _TOLD.findall(sdp.decode("utf-8", "surrogateescape")):
        if port:
            found.append((int(port), [told]))
        elif found:
            found[-1][1].append(told)
    return tuple((port, "\n".join(lines)) for port, lines in found if port)


def clock(text: str) -> int | None:
    """Clock rate in Hz of an m-line's codecs (its text of `Codecs`); None: they have several."""
    numbers, _, attributes = text.partition("\n")
    said = dict(line[7:].split(" ", 1) for line in attributes.split("\n") if re.match(r"rtpmap:\S+ ", line))
    return formats.clock(said.get(number, formats.STATIC.get(number, "")).lower() for number in numbers.split())


def profile_for(source: str, options: MediaOptions) -> Profile:
    """The profile towards a subscriber: asked for by name, else as its trunk's policy says, else as the source's. One
    m-line has one form: a subscriber that may be secure or plain is offered SRTP, with keys in SDP. InvalidRequest,
    NotAcceptable, CryptoRequired."""
    only_sdes = replace(options, osrtp=frozenset(), dtls=DtlsOptions(enabled=False))
    return target(profiles.PROFILES[source], only_sdes).profile


def propose(
    to_tag: str,
    sources: Mapping[int, Source],
    options: MediaOptions,
    interface: str,
    random: Callable[[int], bytes],
    used: set[bytes],
) -> Subscription:
    """A subscription to `sources` (by the line each copy is to have), keys drawn. NotAcceptable, CryptoRequired."""
    draw = keys.KeySource(random, used)
    copies = []
    for line, source in sources.items():
        profile = profile_for(source.proto, options)
        proposed: tuple[Crypto, ...] = ()
        if profile.secure:
            wanted = suite_policy.offered(options.sdes, options.outbound)
            if not wanted:
                raise NotAcceptable("the options leave no crypto suite to offer")
            proposed = keys.propose(wanted, options.sdes, draw)
        copies.append(
            Copy(
                line,
                source.of,
                source.side,
                source.kind,
                source.codecs,
                profile.token,
                interface,
                mux=bool(options.rtcp_mux & {"offer", "require"}),
                proposed=proposed,
                window=options.sdes.window,
                ssrc_limit=options.sdes.ssrc_limit,
                tos=None if options.tos == KEEP_TOS else options.tos,
            )
        )
    return Subscription(to_tag, int.from_bytes(random(8), "big") >> 2, tuple(copies))


def offer(subscription: Subscription, ports: Mapping[int, LocalPorts], options: MediaOptions) -> bytes:
    """The SDP, each m-line with a label (RFC 4574, which SIPREC refers to: RFC 7866 section 7.1.1). `ports` by line,
    with addresses as they are to stand in SDP."""
    hosts = [options.media_address or ports[copy.line].address for copy in subscription.copies]
    lines = [
        "v=0",
        f"o=- {subscription.session_id} 1 {Connection.to(hosts[0])}",
        "s=-",
        f"c={Connection.to(hosts[0])}",
        "t=0 0",
    ]
    for number, (copy, host) in enumerate(zip(subscription.copies, hosts, strict=True), 1):
        formats, *attributes = copy.codecs.split("\n")
        ours = ports[copy.line]
        lines.append(f"m={copy.kind} {ours.rtp} {copy.proto} {formats}")
        if host != hosts[0]:
            lines.append(f"c={Connection.to(host)}")
        lines += [f"a={attribute}" for attribute in attributes]
        lines += ["a=sendonly", f"a=label:{number}"]
        if copy.mux:
            lines.append("a=rtcp-mux")
        lines += [f"a=crypto:{crypto.emit(line, pad=options.sdes.pad)}" for line in copy.proposed]
    return (END.join(lines) + END).encode("utf-8", "surrogateescape")


def answered(subscription: Subscription, sdp: bytes, options: MediaOptions, ours: Collection[bytes]) -> Subscription:
    """After its answer. `ours`: keys of ours that an answer may not repeat. InvalidSdp, NotAcceptable,
    CryptoRequired."""
    answer = parse(sdp)
    copies = []
    for at, copy in enumerate(subscription.copies):
        media = answer.media[at] if at < len(answer.media) else None
        if media is None or media.media.port == 0:
            copies.append(replace(copy, rtp=None, rtcp=None, chosen=None))
            continue
        _check(at + 1, copy, media)
        endpoint = endpoint_of(answer, media, options)
        chosen = None
        if copy.profile.secure:
            try:
                mine, _ = keys.match(media.attributes("crypto"), copy.proposed, reading.this_side(options), ours)
            except keys.NoKey as why:
                raise CryptoRequired(f"answer, m-line {at + 1}: {why}") from None
            chosen = mine.tag
        copies.append(
            replace(
                copy,
                mux="require" in options.rtcp_mux or (copy.mux and endpoint.mux),
                chosen=chosen,
                rtp=endpoint.rtp,
                rtcp=endpoint.rtcp,
                wanted=DIRECTIONS[endpoint.direction][1],
            )
        )
    return replace(subscription, copies=tuple(copies))


def _check(at: int, copy: Copy, media: Media) -> None:
    profile = profiles.find(media.media.proto)
    if media.media.kind != copy.kind or profile is None or profile.dtls:
        raise NotAcceptable(f"answer, m-line {at} is not what was offered")
    if copy.profile.secure and not profile.secure:
        raise CryptoRequired(f"answer, m-line {at}: SRTP was offered, the answer is {media.media.proto}")
    if profile.secure and not copy.profile.secure:
        raise NotAcceptable(f"answer, m-line {at}: RTP was offered, the answer is {media.media.proto}")


def media(subscription: Subscription) -> dict[int, StreamMedia]:
    """Desired media by line. A copy that is not answered has nowhere to go."""
    return {copy.line: _stream(copy) for copy in subscription.copies}


def _stream(copy: Copy) -> StreamMedia:
    mine = next((line for line in copy.proposed if line.tag == copy.chosen), None)
    options = replace(MediaOptions().sdes, window=copy.window, ssrc_limit=copy.ssrc_limit)
    leg = LegMedia(
        copy.interface,
        copy.rtp,
        None if copy.mux else copy.rtcp,
        mux=copy.mux,
        secure=copy.profile.secure,
        send=keys.context(mine, options) if mine else None,
        may_send=False,
        may_receive=copy.wanted,
        feedback=copy.profile.feedback,
        extensions=(),  # none was offered (row G13)
        tos=copy.tos,
        latching=Latching.OFF,
    )
    nobody = LegMedia("", mux=True, may_send=False)
    a, b = (leg, nobody) if copy.side == "a" else (nobody, leg)
    return StreamMedia(copy.kind, a, b, copies_of=copy.of)


# ---------------------------------------------------------------- records


def to_record(subscription: Subscription) -> list[Any]:
    """JSON-compatible; contains keys."""
    return [subscription.to_tag, subscription.session_id, [_copy_out(copy) for copy in subscription.copies]]


def from_record(value: list[Any]) -> Subscription:
    """TypeError, ValueError: a record of another form."""
    to_tag, session_id, copies = value
    return Subscription(to_tag, session_id, tuple(_copy_in(*copy) for copy in copies))


def _copy_out(copy: Copy) -> list[Any]:
    addresses = [None if at is None else [at.host, at.port] for at in (copy.rtp, copy.rtcp)]
    return [
        [copy.line, copy.of, copy.side, copy.kind, copy.codecs, copy.proto, copy.interface, copy.mux],
        [crypto.emit(line) for line in copy.proposed],
        copy.chosen,
        *addresses,
        [copy.wanted, copy.window, copy.ssrc_limit, copy.tos],
    ]


def _copy_in(
    named: list[Any], proposed: list[str], chosen: int | None, rtp: list[Any] | None, rtcp: list[Any] | None, rest: Any
) -> Copy:
    lines = tuple(crypto.parse(text, separate_fec=True) for text in proposed)
    to_rtp, to_rtcp = (None if at is None else Address(*at) for at in (rtp, rtcp))
    wanted, window, ssrc_limit, tos = rest
    line, of, side, kind, text, proto, interface, mux = named
    return Copy(
        line,
        of,
        side,
        kind,
        text,
        proto,
        interface,
        mux,
        proposed=lines,
        chosen=chosen,
        rtp=to_rtp,
        rtcp=to_rtcp,
        wanted=wanted,
        window=window,
        ssrc_limit=ssrc_limit,
        tos=tos,
    )
