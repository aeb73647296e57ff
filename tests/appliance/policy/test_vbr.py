"""Variable bit rate codecs on secured media (H09, SDP-18, RFC 6562)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.policy.options import Vbr
from appliance.policy.vbr import VARIABLE, apply


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("", "cbr=1"),
        ("minptime=10; useinbandfec=1", "minptime=10; useinbandfec=1; cbr=1"),  # as Zoiper and browsers send it
        ("cbr=0;maxaveragebitrate=20000", "cbr=1;maxaveragebitrate=20000"),
        ("usedtx=1", "usedtx=0;cbr=1"),
        ("cbr=1; usedtx=1;stereo=0", "cbr=1; usedtx=0;stereo=0"),
        (" ; ", "cbr=1"),
        ("cbr;stereo=0", "cbr=1;stereo=0"),
        ("CBR = 1", None),
        ("stereo=0; cbr=1", None),
    ],
)
def test_opus_is_told_to_be_constant(said: str, written: str | None) -> None:
    """H09: cbr=1 is added, DTX goes, the rest stays; what is right is not touched."""
    verdict = apply({"96": "opus/48000/2"}, {"96": said} if said else {}, Vbr.FORBID)
    assert verdict.dropped == frozenset()
    assert verdict.fmtp == ({} if written is None else {"96": written})


@pytest.mark.parametrize(
    ("codec", "fmtp", "silence", "why"),
    [
        ("speex/16000", "vbr=on", True, "vbr=on"),
        ("speex/16000", 'mode="any"; vbr=vad', True, "vbr=vad"),
        ("speex/8000", "", True, ""),  # RFC 5574: off by default
        ("speex/8000", "vbr=off", True, ""),
        ("isac/16000", "", True, "nature"),
        ("iSAC/32000", "", True, "nature"),
        ("EVS/16000", "br=13.2", False, "nature"),
        ("amr/8000", "", True, "mode-set"),
        ("AMR-WB/16000", "mode-set=0,2,8; octet-align=1", False, "mode-set"),
        ("amr-wb/16000", "mode-set=8", True, "silenceSupp"),
        ("amr-wb/16000", "octet-align=1; mode-set=8", False, ""),
        ("pcmu/8000", "", True, ""),
        ("g729/8000", "", True, ""),
        ("cn/8000", "", True, ""),
        ("telephone-event/8000", "0-16", True, ""),
        ("", "", True, ""),  # a number that nothing explains is no codec that we know to vary
    ],
)
def test_which_codecs_are_dropped(codec: str, fmtp: str, silence: bool, why: str) -> None:
    """H09, RFC 6562 sections 3 and 4."""
    verdict = apply({"97": codec}, {"97": fmtp}, Vbr.FORBID, silence_suppression=silence)
    assert verdict.dropped == ({"97"} if why else frozenset())
    assert why in " ".join(verdict.reasons) and bool(verdict) == bool(why)


def test_allowed_means_untouched() -> None:
    """H09: vbr=allow."""
    assert not apply({"96": "opus/48000/2", "97": "evs/16000"}, {}, Vbr.ALLOW)


CODECS = st.sampled_from(["opus/48000/2", "speex/8000", "amr/8000", *sorted(VARIABLE)])


@given(st.dictionaries(st.text(max_size=3), CODECS), st.text(max_size=40))
def test_whatever_the_parameters_say(codecs: dict[str, str], text: str) -> None:
    """Parameters are the network's words; the verdict applied to its own result changes nothing more."""
    said = dict.fromkeys(codecs, text)
    verdict = apply(codecs, said, Vbr.FORBID)
    left = {number: codec for number, codec in codecs.items() if number not in verdict.dropped}
    assert not apply(left, said | dict(verdict.fmtp), Vbr.FORBID)
