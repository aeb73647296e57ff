"""Snapshots of a crypto: row A06."""
from kernels.srtp.session import Session
from kernels.srtp.status import CryptoView
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp
from tests.kernels.srtp.suites import CM, keys

KEY, SALT = keys(CM)


def view(session: Session) -> CryptoView:
    status = session.status()
    assert status is not None
    return status


def test_what_is_shown() -> None:
    """A06: ROC, newest index, packets, lifetime, MKI in use, drops by name."""
    session = Session(CM, KEY, SALT, send=True, mki=b"\5", rtp_lifetime=1 << 20)
    session.now_ns = 77
    session.protect_rtp_many([rtp(65535), rtp(0), rtp(0), rtp(9, ssrc=2)])
    session.protect_rtcp(rtcp())
    status = view(session)
    assert (status.ready, status.send, status.keys, status.mki, status.streams) == (True, True, 1, b"\5", 2)
    assert (status.packets, status.rtp_packets, status.rtcp_packets) == (4, 3, 1)
    assert (status.rtp_lifetime, status.rtcp_lifetime) == (1 << 20, 1 << 31)
    assert status.drops == {"tx_replay": 1}
    by_ssrc = {ssrc.ssrc: ssrc for ssrc in status.ssrcs}
    assert (by_ssrc[0x1234ABCD].roc, by_ssrc[0x1234ABCD].rtp_newest, by_ssrc[0x1234ABCD].rtcp_newest) == (1, 65536, 1)
    assert (by_ssrc[2].roc, by_ssrc[2].rtcp_newest, by_ssrc[2].last_ns) == (0, None, 77)


def test_never_a_key() -> None:
    """SR-23."""
    session = Session(CM, KEY, SALT, send=True)
    shown = repr(session) + repr(view(session))
    assert not any(part in shown for part in (KEY.hex(), SALT.hex(), repr(KEY), repr(SALT)))


def test_more_ssrcs_than_are_shown() -> None:
    session = Session(CM, KEY, SALT, send=True, ssrc_limit=40)
    session.protect_rtp_many([rtp(1, ssrc=n) for n in range(40)])
    status = view(session)
    assert (status.streams, len(status.ssrcs)) == (40, 16)


def test_every_drop_has_its_counter() -> None:
    session = Session(CM, KEY, SALT, send=False)
    for packet, wanted in ((b"", Drop.DROP_TOO_SHORT), (b"\x40" + bytes(40), Drop.DROP_MALFORMED),
                           (rtp(1, payload=bytes(20)), Drop.DROP_AUTH_FAIL)):
        before = view(session).drops.get(wanted.name[5:].lower(), 0)
        assert session.unprotect_rtp(packet) == wanted
        assert view(session).drops[wanted.name[5:].lower()] == before + 1


def test_arena_per_secured_stream() -> None:
    """A10: crypto, key and stream together at most 2 KiB."""
    one = Session.footprint(keys=1, ssrc_limit=1)
    assert one - 64 <= 2048
    assert Session.footprint(keys=2, ssrc_limit=1) - one <= 768
    assert Session.footprint(keys=1, ssrc_limit=2) - one <= 384
