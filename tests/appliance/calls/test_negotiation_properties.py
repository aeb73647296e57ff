"""What holds for every sequence of offers and answers by either side, whatever policies say: m-lines keep number and
order (RFC 3264 sections 6 and 8), a leg that must be secure is never plain, no key of ours is used for two things."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.calls.media import DtlsMedia
from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.errors import GatewayError
from appliance.policy.options import DtlsOptions, Ice, MediaOptions
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.protocols.sdp import formats

from .sdps import ALICE, BOB, Call, Pool, crypto, cryptos, media, options, read, sdp

CM80, GCM, F8 = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80"
HOSTS, TAGS = {"a": ALICE, "b": BOB}, {"a": "alice", "b": "bob"}
PROTOS = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF", "TCP/RTP/AVP"]
MODES = [None, Mode.MANDATORY, Mode.OPTIONAL, Mode.FORBIDDEN]


@dataclass(frozen=True)
class Section:
    """One m-line of a peer's offer. `port`: 0 refused, 1 that of the line before (an alternative), 2 its own."""

    proto: str
    port: int
    kind: str
    keys: tuple[tuple[str, int], ...]
    codec: str  # "payload-type rtpmap"
    print_: int  # seed of the fingerprint; 0: none
    setup: str
    ufrag: str  # "": no ICE


@dataclass(frozen=True)
class Step:
    side: str
    sections: tuple[Section, ...]
    inbound: Mode | None
    outbound: Mode | None
    osrtp: frozenset[str]
    secure_signalling: bool
    reply: tuple[str, ...]  # per m-line of our offer: take, refuse, plain (without keys), foreign (another tag)
    octet: int
    transport: str  # "": as offered
    dtls: DtlsOptions
    ice: Ice


SECTIONS = st.builds(
    Section,
    st.sampled_from(PROTOS),
    st.sampled_from([0, 1, 2, 2, 2]),
    st.sampled_from(["audio", "audio", "video"]),
    st.lists(st.tuples(st.sampled_from([CM80, GCM, F8]), st.integers(0x80, 0x84)), max_size=2).map(tuple),
    st.sampled_from(["96 opus/48000/2", "111 opus/48000/2", "96 speex/16000", "111 speex/16000", "8 PCMA/8000"]),
    st.integers(0, 2),
    st.sampled_from(["actpass", "actpass", "active", "passive"]),
    st.sampled_from(["", "abcd", "efgh"]),
)
STEPS = st.builds(
    Step,
    st.sampled_from("aaab"),
    st.lists(SECTIONS, min_size=1, max_size=4).map(tuple),
    st.sampled_from(MODES),
    st.sampled_from(MODES),
    st.frozensets(st.sampled_from(["offer", "offer-legacy", "accept-rfc", "accept-legacy"])),
    st.sampled_from([True, True, True, False]),
    st.lists(st.sampled_from(["take", "take", "take", "refuse", "plain", "foreign"]), min_size=8, max_size=8).map(
        tuple
    ),
    st.integers(0xA0, 0xA4),
    st.sampled_from(["", "", "RTP/SAVP", "UDP/TLS/RTP/SAVPF"]),
    st.builds(DtlsOptions, enabled=st.sampled_from([True, True, False]), role=st.sampled_from(["", "passive"])),
    st.sampled_from(Ice),
)


def offer_of(step: Step, least: int) -> bytes:
    """The step's m-lines, and refused ones up to as many as the side has seen."""
    sections, port = [], 8000
    for section in step.sections:
        port += 10 * (section.port == 2)
        keys = [crypto(tag, name, octet) for tag, (name, octet) in enumerate(section.keys, 1)]
        keys += dtls(section.print_, section.setup) if section.print_ else []
        keys += ice(section.ufrag) if section.ufrag else []
        numbers, lines = f"{section.codec.split()[0]} 0", [*keys, f"a=rtpmap:{section.codec}"]
        sections.append(media(port if section.port else 0, section.proto, *lines, kind=section.kind, formats=numbers))
    sections += [media(0, "RTP/AVP")] * (least - len(sections))
    return sdp(HOSTS[step.side], *sections)


def reply_to(offer: bytes, step: Step) -> bytes:
    sections = []
    for at, section in enumerate(read(offer).media):
        line, lines, how = section.media, cryptos(offer, at), step.reply[at % len(step.reply)]
        if not line.port or how == "refuse":
            sections.append([f"m={line.kind} 0 {line.proto} {' '.join(line.formats)}"])
            continue
        keys = []
        if lines and how != "plain":
            chosen = lines[step.octet % len(lines)]
            keys = [crypto(chosen.tag + 900 * (how == "foreign"), chosen.spelling, step.octet)]
        if section.has("fingerprint") and how != "plain":
            keys += dtls(step.octet, "actpass" if how == "foreign" else ("active", "passive")[step.octet % 2])
        keys += ice("ijkl") if section.has("ice-ufrag") and step.octet % 3 else []
        maps = [f"a=rtpmap:{value}" for value in section.attributes("rtpmap")]
        if step.octet % 2:  # a peer that answers by numbers of its own
            maps = [one.replace(":96 ", ":120 ").replace(":111 ", ":96 ") for one in maps]
            renamed = {"96": "120", "111": "96"}
            line = replace(line, formats=tuple(renamed.get(number, number) for number in line.formats))
        sections.append(media(4000 + 2 * at, line.proto, *keys, *maps, kind=line.kind, formats=" ".join(line.formats)))
    return sdp(HOSTS["b" if step.side == "a" else "a"], *sections)


def dtls(seed: int, setup: str) -> list[str]:
    return [f"a=fingerprint:sha-256 {':'.join([f'{seed:02X}'] * 32)}", f"a=setup:{setup}"]


def ice(ufrag: str) -> list[str]:
    return [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{ufrag * 6}"]


def wishes_of(step: Step) -> MediaOptions:
    wishes = options(
        inbound=SecureMedia(step.inbound) if step.inbound else None,
        outbound=SecureMedia(step.outbound) if step.outbound else None,
        osrtp=step.osrtp, transport_protocol=step.transport, dtls=step.dtls, dtls_from=step.dtls, ice=step.ice,
    )  # fmt: skip
    return replace(wishes, signalling_secure=step.secure_signalling, signalling_secure_out=step.secure_signalling)


@dataclass
class Witness:
    """What was seen so far, and what must hold of what comes."""

    owner: dict[bytes, tuple[str, int]] = field(default_factory=dict)  # key of ours -> leg and port it was sent for
    used: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)  # leg, stream -> keys we sent media with
    associations: dict[tuple[str, int, str], object] = field(default_factory=dict)  # -> its peer, and who is client
    seen: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})  # m-lines of each leg's SDP

    def associated(self, number: int, side: str, wanted: DtlsMedia) -> None:
        """D2, DTLS-13: an association has one peer and one role."""
        assert wanted.fingerprints and wanted.active is not None
        peer = (wanted.fingerprints, wanted.active)
        assert self.associations.setdefault((side, number, wanted.association), peer) == peer

    def emitted(self, text: bytes, side: str) -> None:
        keys = []
        for at, section in enumerate(read(text).media):
            for line in cryptos(text, at):
                assert section.media.port, "keys on a refused m-line"
                keys += [key.material for key in line.keys]
                for key in line.keys:
                    assert self.owner.setdefault(key.material, (side, section.media.port)) == (side, section.media.port)
        assert len(keys) == len(set(keys))

    def agreed(self, done: Negotiated) -> None:
        for number, stream in zip(done.lines, done.streams, strict=True):
            for side, leg in (("a", stream.a), ("b", stream.b)):
                assert leg.secure == ((leg.receive is not None) or (leg.dtls is not None))
                assert (leg.receive is not None) == (leg.send is not None) and not (leg.receive and leg.dtls)
                if leg.dtls is not None:
                    self.associated(number, side, leg.dtls)
                if leg.send is None or leg.receive is None:
                    continue
                ours, theirs = leg.send.keys[0], leg.receive.keys[0]
                assert ours.key != theirs.key
                before = self.used.setdefault((side, number), [])
                if ours.key + ours.salt in before:
                    assert before[-1] == ours.key + ours.salt, "a key that was left came back"
                else:
                    before.append(ours.key + ours.salt)


def check_translation(call: Call, done: Negotiated, listener: str, reply: bytes) -> None:
    """G25: media that carries a number of the answer as told the offerer reaches the answerer under the number by
    which the answerer itself knows that codec."""
    exchange = call.negotiation._state.agreed
    sections = {
        slot.stream: section
        for slot, section in zip(exchange.slots(listener), read(reply).media, strict=True)
        if slot.taken
    }
    told = {slot.stream: section for slot, section in zip(
        exchange.slots("b" if listener == "a" else "a"), read(done.sdp).media, strict=True) if slot.taken}  # fmt: skip
    for number, stream in zip(done.lines, done.streams, strict=True):
        leg = stream.a if listener == "a" else stream.b
        translate, theirs = dict(leg.payload_types), formats.codecs(sections[number])
        for sent, codec in formats.codecs(told[number]).items():
            assert theirs[str(translate.get(int(sent), int(sent)))] == codec


@settings(max_examples=250, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=6))
def test_any_sequence(steps: list[Step]) -> None:
    """G09, SDP-2, SDP-7, SDP-10, SDP-12, C3, SDES-6, B5: see the module's first line."""
    call, witness = Call(certificates=Pool()), Witness()
    for step in steps:
        far = "b" if step.side == "a" else "a"
        text = offer_of(step, witness.seen[step.side])
        record = call.negotiation.to_record()
        try:
            offered = call.offer(text, wishes_of(step), TAGS[step.side])
        except GatewayError:
            assert call.negotiation.to_record() == record
            continue
        speaker = call.negotiation._state.offerer  # an offer under an unknown tag before any answer is Alice's
        listener = "b" if speaker == "a" else "a"
        witness.emitted(offered.sdp, listener)
        count = len(read(offered.sdp).media)
        assert count >= (witness.seen[listener] if speaker == step.side else 0)
        state = call.negotiation._state
        for number, line in enumerate(state.pending.lines):
            if line.live and number in offered.lines:
                if step.outbound is Mode.MANDATORY:
                    assert line.leg(listener).secure and "RTP/S" in line.leg(listener).proto
                if step.outbound is Mode.FORBIDDEN:
                    assert not line.leg(listener).secure
                if step.inbound is Mode.MANDATORY:
                    assert line.leg(speaker).secure and "RTP/S" in line.leg(speaker).proto
                if not step.secure_signalling:
                    assert line.leg(speaker).remote is None and not line.leg(listener).proposed
                if not step.dtls.enabled:
                    assert line.leg(speaker).dtls is None and line.leg(listener).dtls is None
        again = Negotiation.from_record(
            json.loads(json.dumps(call.negotiation.to_record())), call.negotiation._random, Pool()
        )
        assert again.to_record() == call.negotiation.to_record()
        record = call.negotiation.to_record()
        try:
            reply = reply_to(offered.sdp, step)
            done = call.answer(reply, options(), TAGS[far])
        except GatewayError:
            assert call.negotiation.to_record() == record
            continue
        witness.emitted(done.sdp, speaker)
        witness.agreed(done)
        check_translation(call, done, listener, reply)
        asked, told = read(text).media, read(done.sdp).media
        assert len(asked) == len(told)
        for theirs, ours in zip(asked, told, strict=True):
            assert not (ours.has("crypto") and ours.has("fingerprint"))  # D07, SDP-4
            assert (ours.media.kind, ours.media.proto) == (theirs.media.kind, theirs.media.proto)
            if ours.media.port:
                assert theirs.media.port
                meant, answered = formats.codecs(theirs), formats.codecs(ours)
                assert answered == {number: meant[number] for number in answered}  # G25: in its own numbers
        assert sum(section.media.port != 0 for section in told) == len(done.lines)
        witness.seen = {speaker: len(asked), listener: count}
