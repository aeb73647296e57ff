"""Master keys: MKI, lifetime, derivation rate, re-keying, parameters.

Rows A08, A17, A19, B4, B7, B9, SR-3, SR-6, SR-14, SR-15.
"""

import errno
import mmap
from typing import Any

import pytest

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp, seal_rtcp, seal_rtp
from tests.kernels.srtp.suites import CM, GCM, SUITES, all_octets, keys, octets

pytestmark = pytest.mark.malformed

A, B, C = (keys(CM, seed) for seed in (1, 2, 3))
BOTH = pytest.mark.parametrize("transform", [CM, GCM], ids=["cm", "gcm"])


# --- MKI -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [1, 4, 127, 128])
@BOTH
def test_mki_of_every_length(transform: Transform, octets: int) -> None:
    """A15, A21, B9: before the tag (AEAD: after it), on SRTP and SRTCP."""
    mki = bytes(range(octets))
    key, salt = keys(transform)
    sender = Session(transform, key, salt, send=True, mki=mki)
    receiver = Session(transform, key, salt, send=False, mki=mki)
    assert sender.protect_rtp(rtp(1)) == seal_rtp(transform, key, salt, rtp(1), mki=mki)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(transform, key, salt, rtcp(), 1, mki=mki)
    assert receiver.unprotect_rtp(seal_rtp(transform, key, salt, rtp(1), mki=mki)) == rtp(1)
    assert receiver.unprotect_rtcp(seal_rtcp(transform, key, salt, rtcp(), 1, mki=mki)) == rtcp()


def test_wrong_absent_and_extra_mki() -> None:
    """B9: dropped, no state."""
    receiver = Session(CM, *A, send=False, mki=b"\0\1")
    assert receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(1), mki=b"\0\2")) == Drop.DROP_UNKNOWN_MKI
    assert receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(1))) == Drop.DROP_UNKNOWN_MKI
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(1), mki=b"\1\0\1")), Drop)
    assert isinstance(Session(CM, *A, send=False).unprotect_rtp(seal_rtp(CM, *A, rtp(1), mki=b"\1")), Drop)
    status = receiver.status()
    assert status is not None
    assert (status.streams, status.packets) == (0, 0)


def test_several_live_keys() -> None:
    """SR-15, SR-3: the receiver holds both, the sender switches; ROC, window and SRTCP index go on."""
    sender = Session(CM, *A, send=True, mki=b"a")
    receiver = Session(CM, *A, send=False, mki=b"a")
    for session in (sender, receiver):
        session.add_key(*B, b"b")
        session.add_key(*B, b"b")  # idempotent
    packets = [sender.protect_rtp(rtp(65534)), sender.protect_rtp(rtp(65535)), sender.protect_rtp(rtp(0))]
    reports = [sender.protect_rtcp(rtcp())]
    sender.select_key(b"b")
    packets += [sender.protect_rtp(rtp(1)), sender.protect_rtp(rtp(1))]
    reports += [sender.protect_rtcp(rtcp())]
    assert packets[3:] == [seal_rtp(CM, *B, rtp(1), 1, mki=b"b"), Drop.DROP_TX_REPLAY]
    assert reports == [seal_rtcp(CM, *A, rtcp(), 1, mki=b"a"), seal_rtcp(CM, *B, rtcp(), 2, mki=b"b")]
    arrived = [receiver.unprotect_rtp(octets(packets[n])) for n in (0, 2, 3, 1)]
    assert arrived == [rtp(65534), rtp(0), rtp(1), rtp(65535)]
    sender_status, receiver_status = sender.status(), receiver.status()
    assert sender_status is not None
    assert receiver_status is not None
    assert (sender_status.mki, sender_status.keys, receiver_status.keys) == (b"b", 2, 2)


def test_key_commands_that_cannot_be() -> None:
    sender = Session(CM, *A, send=True, mki=b"a", keys=3)
    sender.add_key(*B, b"b")
    with pytest.raises(OSError) as failure:
        sender.add_key(*C, b"b")  # another key under a known MKI
    assert failure.value.errno == errno.EEXIST
    with pytest.raises(OSError) as failure:
        sender.select_key(b"x")
    assert failure.value.errno == errno.ENOENT
    sender.add_key(*C, b"c")
    with pytest.raises(OSError) as failure:
        sender.add_key(*C, b"d")
    assert failure.value.errno == errno.ENOSPC
    with pytest.raises(OSError) as failure:
        Session(CM, *A, send=True).add_key(*B, b"")
    assert failure.value.errno == errno.EINVAL
    with pytest.raises(OSError) as failure:
        Session(CM, *A, send=False, mki=b"a").select_key(b"a")
    assert failure.value.errno == errno.EINVAL
    assert sender.protect_rtp(rtp(1)) == seal_rtp(CM, *A, rtp(1), mki=b"a")


def test_sixteen_keys_then_only_expired_ones_give_way() -> None:
    sender = Session(CM, *A, send=True, mki=b"\0", keys=40, rtp_lifetime=1)
    for n in range(1, 16):
        sender.add_key(*keys(CM, n + 5), bytes([n]))
    with pytest.raises(OSError):
        sender.add_key(*B, b"\x20")
    assert isinstance(sender.protect_rtp(rtp(1)), bytes)
    sender.select_key(b"\1")
    sender.add_key(*B, b"\x20")
    with pytest.raises(OSError):
        sender.select_key(b"\0")


# --- lifetime --------------------------------------------------------------------------------------------------


@BOTH
def test_lifetime_ends_sending_and_receiving(transform: Transform) -> None:
    """A17, B7, SR-14: after so many packets under a key the next one is neither sent nor accepted."""
    key, salt = keys(transform)
    sender = Session(transform, key, salt, send=True, rtp_lifetime=3)
    receiver = Session(transform, key, salt, send=False, rtp_lifetime=2)
    got = sender.protect_rtp_many([rtp(n) for n in range(5)])
    assert [isinstance(one, bytes) for one in got] == [True, True, True, False, False]
    assert got[3] == Drop.DROP_KEY_EXPIRED
    opened = [receiver.unprotect_rtp(octets(one)) for one in got[:3]]
    assert opened == [rtp(0), rtp(1), Drop.DROP_KEY_EXPIRED]
    status = sender.status()
    assert status is not None
    assert (status.rtp_packets, status.rtp_lifetime, status.rtcp_lifetime) == (3, 3, 1 << 31)


def test_whichever_comes_first() -> None:
    """A17, RFC 3711 section 9.2: SRTCP used up ends SRTP as well; a further key goes on."""
    sender = Session(CM, *A, send=True, mki=b"a", rtcp_lifetime=1)
    assert isinstance(sender.protect_rtcp(rtcp()), bytes)
    assert sender.protect_rtcp(rtcp()) == Drop.DROP_KEY_EXPIRED
    assert sender.protect_rtp(rtp(1)) == Drop.DROP_KEY_EXPIRED
    sender.add_key(*B, b"b")
    sender.select_key(b"b")
    assert sender.protect_rtp(rtp(1)) == seal_rtp(CM, *B, rtp(1), mki=b"b")
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *B, rtcp(), 2, mki=b"b")


def test_last_rtcp_index_is_accepted_and_then_none() -> None:
    """A19: 31 bits; what follows 2^31 - 1 under one key is a replay."""
    receiver = Session(CM, *A, send=False)
    assert isinstance(receiver.unprotect_rtcp(seal_rtcp(CM, *A, rtcp(), 0x7FFFFFFF)), bytes)
    assert receiver.unprotect_rtcp(seal_rtcp(CM, *A, rtcp(), 0)) == Drop.DROP_REPLAY_OLD


# --- key derivation rate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("log2", [0, 1, 4, 10, 16, 24])
@BOTH
def test_derivation_rate(transform: Transform, log2: int) -> None:
    """A08, SR-6: session keys change where index DIV rate changes, SRTCP by its own index; against plain Python."""
    key, salt = keys(transform)
    sender = Session(transform, key, salt, send=True, kdr_log2=log2)
    boundary = 1 << log2 if log2 < 17 else 1 << 16
    sequences = [n & 0xFFFF for n in range(max(boundary - 3, 0), boundary + 4)]
    roc, wanted = 0, []
    for sequence, following in zip(sequences, [*sequences[1:], 0], strict=True):
        wanted.append(seal_rtp(transform, key, salt, rtp(sequence), roc, kdr=1 << log2))
        roc += following < sequence and following == 0 and sequence == 0xFFFF
    assert sender.protect_rtp_many([rtp(n) for n in sequences]) == wanted
    reports = [seal_rtcp(transform, key, salt, rtcp(), n, kdr=1 << log2) for n in range(1, 9)]
    assert sender.protect_rtcp_many([rtcp()] * 8) == reports
    receiver = Session(transform, key, salt, send=False, kdr_log2=log2)
    assert receiver.unprotect_rtp_many(wanted) == [rtp(n) for n in sequences]
    assert receiver.unprotect_rtcp_many(reports) == [rtcp()] * 8


@BOTH
def test_reordering_around_the_boundary(transform: Transform) -> None:
    """SR-6: packets of both epochs mixed, in one batch, with two SSRCs in different epochs on one key."""
    key, salt = keys(transform)
    receiver = Session(transform, key, salt, send=False, kdr_log2=4, window=64)
    order = [14, 17, 15, 33, 16, 13, 31, 18, 32, 12, 49, 30]
    packets = [seal_rtp(transform, key, salt, rtp(n, ssrc=ssrc), kdr=16) for n in order for ssrc in (1, 2)]
    assert receiver.unprotect_rtp_many(packets) == [rtp(n, ssrc=ssrc) for n in order for ssrc in (1, 2)]
    assert set(receiver.unprotect_rtp_many(packets)) == {Drop.DROP_REPLAY}


def test_forgeries_of_other_epochs_do_no_harm() -> None:
    """SR-2: forged packets make us derive keys, never lose those in use."""
    receiver = Session(CM, *A, send=False, kdr_log2=1)
    for n in range(1, 200):
        assert isinstance(receiver.unprotect_rtp(rtp((n * 997) & 0xFFFF, payload=bytes(30))), Drop)
        assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(n), kdr=2)), bytes)


# --- installing again ------------------------------------------------------------------------------------------


def test_same_key_continues() -> None:
    """B4, SR-3: idempotent; ROC, window, SRTCP index and counts are kept."""
    sender = Session(CM, *A, send=True)
    receiver = Session(CM, *A, send=False)
    packets = all_octets(sender.protect_rtp_many([rtp(65535), rtp(0)]))
    sender.protect_rtcp(rtcp())
    assert receiver.unprotect_rtp_many(packets) == [rtp(65535), rtp(0)]
    sender.install(*A)
    receiver.install(*A)
    assert sender.protect_rtp(rtp(0)) == Drop.DROP_TX_REPLAY
    assert sender.protect_rtp(rtp(1)) == seal_rtp(CM, *A, rtp(1), 1)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *A, rtcp(), 2)
    assert receiver.unprotect_rtp(packets[1]) == Drop.DROP_REPLAY
    assert receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(1), 1)) == rtp(1)


@pytest.mark.parametrize("other", ["AES_CM_128_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "NULL_HMAC_SHA1_80"])
def test_same_key_with_another_transform_keeps_the_indices(other: str) -> None:
    """B5: a re-INVITE that changes the suite but not the key; libcrypto's expanded keys must change with it."""
    memory = memoryview(mmap.mmap(-1, Session.footprint()))
    first = Session(CM, *A, send=True, memory=memory)
    assert isinstance(first.protect_rtp(rtp(5)), bytes)
    second = Session(SUITES[other], None, None, send=True, memory=memory, fresh=False)
    second.install(*A)
    assert second.protect_rtp(rtp(5)) == Drop.DROP_TX_REPLAY
    assert second.protect_rtp(rtp(6)) == Session(SUITES[other], *A, send=True).protect_rtp(rtp(6))
    receiver = Session(SUITES[other], None, None, send=False, memory=memory, fresh=False)
    receiver.install(*A)  # the slot used for the other direction
    assert receiver.unprotect_rtp(octets(Session(SUITES[other], *A, send=True).protect_rtp(rtp(70)))) == rtp(70)


def test_another_key_starts_again_but_not_the_rtcp_index() -> None:
    """B4, A19, SR-3: ROC 0 with the new key, the sender's SRTCP index goes on."""
    sender = Session(CM, *A, send=True)
    sender.protect_rtp_many([rtp(65535), rtp(0)])
    sender.protect_rtcp_many([rtcp(), rtcp()])
    sender.install(*B)
    assert sender.protect_rtp(rtp(0)) == seal_rtp(CM, *B, rtp(0), 0)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *B, rtcp(), 3)
    sender.install(*C)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *C, rtcp(), 4)
    receiver = Session(CM, *A, send=False)
    assert isinstance(receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(5), 0)), bytes)
    receiver.install(*B)
    assert receiver.unprotect_rtp(seal_rtp(CM, *A, rtp(6), 0)) == Drop.DROP_AUTH_FAIL
    assert receiver.unprotect_rtp(seal_rtp(CM, *B, rtp(5), 0)) == rtp(5)


def test_remove_is_idempotent_and_nothing_passes_after_it() -> None:
    session = Session(CM, *A, send=True)
    for _ in range(2):
        session.remove()
        assert session.protect_rtp(rtp(1)) == Drop.DROP_NOT_KEYED
        assert session.status() is None
    session.install(*B)
    assert session.protect_rtp(rtp(1)) == seal_rtp(CM, *B, rtp(1))
    assert session.protect_rtcp(rtcp()) == seal_rtcp(CM, *B, rtcp(), 1)


def test_direction_is_kept_apart() -> None:
    """A07: a receiving context never protects, a sending one never accepts."""
    assert Session(CM, *A, send=False).protect_rtp(rtp(1)) == Drop.DROP_NOT_KEYED
    assert Session(CM, *A, send=True).unprotect_rtp(seal_rtp(CM, *A, rtp(1))) == Drop.DROP_NOT_KEYED


@pytest.mark.parametrize(
    ("transform", "options"),
    [
        (CM, {"window": 63}),
        (CM, {"window": 1025}),
        (CM, {"ssrc_limit": 0}),
        (CM, {"ssrc_limit": 257}),
        (Transform("AES_CM", "HMAC_SHA1", 16, 12, 10, 10), {}),
        (Transform("AES_CM", "HMAC_SHA1", 17, 14, 10, 10), {}),
        (Transform("AES_CM", "HMAC_SHA1", 16, 14, 3, 10), {}),
        (Transform("AES_CM", "HMAC_SHA1", 16, 14, 21, 10), {}),
        (Transform("AES_CM", "NONE", 16, 14, 10, 10), {}),
        (Transform("AES_F8", "HMAC_SHA1", 32, 14, 10, 10), {}),
        (Transform("AES_GCM", "NONE", 24, 12, 16, 16), {}),
        (Transform("AES_GCM", "HMAC_SHA1", 16, 12, 16, 16), {}),
        (Transform("AES_GCM", "NONE", 16, 12, 12, 12), {}),
        (Transform("AES_GCM", "NONE", 16, 12, 0, 16), {}),
        (GCM, {"unauthenticated_rtp": True}),
        (CM, {"legacy_192": True}),
    ],
)
def test_parameters_that_do_not_belong_together(transform: Transform, options: dict[str, Any]) -> None:
    with pytest.raises(OSError) as failure:
        Session(transform, bytes(transform.key_octets), bytes(transform.salt_octets), send=True, **options)
    assert failure.value.errno == errno.EINVAL


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown transform"):
        Transform("ROT13", "NONE", 16, 14, 0, 0)


@pytest.mark.parametrize("transform", SUITES.values(), ids=SUITES)
def test_a_key_of_another_length(transform: Transform) -> None:
    """B01: 29 or 31 octets are refused."""
    key, salt = keys(transform)
    for wrong in (key[:-1], key + b"\0"):
        with pytest.raises(ValueError, match="another length"):
            Session(transform, wrong, salt, send=True)
