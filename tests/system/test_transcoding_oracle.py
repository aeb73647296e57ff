"""rtpengine as the oracle of what NG's codec words make of offers and answers with one law of G.711 (row P06)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.protocols.ng import flags as ng_flags
from tests.appliance.calls.sdps import Call, read
from tests.system.ng import NgClient
from tests.system.rtpengine import PROGRAM, rtpengine

pytestmark = [
    pytest.mark.system,
    pytest.mark.row("P06"),
    pytest.mark.skipif(PROGRAM is None, reason="rtpengine-daemon is not installed"),
]
NG, PORTS = 33_960, (33_970, 33_999)
MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000"}
TO_ALAW = ["codec-transcode-PCMA"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NgClient]:
    log: Path = tmp_path_factory.mktemp("rtpengine") / "log"
    with rtpengine(NG, PORTS, log=log) as (ng, _):
        yield ng


def sdp(port: int, formats: str) -> str:
    head = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP {formats}",
    ]
    return "\r\n".join([*head, *(f"a=rtpmap:{number} {MAPS[number]}" for number in formats.split()), "a=ptime:20", ""])


def told(text: str | bytes) -> tuple[str, ...]:
    return read(text.encode() if isinstance(text, str) else text).media[0].media.formats


@pytest.mark.parametrize(
    ("offered", "flags", "answered"),
    [
        ("0 101", TO_ALAW, "8 101"),
        ("0 101", TO_ALAW, "0 101"),
        ("0 101", TO_ALAW, "8 0"),
        ("8 101", ["codec-transcode-PCMU"], "0 101"),
        ("0", ["codec-mask-all", *TO_ALAW], "8"),
        ("0 8", ["codec-mask-all", *TO_ALAW], "8"),
        ("0 8", [*TO_ALAW, "codec-transcode-PCMU"], "8"),
        ("0 101", ["transcode-PCMA"], "8"),
    ],
)
def test_both_sides_are_told_the_same(client: NgClient, offered: str, flags: list[str], answered: str) -> None:
    """What the callee is offered and the caller answered; the order too."""
    words = {"call_id": f"{offered}{flags}{answered}", "from_tag": "a"}
    offer = client.request("offer", **words, sdp=sdp(40000, offered), flags=flags)
    answer = client.request("answer", **words, to_tag="b", sdp=sdp(40002, answered))
    client.request("delete", **words, flags=["fast"], delete_delay=0)
    ours, options = Call(), ng_flags.read({"flags": flags})
    assert told(ours.offer(sdp(40000, offered).encode(), options).sdp) == told(offer["sdp"])
    assert told(ours.answer(sdp(40002, answered).encode()).sdp) == told(answer["sdp"])
