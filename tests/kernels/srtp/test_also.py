"""Further contexts of a leg: keys before a re-key, offered keys (C13, C14, SDES-19, SDES-21, A05)."""

import errno

import pytest

from kernels.srtp.session import Session
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp, seal_rtcp, seal_rtp
from tests.kernels.srtp.suites import AUTHENTICATED, CM, GCM, SUITES, keys

pytestmark = pytest.mark.malformed

OLD, NEW, THIRD, STRANGER = (keys(CM, seed) for seed in (1, 2, 3, 4))
BUDGET = 64  # TRIALS of kernels/srtp/open.pyx
EVERY = 16


def rekeyed(lane: bool = True, roc: str = "auto") -> Session:
    """Slot 0 had OLD up to sequence number 10; then slot 1 was installed with NEW in front of it."""
    session = Session(CM, *OLD, send=False, contexts=3, lane=lane, roc=roc)
    for sequence in range(1, 11):
        assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(sequence))) == rtp(sequence)
    session.place(1, CM, *NEW, also=0)
    session.slot = 1
    return session


@pytest.mark.parametrize("lane", [True, False])
@pytest.mark.parametrize("batch", [1, 64])
def test_old_and_new_keys_in_the_overlap(lane: bool, batch: int) -> None:
    """C13, SDES-21: packets under both keys in any order, each once, each counted where it belongs."""
    session = rekeyed(lane)
    plain = [rtp(n) for n in range(11, 51)]
    packets = [seal_rtp(CM, *(NEW if n % 3 else OLD), rtp(n)) for n in range(11, 51)]
    got = [one for at in range(0, 40, batch) for one in session.unprotect_rtp_many(packets[at : at + batch])]
    assert got == plain
    assert session.unprotect_rtp_many(packets) == [Drop.DROP_REPLAY if n % 3 else Drop.DROP_AUTH_FAIL
                                                   for n in range(11, 51)]
    new, old = session.status(), session.status(0)
    assert new is not None and old is not None
    assert (new.packets, old.packets) == (sum(n % 3 != 0 for n in range(11, 51)), 10 + 13)
    assert old.drops == {}  # what nobody took is the main context's to count
    assert (new.ssrcs[0].rtp_newest, old.ssrcs[0].rtp_newest) == (50, 48)


def test_replay_state_of_the_old_key_survives_the_rekey() -> None:
    """A04: what was accepted before the re-key is a replay after it."""
    session = rekeyed()
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(10))) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(11))) == rtp(11)


@pytest.mark.parametrize("old", AUTHENTICATED)
@pytest.mark.parametrize("new", ["AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM"])
def test_the_suite_may_change_with_the_key(old: str, new: str) -> None:
    """C13: trailers of other lengths, other ciphers; RTP and RTCP."""
    before, now = SUITES[old], SUITES[new]
    sender, session = (Session(before, *keys(before), send=send, contexts=2) for send in (True, False))
    session.place(1, now, *keys(now, 9), also=0)
    session.slot = 1
    for sequence in range(3):
        assert session.unprotect_rtp(sender.protect_rtp(rtp(sequence))) == rtp(sequence)
        assert session.unprotect_rtcp(sender.protect_rtcp(rtcp())) == rtcp()
        assert session.unprotect_rtp(seal_rtp(now, *keys(now, 9), rtp(sequence))) == rtp(sequence)
        assert session.unprotect_rtcp(seal_rtcp(now, *keys(now, 9), rtcp(), sequence + 1)) == rtcp()


def test_mki_appears_with_the_new_key() -> None:
    """C06, C13: old packets have no MKI, the new context asks for one: DROP_UNKNOWN_MKI is not the last word."""
    session = Session(CM, *OLD, send=False, contexts=2)
    session.place(1, CM, *NEW, mki=b"\0\1", also=0)
    session.slot = 1
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(1))) == rtp(1)
    assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(2), mki=b"\0\1")) == rtp(2)
    assert session.unprotect_rtp(seal_rtp(CM, *STRANGER, rtp(3), mki=b"\0\2")) == Drop.DROP_UNKNOWN_MKI


def test_two_more_contexts_and_no_third() -> None:
    """SDES-19: at most two beside the first."""
    session = Session(CM, *OLD, send=False, contexts=4)
    session.place(3, CM, *STRANGER)
    session.place(2, CM, *THIRD, also=3)
    session.place(1, CM, *NEW, also=2)
    session.place(0, CM, *OLD, also=1)
    for key in (OLD, NEW, THIRD):
        assert session.unprotect_rtp(seal_rtp(CM, *key, rtp(1))) == rtp(1)
    assert session.unprotect_rtp(seal_rtp(CM, *STRANGER, rtp(2))) == Drop.DROP_AUTH_FAIL


def test_a_ring_of_contexts_ends() -> None:
    session = Session(CM, *OLD, send=False, contexts=2)
    session.place(1, CM, *NEW, also=0)
    session.place(0, CM, *OLD, also=1)
    session.place(1, CM, *NEW, also=0)
    assert session.unprotect_rtp(seal_rtp(CM, *STRANGER, rtp(1))) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(1))) == rtp(1)


def test_after_it_is_removed_the_old_key_opens_nothing() -> None:
    """C14: late packets of the loser; SR-23: the old key is gone."""
    session = rekeyed()
    session.place(1, CM, *NEW)
    session.remove(0)
    assert session.status(0) is None
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(11))) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(11))) == rtp(11)


def test_a_slot_that_another_call_has_got_opens_nothing_here() -> None:
    """A05: a link counts when both ends name each other, so the next owner of a slot is not asked."""
    session = rekeyed()
    session.remove(0)
    session.place(0, CM, *STRANGER)
    assert session.unprotect_rtp(seal_rtp(CM, *STRANGER, rtp(1))) == Drop.DROP_AUTH_FAIL
    status = session.status(0)
    assert status is not None
    assert (status.streams, status.packets) == (0, 0)
    session.place(1, CM, *NEW, also=0)
    assert session.unprotect_rtp(seal_rtp(CM, *STRANGER, rtp(1))) == rtp(1)


def test_without_a_tag_it_is_never_asked() -> None:
    """What cannot authenticate would take everything."""
    session = Session(CM, *OLD, send=False, contexts=2)
    session.place(1, CM, *NEW, unauthenticated_rtp=True)
    session.place(0, CM, *OLD, also=1)
    assert session.unprotect_rtp(rtp(1)) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(rtp(1) + bytes(20)) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtcp(seal_rtcp(CM, *NEW, rtcp(), 1)) == rtcp()


@pytest.mark.parametrize("rtcp_too", [False, True])
def test_forgeries_change_nothing_and_cost_a_budget(rtcp_too: bool) -> None:
    """A05, B6: no stream for a forged SSRC in any of the contexts; a flood takes away trials, and the first authentic
    packet of the old key that is tried gives them back."""
    session = rekeyed()
    seal = (lambda n: seal_rtcp(CM, *STRANGER, rtcp(n), n)) if rtcp_too else (lambda n: seal_rtp(CM, *STRANGER, rtp(n)))
    open_ = session.unprotect_rtcp if rtcp_too else session.unprotect_rtp
    for n in range(1, BUDGET + 1):
        assert open_(seal(n)) == Drop.DROP_AUTH_FAIL
    late = [session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(n))) for n in range(11, 11 + EVERY + 2)]
    taken = [n for n, one in enumerate(late) if one != Drop.DROP_AUTH_FAIL]
    assert taken[0] == 0 or taken == list(range(taken[0], EVERY + 2))
    assert taken[0] <= EVERY
    new, old = session.status(), session.status(0)
    assert new is not None and old is not None
    assert (new.streams, old.streams) == (0, 1)


def test_a_million_forged_ssrcs_leave_nothing() -> None:
    """A05, B6, DTLS-11: with both contexts of an overlap (fewer here; `ssrcs` is the whole state there could be)."""
    session = rekeyed()
    forged = [rtp(n, ssrc=n * 4099 & 0xFFFFFFFF) + bytes(10) for n in range(1, 4097)]
    for _ in range(245):
        assert set(session.unprotect_rtp_many(forged)) == {Drop.DROP_AUTH_FAIL}
    new, old = session.status(), session.status(0)
    assert new is not None and old is not None
    assert (new.streams, new.drops, old.streams) == (0, {"auth_fail": 245 * 4096}, 1)


def test_the_common_packet_stays_in_the_lane() -> None:
    """The overlap costs packets under the new key nothing: they take the short way."""
    session = rekeyed()
    for sequence in range(11, 20):
        assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(sequence))) == rtp(sequence)
    assert session.in_lane


def test_it_survives_a_worker() -> None:
    """F2: links stand in the arena; the replay windows are closed as for any other context."""
    session = rekeyed()
    session.reattach()
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(10))) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(11))) == rtp(11)
    assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(12))) == rtp(12)


@pytest.mark.parametrize("also", [0, 7])
def test_what_cannot_be_linked(also: int) -> None:
    session = Session(CM, *OLD, send=False, contexts=2)
    with pytest.raises(OSError) as error:
        session.place(0, CM, *OLD, also=also)
    assert error.value.errno == errno.EINVAL
    with pytest.raises(OSError):
        Session(CM, *OLD, send=True, contexts=2).place(1, CM, *NEW, also=0)


# --- where the ROC goes on (C13, peers #9, SR-3) -----------------------------------------------------------------


def at(index: int, key: tuple[bytes, bytes], transform: Transform = CM) -> bytes:
    return seal_rtp(transform, *key, rtp(index & 0xFFFF), index >> 16)


ROC_2 = (2 << 16) + 1000  # where the SSRC stands when the key changes


def changed(roc: str, overlap: bool, transform: Transform = CM) -> Session:
    """A receiver whose SSRC stood at ROC 2 under its first key, and has another now: with the old one kept, or not."""
    old, new = keys(transform, 1), keys(transform, 2)
    session = Session(transform, *old, send=False, contexts=2, roc=roc, initial_roc=2)
    assert session.unprotect_rtp(at(ROC_2, old, transform)) == rtp(1000)
    if overlap:
        session.place(1, transform, *new, also=0)
        session.slot = 1
    else:
        session.place(0, transform, *new)
    return session


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("transform", [CM, GCM], ids=["cm", "gcm"])
@pytest.mark.parametrize(
    ("roc", "turn", "taken"),
    [
        ("auto", 0, True), ("auto", 1, True), ("auto", 2, True), ("auto", 3, True), ("auto", 4, False),
        ("reset", 0, True), ("reset", 1, True), ("reset", 2, False), ("reset", 3, False),
        ("keep", 0, False), ("keep", 2, True), ("keep", 3, True), ("keep", 1, False),
    ],
)  # fmt: skip
def test_roc_under_a_new_key(roc: str, turn: int, taken: bool, transform: Transform, overlap: bool) -> None:
    """AUTO: 0, the old one, one beside either, whichever authenticates; RESET: 0 (B2: or its wrap was lost); KEEP: the
    old one goes on. A ROC found by trial is counted."""
    session = changed(roc, overlap, transform)
    new = keys(transform, 2)
    first = session.unprotect_rtp(at((turn << 16) + 1001, new, transform))
    assert first == (rtp(1001) if taken else Drop.DROP_AUTH_FAIL)
    status = session.status()
    assert status is not None
    if taken:
        assert session.unprotect_rtp(at((turn << 16) + 1002, new, transform)) == rtp(1002)
        assert status.resyncs == (turn != (2 if roc == "keep" else 0))
    else:
        assert status.packets == (0 if overlap else 1)


def test_auto_does_not_believe_in_a_roc_that_does_not_authenticate() -> None:
    """C13: authentication decides; forgeries leave what is known of the SSRC as it was."""
    session = changed("auto", True)
    for turn in range(5):
        assert session.unprotect_rtp(at((turn << 16) + 1001, STRANGER)) == Drop.DROP_AUTH_FAIL
    assert session.unprotect_rtp(at(ROC_2 + 1, NEW)) == rtp(1001)


@pytest.mark.parametrize(("roc", "turn"), [("auto", 0), ("reset", 0), ("keep", 2)])
def test_roc_of_a_sender_under_a_new_key(roc: str, turn: int) -> None:
    """SR-3, A19: kept or begun again as the policy says; the SRTCP index goes on either way."""
    sender = Session(CM, *OLD, send=True, roc=roc, initial_roc=2)
    assert sender.protect_rtp(rtp(1000)) == at(ROC_2, OLD)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *OLD, rtcp(), 1)
    sender.place(0, CM, *NEW)
    assert sender.protect_rtp(rtp(1001)) == at((turn << 16) + 1001, NEW)
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, *NEW, rtcp(), 2)
    assert sender.protect_rtcp(rtcp(ssrc=7)) == seal_rtcp(CM, *NEW, rtcp(ssrc=7), 2)


def test_a_kept_roc_turns_with_the_wrap() -> None:
    """SR-3: 65535 under the old key, 0 under the new one."""
    sender = Session(CM, *OLD, send=True, roc="keep")
    sender.protect_rtp(rtp(65535))
    sender.place(0, CM, *NEW)
    assert sender.protect_rtp(rtp(0)) == at(1 << 16, NEW)


def test_a_sender_that_keeps_rocs_forgets_ssrcs_in_the_end() -> None:
    """An SSRC that said nothing under a key is not kept into the next one: re-keying frees its place."""
    sender = Session(CM, *OLD, send=True, roc="keep", ssrc_limit=2)
    for number in range(4):
        sender.place(0, CM, *keys(CM, 10 + number))
        assert isinstance(sender.protect_rtp(rtp(1, ssrc=number)), bytes)
    status = sender.status()
    assert status is not None
    assert status.streams == 2


@pytest.mark.parametrize("send", [True, False])
def test_what_is_known_of_the_key_before_takes_nobodys_place(send: bool) -> None:
    """B6: with room for one SSRC a peer may change key and SSRC at once; SRTCP indices go on all the same."""
    session = Session(CM, *OLD, send=send, ssrc_limit=1, roc="keep" if send else "auto")
    if send:
        assert isinstance(session.protect_rtp(rtp(1)), bytes)
        assert session.protect_rtcp(rtcp()) == seal_rtcp(CM, *OLD, rtcp(), 1)
    else:
        assert session.unprotect_rtp(seal_rtp(CM, *OLD, rtp(1))) == rtp(1)
    session.place(0, CM, *NEW)
    other = rtp(5, ssrc=77)
    if send:
        assert session.protect_rtp(other) == seal_rtp(CM, *NEW, other)
        assert session.protect_rtcp(rtcp(77)) == seal_rtcp(CM, *NEW, rtcp(77), 2)
        assert session.protect_rtp(rtp(2)) == Drop.DROP_SSRC_LIMIT
    else:
        assert session.unprotect_rtp(seal_rtp(CM, *NEW, other)) == other
        assert session.unprotect_rtp(seal_rtp(CM, *NEW, rtp(2))) == Drop.DROP_SSRC_LIMIT


# --- the same key, and the peer begins again at ROC 0 -------------------------------------------------------------


@pytest.mark.parametrize(("roc", "taken"), [("auto", False), ("keep", False), ("reset", True)])
def test_same_key_with_the_roc_reset_by_the_peer(roc: str, taken: bool) -> None:
    """C13, peers #9: indices used twice under one key are the peer's two-time pad and look like a recording played
    back: refused, but where the trunk's policy says RESET, and there only once the stream has fallen silent."""
    session = Session(CM, *OLD, send=False, roc=roc)
    session.now_ns = 10**9
    for index in (60000, 65536 + 20000, 65536 + 50000, (2 << 16) + 100):
        assert isinstance(session.unprotect_rtp(at(index, OLD)), bytes)
    recorded = at(60000, OLD)
    assert isinstance(session.unprotect_rtp(recorded), Drop)  # the stream runs: whatever the policy
    assert session.unprotect_rtp(at((2 << 16) + 101, OLD)) == rtp(101)
    session.now_ns += 200_000_000
    again = [session.unprotect_rtp(at(n, OLD)) for n in (102, 103, 104)]
    assert again == [rtp(n) for n in (102, 103, 104)] if taken else all(isinstance(one, Drop) for one in again)
    status = session.status()
    assert status is not None
    assert status.ssrcs[0].roc == (0 if taken else 2)
    assert isinstance(session.unprotect_rtp(at(103, OLD)), Drop)  # a replay all the same
