"""SDP fragments of RFC 8840 (G21, ICE-6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidSdp
from appliance.protocols.ice.trickle import MAX_LINES, Fragment, Section, emit, parse

# after RFC 8840 section 4.4
BODY = b"""a=ice-pwd:asd88fds9871ka13p;0aw1\r
a=ice-ufrag:8hhY\r
a=ice-pwd:asd88fgpdd777uzjYhagZg\r
m=audio 9 RTP/AVP 0\r
a=mid:1\r
a=candidate:1 1 UDP 2130706432 192.0.2.1 5000 typ host\r
a=candidate:1 2 UDP 2130706431 192.0.2.1 5001 typ host\r
m=audio 9 RTP/AVP 0\r
a=mid:2\r
a=candidate:2 1 UDP 2130706432 192.0.2.2 5002 typ host\r
a=end-of-candidates\r
"""
FIRST = ("1 1 UDP 2130706432 192.0.2.1 5000 typ host", "1 2 UDP 2130706431 192.0.2.1 5001 typ host")


@pytest.mark.row("G21", "ICE-6")
def test_fragment() -> None:
    one, two = parse(BODY).sections
    assert (one.mid, one.ufrag, one.candidates, one.complete, one.index) == ("1", "8hhY", FIRST, False, 0)
    assert (two.mid, two.pwd, len(two.candidates), two.complete, two.index) == (
        "2",
        "asd88fgpdd777uzjYhagZg",
        1,
        True,
        1,
    )
    assert "asd88fgpdd777uzjYhagZg" not in repr(one)


@pytest.mark.row("G21")
def test_end_of_all_candidates() -> None:
    """Before the first m-line it is said of every section (RFC 8840 section 4.1)."""
    body = b"a=ice-ufrag:8hhY\na=end-of-candidates\nm=audio 9 RTP/AVP 0\na=mid:1\nm=video 9 RTP/AVP 0\na=mid:2\n"
    assert [section.complete for section in parse(body).sections] == [True, True]


def test_sections_by_mid_alone() -> None:
    body = b"a=ice-ufrag:8hhY\na=mid:1\na=candidate:x\na=mid:2\na=end-of-candidates\n"
    one, two = parse(body).sections
    assert (one.mid, one.candidates, one.index) == ("1", ("x",), None)
    assert (two.mid, two.ufrag, two.complete) == ("2", "8hhY", True)


def test_only_candidates() -> None:
    """A body of candidate lines alone: of the only m-line there is."""
    (section,) = parse(b"a=candidate:x\r\na=end-of-candidates\r\n").sections
    assert (section.mid, section.candidates, section.complete) == ("", ("x",), True)


@pytest.mark.parametrize(
    "body",
    [b"candidate\n", b"a=mid:1\0\n", b"a=x\n" * (MAX_LINES + 1), b"m=audio 9 RTP/AVP 0\n" * 33, b"a=" + bytes(1)],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(InvalidSdp):
        parse(body)


def test_bounded() -> None:
    """No more than 100 candidates of a section are kept."""
    (section,) = parse(b"m=audio 9 RTP/AVP 0\n" + b"a=candidate:x\n" * 1500).sections
    assert len(section.candidates) == 100


def test_there_and_back() -> None:
    fragment = Fragment((
        Section("0", "8hhY", "asd88fgpdd777uzjYhagZg", FIRST, False, 0),
        Section("video", "", "", (), True, 1),
    ))  # fmt: skip
    assert (
        parse(emit(fragment, [("audio", "UDP/TLS/RTP/SAVPF", "111"), ("video", "UDP/TLS/RTP/SAVPF", "96")])) == fragment
    )


@given(st.binary(max_size=300))
def test_nothing_but_the_documented_error(data: bytes) -> None:
    try:
        fragment = parse(data)
    except InvalidSdp:
        return
    assert fragment.sections
