"""The parsers that see octets from the network: what may come out of each, and what must hold of what it accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from appliance.calls.negotiation import Negotiated, Negotiation
from appliance.errors import GatewayError, InvalidSdp
from appliance.policy.options import DtlsOptions, Ice, MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.protocols.ice import candidate, trickle
from appliance.protocols.ng import bencode, codec, flags
from appliance.protocols.ng.framing import Framer, Unframed
from appliance.protocols.ng.value import Value
from appliance.protocols.sdes import crypto
from appliance.protocols.sdp.description import Description
from appliance.protocols.sdp.parse import parse
from appliance.protocols.srtp import suites
from appliance.protocols.stun import attributes
from appliance.protocols.stun import message as stun
from tests.appliance.calls import sdps
from tests.appliance.protocols.sdp import fixtures
from tests.fuzz import handshakes, midway
from tests.fuzz.mutate import Corpus

VECTORS = Path(__file__).parents[1] / "vectors"
SUITE_NAMES = [spelling.encode() for suite in suites.SUITES for spelling in suite.spellings]
ANSWER = b"\n--answer--\n"  # between offer and answer of an input of `negotiation`


@dataclass(frozen=True)
class Target:
    """`run` raises `documented` or nothing, and is timed. `check` looks at what it returned; what it raises is a
    finding."""

    name: str
    corpus: Corpus
    run: Callable[[bytes], Any]
    documented: tuple[type[Exception], ...]
    check: Callable[[bytes, Any], None] = lambda data, result: None
    messages: int = 1  # that an input holds: the CPU time allowed is for each


# ---------------------------------------------------------------- SDP


def _sdp(data: bytes, found: Description) -> None:
    """What is accepted is written as it was read, and read again as the same."""
    written = found.serialise()
    assert parse(written).serialise() == written
    if data.endswith(b"\n"):
        assert written == re.sub(rb"(\r?\n)+\Z", lambda end: end[0], data), "not as it was read"
    with suppress(InvalidSdp):  # read when it is asked for
        for media in found.media:
            found.connection(media)


def _sdp_seeds() -> list[bytes]:
    examples = json.loads((VECTORS / "rfc_sdp_examples.json").read_text())["examples"]
    texts = [fixtures.strict(name) for name in fixtures.NAMES] + [fixtures.addressed(name) for name in fixtures.NAMES]
    texts += [path.read_bytes() for path in sorted((VECTORS / "webrtc").glob("*.sdp"))]
    texts += [example["sdp"].encode() for example in examples if "sdp" in example]
    texts += [_offer("RTP/AVP"), _offer("RTP/SAVP", 4), _offer("RTP/SAVPF", 9)]
    texts += [_flood(10, 64), _flood(1, 64), _flood(1, 65), _flood(32, 18), _flood(32, 1), _flood(33, 1)]
    return texts


def _offer(proto: str, cryptos: int = 0) -> bytes:
    names = [suite.name for suite in suites.SUITES][:cryptos]
    lines = [sdps.crypto(tag, name, tag) for tag, name in enumerate(names, 1)]
    audio, video = sdps.media(8000, proto, *lines, "a=rtcp-mux"), sdps.media(8010, proto, *lines, kind="video")
    return sdps.sdp(sdps.ALICE, audio, video)


def _flood(sections: int, lines: int) -> bytes:
    """As many m-lines and a=crypto lines as the limits allow, or a few more (security-and-faults C2)."""
    names = [spelling for suite in suites.SUITES for spelling in suite.spellings]
    cryptos = [sdps.crypto(tag, names[tag % len(names)], tag & 0xFF) for tag in range(1, lines + 1)]
    return sdps.sdp(sdps.ALICE, *[sdps.media(8000 + 2 * n, "RTP/SAVP", *cryptos) for n in range(sections)])


SDP_WORDS = [
    *SUITE_NAMES, b"m=audio 9 RTP/SAVP 0\r\n", b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", b"c=IN IP4 0.0.0.0\r\n",
    b"c=IN IP6 ::1\r\n", b"a=sendonly\r\n", b"a=inactive\r\n", b"a=rtcp:9 IN IP4 0.0.0.0\r\n", b"a=rtcp-mux\r\n",
    b"RTP/AVP", b"RTP/SAVPF", b"UDP/TLS/RTP/SAVPF", b"TCP/RTP/AVP", b"a=group:BUNDLE 0 1\r\n", b"a=mid:0\r\n",
    b"a=fingerprint:sha-256 AA", b"a=fingerprint:sha-256 " + b":".join([b"AB"] * 32) + b"\r\n", b"a=setup:actpass\r\n",
    b"a=setup:holdconn\r\n", b"a=tls-id:" + b"x" * 20 + b"\r\n", b"a=ice-ufrag:abcd\r\n",
    b"a=ice-pwd:" + b"q" * 22 + b"\r\n", b"a=ice-lite\r\n",
    b"a=ice-options:trickle\r\n", b"a=bundle-only\r\n", b"a=candidate:1 1 UDP 1 ::1 9 typ host\r\n",
    b"a=rtcp-mux-only\r\n", b"|2^31|1:1", b"|1:4", b";inline:", b" UNENCRYPTED_SRTP", b" KDR=24", b" WSH=64",
    b" FEC_ORDER=", b"v=0\r\n", b"m=", b"a=",
]  # fmt: skip


# ---------------------------------------------------------------- a=crypto


def _crypto(data: bytes, line: crypto.Crypto) -> None:
    """What is accepted comes back from its own text, padded or not."""
    assert crypto.parse(crypto.emit(line)) == line
    assert crypto.parse(crypto.emit(line, pad=False)) == line


def _crypto_seeds() -> list[bytes]:
    cases = json.loads((VECTORS / "sdes_cases.json").read_text())["cases"]
    keys = json.loads((VECTORS / "sdes_reference_keys.json").read_text())
    lines = [case["line"].removeprefix("a=crypto:") for case in cases]
    lines += [f"{row['tag']} {row['suite']} inline:{row['b64']}" for row in keys]
    lines += [sdps.crypto(1, suite.name).removeprefix("a=crypto:") for suite in suites.SUITES]
    return [line.encode() for line in lines]


# ---------------------------------------------------------------- NG


def _bencode(data: bytes, value: Value) -> None:
    """What is accepted means the same when it is written anew."""
    assert bencode.decode(bencode.encode(value)) == value


def _json(data: bytes, message: codec.Message) -> None:
    """Whatever follows a cookie and begins like JSON; what is accepted can be answered."""
    assert codec.decode(codec.encode(message)).body == message.body
    codec.reply(message, {"result": "ok"})


def _options(data: bytes) -> codec.Message:
    """A whole datagram: envelope, dictionary, the options that its words come to. Reading words never raises."""
    message = codec.decode(data)
    flags.interpret(message.body)
    return message


def _message(data: bytes, message: codec.Message) -> None:
    for key in ("command", "call-id", "from-tag", "to-tag", "via-branch"):
        assert isinstance(message.word(key), str)
    assert isinstance(message.sdp, bytes)


def _framed(data: bytes) -> list[bytes]:
    """Octets of a connection to whole messages (tcp-ng)."""
    return Framer().feed(data)


def _in_pieces(data: bytes, whole: list[bytes]) -> None:
    """However the octets arrive, the messages are the same."""
    framer, found, step = Framer(), [], max(7, len(data) // 200)
    for start in range(0, len(data), step):
        found += framer.feed(data[start : start + step])
    assert found == whole


NG_BODIES: list[dict[str, object]] = [
    {"command": "ping"},
    {"command": "offer", "call-id": "a84b4c", "from-tag": "1928", "sdp": "v=0\r\n", "ICE": "remove",
     "flags": ["trust-address", "SDES-only-AES_CM_128_HMAC_SHA1_80", "replace-origin", "rtcp-mux-demux"],
     "replace": ["origin", "session-connection"], "transport-protocol": "RTP/SAVP", "direction": ["a", "b"],
     "received-from": ["IP4", "192.0.2.1"], "rtcp-mux": ["offer"], "SDES": ["off"], "media-address": "192.0.2.1",
     "OSRTP": ["offer"], "DTLS": "off", "codec": {"strip": ["all"], "offer": ["PCMU"]}, "learning": "off"},
    {"command": "answer", "call-id": "a84b4c", "from-tag": "1928", "to-tag": "7f3a", "sdp": "v=0\r\n",
     "rtpp-flags": "replace=[origin username] SDES=[no-AEAD_AES_256_GCM pad] ICE=remove transport-protocol=RTP/AVP"},
    {"command": "delete", "call-id": "a84b4c", "from-tag": "1928", "flags": ["fatal"], "delete-delay": 0},
    {"command": "list", "limit": "32"},
    {"command": "query", "call-id": "a84b4c", "number": -5, "nested": [[[{"deep": [1, 2, "x"]}]]]},
]  # fmt: skip
NG_WORDS = [
    *SUITE_NAMES, b"de", b"le", b"d", b"l", b"e", b"i0e", b"i-1e", b"0:", b"4:SDESl", b"5:flagsl", b"3:sdp", b"[", b"]",
    b"10:rtpp-flags", b'{"a":', b"}", b'"\\ud800"', b'"\\u0000"', b"null", b"true", b"1e400", b"NaN", b"-0",
    b'"flags":["', b'"SDES":["only-', b"order:", b"offerer_pref:", b"no-", b"only-", b"replace=[", b"=[", b"mandatory:",
    b"ICE", b"OSRTP",
]  # fmt: skip


def _encoded(body: dict[str, object]) -> bytes:
    return bencode.encode(body)  # type: ignore[arg-type]


# ---------------------------------------------------------------- offer and answer


def _negotiate(data: bytes) -> tuple[Negotiated, ...]:
    """An offer through the gateway, then an answer to what the gateway offered; then a re-offer of the other party."""
    first, _, rest = data.partition(b"\n")
    wishes = WISHES.get(first.rstrip(b"\r"), MediaOptions())
    offer, found, answer = (rest if first.rstrip(b"\r") in WISHES else data).partition(ANSWER)
    number = count(1)
    negotiation = Negotiation(lambda octets: next(number).to_bytes(octets, "big"), sdps.Pool())
    plan = negotiation.read_offer(offer, wishes, "alice")
    placed = [sdps.placement(need.line) for need in plan.streams]
    offered = negotiation.write_offer(plan, placed)
    if not found:
        answer = sdps.answering(offered.sdp, extra=KEYED if b"fingerprint:" in offered.sdp else ())
    answered = negotiation.answer(answer, wishes, to_tag="bob")
    again = negotiation.read_offer(answer, wishes, "bob")
    reoffered = negotiation.write_offer(again, [sdps.placement(need.line) for need in again.streams])
    return offered, answered, reoffered


def _negotiated(data: bytes, every: tuple[Negotiated, ...]) -> None:
    """What is written for either side is SDP that we would accept ourselves; keys of ours are never those of a peer."""
    for written in every:
        parse(written.sdp)
        for stream in written.streams:
            for leg in (stream.a, stream.b):
                ours, theirs = ({key.key for key in spec.keys} if spec else set() for spec in (leg.send, leg.receive))
                assert not ours & theirs, "our key is the peer's"
                assert not leg.dtls or (leg.secure and leg.receive is None), "keyed twice"
        _carried(written)


def _carried(written: Negotiated) -> None:
    """Whoever shares a port has a carrier that the data plane takes (appliance.placement.desired_bundle)."""
    streams = dict(zip(written.lines, written.streams, strict=True))
    for line, stream in streams.items():
        for side in "ab":
            bundle = stream.leg(side).bundle
            if bundle is not None:
                carrier = streams[bundle.carrier].leg(side).bundle
                assert carrier is not None and not carrier.member, "a member of a member"
                assert bundle.member == (bundle.carrier != line)
                assert not bundle.member or (stream.leg(side).ice, stream.leg(side).dtls) == (None, None)


KEYED = [
    "a=fingerprint:sha-256 " + ":".join(["A1"] * 32), "a=setup:active", "a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 22
]  # fmt: skip
WISHES = {
    b"webrtc": sdps.options(
        transport_protocol="UDP/TLS/RTP/SAVPF",
        ice=Ice.FORCE,
        dtls_from=DtlsOptions(sha1=True),
        sdes=SdesOptions(enabled=False),
    ),
    b"osrtp": sdps.options(osrtp=frozenset({"accept-rfc", "accept-legacy", "offer"}), dtls_from=DtlsOptions(sha1=True)),
    b"plain": sdps.options(transport_protocol="RTP/AVP"),
    b"savp": sdps.options(transport_protocol="RTP/SAVP"),
    b"savpf": sdps.options(transport_protocol="RTP/SAVPF"),
    b"mandatory": sdps.options(inbound=SecureMedia(Mode.MANDATORY), outbound=SecureMedia(Mode.MANDATORY)),
    b"optional": sdps.options(inbound=SecureMedia(Mode.OPTIONAL), outbound=SecureMedia(Mode.OPTIONAL)),
    b"forbidden": sdps.options(inbound=SecureMedia(Mode.FORBIDDEN), outbound=SecureMedia(Mode.FORBIDDEN)),
}


def _negotiation_seeds() -> list[bytes]:
    answers = [
        sdps.sdp(sdps.BOB, sdps.media(4000, "RTP/AVP"), sdps.media(4002, "RTP/AVP", kind="video")),
        sdps.sdp(sdps.BOB, sdps.media(4000, "RTP/SAVP", sdps.crypto(1, "AES_CM_128_HMAC_SHA1_80", 0x62)),
                 sdps.media(4002, "RTP/SAVP", sdps.crypto(1, "AES_CM_128_HMAC_SHA1_80", 0x63), kind="video")),
        sdps.sdp(sdps.BOB, sdps.media(4000, "RTP/AVP", "a=sendonly"), sdps.media(0, "RTP/AVP", kind="video")),
        sdps.sdp(sdps.BOB, sdps.media(4000, "UDP/TLS/RTP/SAVPF", *KEYED, "a=rtcp-mux"),
                 sdps.media(4002, "UDP/TLS/RTP/SAVPF", *KEYED, kind="video")),
        *(sdps.sdp(sdps.BOB, sdps.media(4000, "UDP/TLS/RTP/SAVPF", *KEYED, "a=rtcp-mux", "a=mid:m0"),
                   sdps.media(port, "UDP/TLS/RTP/SAVPF", *KEYED, "a=mid:m1", kind="video"),
                   session=["a=group:BUNDLE m1 m0" if port else "a=group:BUNDLE m0"]) for port in (4000, 0)),
    ]  # fmt: skip
    offers = [text for text in _sdp_seeds() if len(text) < 6000]
    seeds = [word + b"\n" + offer for word in WISHES for offer in offers]
    seeds += [b"savp\n" + _flood(32, 18), b"plain\n" + _flood(10, 64)]
    seeds += [word + b"\n" + _offer(proto, 3) + ANSWER + answer
              for word in WISHES for proto in ("RTP/AVP", "RTP/SAVP") for answer in answers]  # fmt: skip
    return seeds


# ---------------------------------------------------------------- ICE


class Refused(Exception):
    """What a parser that never raises has said."""


def _stun(data: bytes) -> stun.Message:
    """The whole datagram, and once more as the body of a right header: most mutations spoil a length."""
    found = stun.parse(data)
    if isinstance(found, stun.Message):
        return found
    body = data[20:2048][: len(data[20:2048]) & ~3]
    found = stun.parse(data[:2].ljust(2, b"\0") + len(body).to_bytes(2, "big") + STUN_COOKIE + bytes(12) + body)
    if isinstance(found, stun.Malformed):
        raise Refused(found.reason)
    return found


def _stun_again(data: bytes, message: stun.Message) -> None:
    """What is accepted means the same when it is written anew; nothing unsigned is ever verified."""
    message.verified(b"key")
    written = stun.parse(stun.encode(message, b"key"))
    assert isinstance(written, stun.Message) and written.verified(b"key")
    for row in attributes.ROWS:
        assert getattr(written, row.field) == getattr(message, row.field), row.field


def _stun_seeds() -> list[bytes]:
    vectors = json.loads((VECTORS / "rfc5769_stun.json").read_text())["vectors"]
    seeds = [bytes.fromhex(entry["hex"]) for entry in vectors]
    for value in (b"", b"\0", bytes(4), bytes(8), bytes(20), b"\0\2\1\1" + bytes(4), b"\0\1\1\1" + bytes(16)):
        for row in attributes.ROWS:  # each attribute with values of other lengths and families (row D10)
            body = bytearray()
            attributes.append(body, row.code, value)
            seeds.append(b"\0\1" + len(body).to_bytes(2, "big") + STUN_COOKIE + bytes(12) + bytes(body))
    return seeds


STUN_COOKIE = bytes.fromhex("2112a442")
STUN_WORDS = [row.code.to_bytes(2, "big") for row in attributes.ROWS] + [
    b"\0\x08\0\x14", b"\x80\x28\0\4", b"\0\x1c\0\x20", b"\0\2", b"\0\x03", b"\xff\xff", STUN_COOKIE,
]  # fmt: skip
CANDIDATES = [
    b"1 1 UDP 2130706431 192.0.2.1 5000 typ host",
    b"842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999",
    b"3 2 TCP 1 2001:db8::1 9 typ relay raddr :: rport 9 tcptype active ufrag abcd",
    b"4 1 udp 1 4a2b1c9e-3d4f-4b6a-9e0d-1c2b3a4f5e6d.local 5000 typ host",
]
FRAGMENTS = [
    b"a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:"
    + line + b"\r\na=end-of-candidates\r\n" for line in CANDIDATES
]  # fmt: skip
ICE_WORDS = [b"typ", b"raddr", b"rport", b"udp", b"TCP", b"a=mid:", b"m=", b"a=candidate:", b"a=end-of-candidates"]


def _candidate(data: bytes) -> candidate.Candidate:
    text = data.decode("utf-8", "surrogateescape")
    candidate.read([text])
    return candidate.parse(text)


def _candidate_again(data: bytes, found: candidate.Candidate) -> None:
    assert candidate.parse(str(found)) == found


def _fragment_again(data: bytes, found: trickle.Fragment) -> None:
    """Written with an m-line for each section; what was left out, or cannot be written, stays out."""
    again = trickle.parse(trickle.emit(found))
    assert [section.candidates for section in again.sections] == [section.candidates for section in found.sections]


TARGETS: tuple[Target, ...] = (
    Target("sdp", Corpus(_sdp_seeds(), SDP_WORDS), parse, (InvalidSdp,), _sdp),
    Target(
        "crypto", Corpus(_crypto_seeds(), SDP_WORDS),
        lambda data: crypto.parse(data.decode("utf-8", "surrogateescape")), (crypto.InvalidCrypto,), _crypto,
    ),
    Target(
        "bencode", Corpus([_encoded(body) for body in NG_BODIES], NG_WORDS), bencode.decode, (bencode.BencodeError,),
        _bencode,
    ),
    Target(
        "ng-json", Corpus([json.dumps(body).encode() for body in NG_BODIES], NG_WORDS),
        lambda data: codec.decode(b"17_1 " + data), (codec.Malformed,), _json,
    ),
    Target(
        "ng-message",
        Corpus([b"17_2 " + write(body) for body in NG_BODIES for write in (_encoded, lambda b: json.dumps(b).encode())],
               NG_WORDS),
        _options, (codec.Malformed,), _message,
    ),
    Target(
        "ng-stream",
        Corpus([
            b"".join(b"1%d_7 " % n + _encoded(body) for n, body in enumerate(NG_BODIES)),
            b"1_7 " + _encoded(NG_BODIES[1]),
            b"1_7 " + json.dumps(NG_BODIES[1]).encode() + b"\n2_7 " + json.dumps(NG_BODIES[0]).encode(),
        ], NG_WORDS),
        _framed, (Unframed,), _in_pieces,
    ),
    Target(
        "negotiation", Corpus(_negotiation_seeds(), SDP_WORDS), _negotiate, (GatewayError,), _negotiated, messages=3,
    ),
    Target("stun", Corpus(_stun_seeds(), STUN_WORDS), _stun, (Refused,), _stun_again),
    Target(
        "dtls", Corpus(handshakes.seeds(), handshakes.WORDS), handshakes.take, (handshakes.Silence,), handshakes.check,
        messages=8,
    ),
    Target(
        "midway", Corpus(midway.seeds(), handshakes.WORDS), midway.take, (midway.Ended,), midway.check, messages=24,
    ),
    Target("candidate", Corpus(CANDIDATES, ICE_WORDS), _candidate, (candidate.InvalidCandidate,), _candidate_again),
    Target("sdpfrag", Corpus(FRAGMENTS, ICE_WORDS), trickle.parse, (InvalidSdp,), _fragment_again),
)  # fmt: skip
