"""Loop protection (peers 1.2 "loop protect")."""

from __future__ import annotations

import pytest

from appliance.protocols.ng import loop

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 30000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=rtcp:30001\r\n"
)
SECRET = b"secret"


def test_ours_is_known_again() -> None:
    marked = loop.mark(SDP, SECRET)
    before, _, after = marked.partition(b"a=srtpgw:")
    assert before == SDP[: SDP.index(b"m=")] and after.partition(b"\r\n")[2] == SDP[SDP.index(b"m=") :]
    assert loop.is_marked(marked, SECRET)
    assert loop.is_marked(marked.replace(b"a=rtpmap:0 PCMU/8000\r\n", b""), SECRET)  # proxies may take codecs out
    assert not loop.is_marked(SDP, SECRET) and not loop.is_marked(marked, b"of another gateway")


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"audio 30000", b"audio 40000"), (b"c=IN IP4 192.0.2.1", b"c=IN IP4 192.0.2.9"), (b"rtcp:30001", b"rtcp:40001"),
     (b"a=rtpmap", b"a=candidate:1 1 UDP 1 192.0.2.9 40000 typ host\r\na=rtpmap"), (b"a=srtpgw:", b"a=srtpgw:0")],
)  # fmt: skip
def test_nobody_is_led_past_us(old: bytes, new: bytes) -> None:
    """The mark on an SDP that leads elsewhere is none."""
    marked = loop.mark(SDP, SECRET)
    assert old in marked and not loop.is_marked(marked.replace(old, new), SECRET)


def test_line_ends() -> None:
    marked = loop.mark(SDP.replace(b"\r\n", b"\n"), SECRET)
    assert b"\r" not in marked and loop.is_marked(marked, SECRET)
