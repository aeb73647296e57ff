"""`a=crypto` lines (RFC 4568): text to values and back. Pure; keys never appear in a repr or in an error.

tag SUITE inline:KEY||SALT[|lifetime][|MKI:length][;inline:...] [session parameters]
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import field

from appliance.protocols.srtp import suites
from appliance.protocols.srtp.suites import Suite
from appliance.values import frozen

MAX_KEYS = 16  # master keys in one line; the field uses one, FreeSWITCH's MKI option a handful
MAX_KEY_TEXT = 128  # base64 characters of one key; the longest suite needs 64
WINDOW_FLOOR = 64  # RFC 3711 section 3.3.2

_TAG = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_SUITE = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
_BASE64 = re.compile(r"([A-Za-z0-9+/]+)={0,2}\Z")
_LIFETIME = re.compile(r"(?:(2\^)(0|[1-9][0-9]?)|([1-9][0-9]{0,18}))\Z")
_MKI = re.compile(r"([1-9][0-9]{0,308}):([1-9][0-9]{0,2})\Z")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")


class InvalidCrypto(ValueError):
    """One a=crypto line is to be treated as absent (RFC 4568 section 6.1); the text says why and holds no key."""


@frozen
class InlineKey:
    """One `inline:` key: master key followed by master salt, `lifetime` in packets (0: not given), MKI as on the
    wire."""

    material: bytes = field(repr=False)
    lifetime: int = 0
    mki: bytes = b""


@frozen
class Parameters:
    """Session parameters (section 6.3). `kdr_log2` and `window` are 0 when not given."""

    kdr_log2: int = 0
    unencrypted_srtp: bool = False
    unencrypted_srtcp: bool = False
    unauthenticated_srtp: bool = False
    fec_order: str = ""
    fec_keys: tuple[InlineKey, ...] = ()
    window: int = 0
    extensions: tuple[str, ...] = ()  # "-name=value": optional ones that we do not know

    @property
    def negotiated(self) -> tuple[bool, bool, bool]:
        """The parameters that both sides must state alike (section 6.3.2, 6.3.3)."""
        return self.unencrypted_srtp, self.unencrypted_srtcp, self.unauthenticated_srtp


_NONE = Parameters()


@frozen
class Crypto:
    """One a=crypto line. `suite` is None for a well-formed line of a suite we do not know."""

    tag: int
    spelling: str  # the suite's name as written; an answer repeats it
    suite: Suite | None
    keys: tuple[InlineKey, ...]
    parameters: Parameters = _NONE


FLAGS = {
    "UNENCRYPTED_SRTP": "unencrypted_srtp",
    "UNENCRYPTED_SRTCP": "unencrypted_srtcp",
    "UNAUTHENTICATED_SRTP": "unauthenticated_srtp",
}
FEC_ORDERS = ("FEC_SRTP", "SRTP_FEC")


def parse(value: str, *, liberal_lifetime: bool = False, separate_fec: bool = False) -> Crypto:
    """The value behind `a=crypto:`. InvalidCrypto and nothing else.

    `liberal_lifetime` clamps a lifetime above the suite's maximum instead of refusing the line (row C05);
    `separate_fec`: the stream has FEC on an address of its own, which alone permits FEC_KEY (section 6.3.5)."""
    parts = value.split(None, 2)
    if len(parts) < 3:
        raise InvalidCrypto("needs tag, suite and key parameters")
    tag, spelling, rest = parts
    if not _TAG.match(tag):
        raise InvalidCrypto("tag must be 1 to 9 digits without leading zeros")
    if not _SUITE.match(spelling):
        raise InvalidCrypto("suite name has other characters than letters, digits and _")
    suite = suites.find(spelling)
    inline, words = _split(rest)
    keys = _keys(inline, suite, liberal_lifetime)
    return Crypto(
        int(tag), spelling, suite, keys, _parameters(words, suite, liberal_lifetime, separate_fec) if words else _NONE
    )


def _split(rest: str) -> tuple[str, list[str]]:
    """Key parameters and session parameters. RFC 4568's own example has a space behind the `;` between keys."""
    inline, *words = rest.split()
    while words and (inline.endswith(";") or words[0].startswith(";")):
        inline += words.pop(0)
    return inline, words


def _keys(text: str, suite: Suite | None, liberal: bool) -> tuple[InlineKey, ...]:
    pieces = text.split(";")
    if len(pieces) > MAX_KEYS:
        raise InvalidCrypto(f"more than {MAX_KEYS} keys")
    keys = tuple(_key(piece, suite, liberal) for piece in pieces)
    if len(keys) > 1:
        if len({len(key.mki) for key in keys}) > 1 or not keys[0].mki:
            raise InvalidCrypto("several keys need MKIs of one length (section 6.1)")
        if len({key.material for key in keys}) < len(keys) or len({key.mki for key in keys}) < len(keys):
            raise InvalidCrypto("keys and MKIs must be unique (section 6.1)")
    return keys


def _key(text: str, suite: Suite | None, liberal: bool) -> InlineKey:
    method, colon, info = text.partition(":")
    if not colon or method.lower() != "inline":
        raise InvalidCrypto("key method must be inline (section 4.2)")
    encoded, *fields = info.split("|")
    material = _material(encoded, suite)
    if len(fields) > 2:
        raise InvalidCrypto("too many fields behind the key")
    mki = b""
    if fields and ":" in fields[-1]:  # the colon tells an MKI from a lifetime (section 6.1)
        mki = _mki(fields.pop())
    if len(fields) > 1:
        raise InvalidCrypto("third field must be MKI:length")
    return InlineKey(material, _lifetime(fields[0], suite, liberal) if fields else 0, mki)


def _material(encoded: str, suite: Suite | None) -> bytes:
    found = _BASE64.match(encoded) if len(encoded) <= MAX_KEY_TEXT else None
    if found is None:
        raise InvalidCrypto("key is not base64")
    bare = found[1]
    try:
        material = a2b_base64(bare + "=" * (-len(bare) % 4))
    except Base64Error:
        raise InvalidCrypto("key is not base64") from None
    if suite is not None and len(material) != suite.master_octets:
        raise InvalidCrypto(f"key of {len(material)} octets where the suite needs {suite.master_octets}")
    return material


def _lifetime(text: str, suite: Suite | None, liberal: bool) -> int:
    found = _LIFETIME.match(text)
    if found is None:
        raise InvalidCrypto("lifetime must be 2^n or a decimal number, not zero, without leading zeros")
    packets = 1 << int(found[2]) if found[1] else int(found[3])
    longest = suites.RTP_INDEXES if suite is None else suite.max_rtp_lifetime
    if packets > longest and not liberal:
        raise InvalidCrypto("lifetime above the suite's maximum")
    return min(packets, longest)


def _mki(text: str) -> bytes:
    found = _MKI.match(text)
    if found is None or int(found[2]) > 128:
        raise InvalidCrypto("MKI must be 'value:length', positive, without leading zeros, length 1 to 128")
    try:
        return int(found[1]).to_bytes(int(found[2]), "big")
    except OverflowError:
        raise InvalidCrypto("MKI does not fit its length") from None


def _parameters(words: list[str], suite: Suite | None, liberal: bool, separate_fec: bool) -> Parameters:
    values: dict[str, object] = {}
    extensions = []
    for word in words:
        if word.startswith("-"):
            extensions.append(word)
            continue
        name, value = _parameter(word, suite, liberal, separate_fec)
        if name in values:
            raise InvalidCrypto("session parameter given twice")
        values[name] = value
    return Parameters(extensions=tuple(extensions), **values)  # type: ignore[arg-type]


def _parameter(word: str, suite: Suite | None, liberal: bool, separate_fec: bool) -> tuple[str, object]:
    """Field of Parameters and its value. Unknown names make the line invalid (section 6.3.7)."""
    name, equals, value = word.partition("=")
    name = name.upper()
    if name in FLAGS and not equals:
        return FLAGS[name], True
    if name == "KDR" and _NUMBER.match(value) and int(value) <= 24:
        return "kdr_log2", int(value)  # 0 stands in the grammar but not in the text: read as "derive once"
    if name == "WSH" and _NUMBER.match(value) and int(value) >= WINDOW_FLOOR:
        return "window", int(value)
    if name == "FEC_ORDER" and value.upper() in FEC_ORDERS:
        return "fec_order", value.upper()
    if name == "FEC_KEY" and separate_fec:
        return "fec_keys", _keys(value, suite, liberal)
    raise InvalidCrypto("session parameter unknown or out of range")


def emit(crypto: Crypto, *, pad: bool = True) -> str:
    """The value behind `a=crypto:`. `pad` keeps base64's "=" (spec/mission.md trap 7). Contains the keys."""
    text = f"{crypto.tag} {crypto.spelling} {_emit_keys(crypto.keys, pad)}"
    if crypto.parameters is not _NONE and (words := _emit_parameters(crypto.parameters, pad)):
        return f"{text} {' '.join(words)}"
    return text


def _emit_keys(keys: tuple[InlineKey, ...], pad: bool) -> str:
    return ";".join([_emit_key(key, pad) for key in keys])


def _emit_key(key: InlineKey, pad: bool) -> str:
    encoded = b2a_base64(key.material, newline=False).decode("ascii")
    text = "inline:" + (encoded if pad else encoded.rstrip("="))
    if key.lifetime:
        power = key.lifetime.bit_length() - 1
        text += f"|2^{power}" if key.lifetime == 1 << power else f"|{key.lifetime}"
    if key.mki:
        text += f"|{int.from_bytes(key.mki, 'big')}:{len(key.mki)}"
    return text


def _emit_parameters(parameters: Parameters, pad: bool) -> list[str]:
    words = [f"KDR={parameters.kdr_log2}"] if parameters.kdr_log2 else []
    words += [word for word, name in FLAGS.items() if getattr(parameters, name)]
    words += [f"FEC_ORDER={parameters.fec_order}"] if parameters.fec_order else []
    words += [f"FEC_KEY={_emit_keys(parameters.fec_keys, pad)}"] if parameters.fec_keys else []
    words += [f"WSH={parameters.window}"] if parameters.window else []
    return words + list(parameters.extensions)
