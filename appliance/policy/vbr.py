"""Variable bit rate audio on secured media (row H09, SDP-18, RFC 6562): which codecs of an m-line may pass, and with
which parameters. Pure.

SRTP hides what a packet says and not how long it is; with a variable rate the lengths tell phrases apart, and with
voice activity detection who speaks when (RFC 6562 sections 3 and 4). Three kinds:

* opus and speex can be told: `cbr=1` (RFC 7587 section 6.1) is written into opus's parameters, which the other side's
  encoder then follows; DTX is taken out likewise. Speex states what it does (`vbr`, RFC 5574) and is dropped for it;
* AMR and AMR-WB change their mode at any time and are silent between words (source controlled rate), and no parameter
  of theirs switches that off (RFC 4867 section 8). They stay only where the offer says one mode (`mode-set=7`) and
  `a=silenceSupp:off` (RFC 3108 section 5.6.3.2);
* the others of the list vary by nature and are dropped.

Codecs of constant rate whose detectors merely pause (G.729 Annex B, comfort noise) stay: section 4 of the RFC asks
for a longer hangover there, which is the encoder's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.policy.options import Vbr

VARIABLE = frozenset((
    "isac", "evs", "silk", "amr-wb+", "vmr-wb", "qcelp", "vorbis", "evrc", "evrc0", "evrc1", "evrcb", "evrcb0",
    "evrcwb", "evrcwb0", "evrcnw", "evrcnw0", "smv", "smv0",
))  # fmt: skip
"""Codecs whose packets differ in length whatever their parameters say."""
AMR = frozenset(("amr", "amr-wb"))
ASKED = VARIABLE | AMR | {"opus", "speex"}
"""Every codec that this module has something to say about."""
_CBR = re.compile(r"((?:^|;)\s*)cbr\s*(?:=[^;]*)?(?=;|$)", re.IGNORECASE)
_USEDTX = re.compile(r"((?:^|;)\s*)usedtx\s*(?:=[^;]*)?(?=;|$)", re.IGNORECASE)
SPEEX_VARIABLE = frozenset(("on", "any", "vad"))


@dataclass(frozen=True, slots=True)
class VbrVerdict:
    """What is to be done about one m-line: payload types to drop, parameters (`a=fmtp`) to write instead, and why."""

    dropped: frozenset[str] = frozenset()
    fmtp: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dropped or self.fmtp)


NOTHING = VbrVerdict()


def apply(
    codecs: Mapping[str, str], fmtp: Mapping[str, str], mode: Vbr, *, silence_suppression: bool = True
) -> VbrVerdict:
    """The verdict about an audio m-line. `codecs`: payload type -> `name/clock[/channels]`; `fmtp`: payload type -> its
    parameters; `silence_suppression` false: `a=silenceSupp:off` was said."""
    if mode is Vbr.ALLOW:
        return NOTHING
    dropped, changed, reasons = set(), {}, []
    for number, codec in codecs.items():
        name = codec.partition("/")[0].lower()
        said = fmtp.get(number, "")
        if name == "opus":
            constant = _constant_opus(said)
            if constant != said:
                changed[number] = constant
        elif why := _variable(name, said, silence_suppression):
            dropped.add(number)
            reasons.append(f"{name}: {why}")
    return VbrVerdict(frozenset(dropped), changed, tuple(reasons)) if dropped or changed else NOTHING


def _variable(name: str, said: str, silence_suppression: bool) -> str:
    """Why this codec's packets may differ in length; "" when they do not."""
    if name in VARIABLE:
        return "variable bit rate by nature"
    if name != "speex" and name not in AMR:
        return ""
    values = _parameters(said)
    if name == "speex" and values.get("vbr", "off").lower() in SPEEX_VARIABLE:
        return f"vbr={values['vbr']}"
    if name in AMR:
        modes = values.get("mode-set", "")
        if not modes or "," in modes:
            return "may change its mode (no mode-set of one)"
        if silence_suppression:
            return "pauses between words (no a=silenceSupp:off)"
    return ""


def _constant_opus(said: str) -> str:
    """Opus' parameters with cbr=1 and without DTX; the others as they were, blanks and all."""
    values = _parameters(said)
    if values.get("cbr") == "1" and values.get("usedtx", "0") == "0":
        return said
    written = _USEDTX.sub(r"\g<1>usedtx=0", said)
    if "cbr" in values:
        return _CBR.sub(r"\g<1>cbr=1", written)
    if not written.strip(" ;"):
        return "cbr=1"
    return f"{written.rstrip(' ;')}{'; ' if '; ' in written else ';'}cbr=1"


def _parameters(said: str) -> dict[str, str]:
    """`a=b; c="d"` by name in lower case; the first one counts."""
    found: dict[str, str] = {}
    for one in said.split(";"):
        name, _, value = one.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
