"""An audio m-line on secured media, with its variable bit rate codecs made constant or left out (H09). Pure."""

from __future__ import annotations

from appliance.policy import vbr
from appliance.policy.codec_wishes import COMPANIONS
from appliance.policy.options import Vbr
from appliance.protocols.sdp import formats
from appliance.protocols.sdp.description import Media


def constant(media: Media, mode: Vbr) -> tuple[Media, str]:
    """The section as it may pass; and why nothing is left of it that carries speech, "" when something is."""
    if mode is Vbr.ALLOW or media.media.kind != "audio":
        return media, ""
    codecs = formats.codecs(media)
    if vbr.ASKED.isdisjoint([codec.partition("/")[0] for codec in codecs.values()]):
        return media, ""
    silence = not any(value.startswith("off") for value in media.attributes("silenceSupp"))
    verdict = vbr.apply(codecs, formats.parameters(media), mode, silence_suppression=silence)
    if not verdict:
        return media, ""
    kept = formats.followed(media, [number for number in codecs if number not in verdict.dropped])
    if not any(codecs[number].partition("/")[0] not in COMPANIONS for number in kept):
        return media, f"no codec of constant bit rate is left ({', '.join(verdict.reasons)})"
    if len(kept) < len(codecs):
        media = formats.only(media, kept)
    return formats.with_parameters(media, verdict.fmtp) if verdict.fmtp else media, ""
