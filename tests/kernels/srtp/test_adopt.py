"""A worker dies, its memory stays: rows B5, SR-23, DESIGN section 2; and wiping."""

import mmap
import random

import pytest

from kernels.srtp.kdf import session_key
from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtcp, rtp, seal_rtcp, seal_rtp
from tests.kernels.srtp.suites import CM, SUITES, all_octets, keys, octets

pytestmark = pytest.mark.malformed

KEY, SALT = keys(CM)
HEADER, CRYPTO = 64, 192


def memory(**sizes: int) -> memoryview:
    return memoryview(mmap.mmap(-1, Session.footprint(**sizes)))


@pytest.mark.parametrize("name", SUITES)
def test_continues_with_the_next_index(name: str) -> None:
    """DESIGN section 2: every suite, both directions, mid-call at ROC 1."""
    transform = SUITES[name]
    key, salt = keys(transform)
    sender, receiver = Session(transform, key, salt, send=True), Session(transform, key, salt, send=False)
    plain = [rtp(65535), rtp(0)]
    assert receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many(plain))) == plain
    assert receiver.unprotect_rtcp(octets(sender.protect_rtcp(rtcp()))) == rtcp()
    sender.reattach()
    receiver.reattach()
    again = sender.protect_rtp(rtp(0))
    assert again == Drop.DROP_TX_REPLAY
    packet = sender.protect_rtp(rtp(1))
    assert isinstance(packet, bytes)
    assert receiver.unprotect_rtp(packet) == rtp(1)
    assert receiver.unprotect_rtp(packet) == Drop.DROP_REPLAY
    report = sender.protect_rtcp(rtcp())
    assert isinstance(report, bytes)
    assert receiver.unprotect_rtcp(report) == rtcp()
    status = sender.status()
    assert status is not None
    assert status.ssrcs[0].rtp_newest == 65537
    assert status.ssrcs[0].rtcp_newest is not None
    assert status.ssrcs[0].rtcp_newest > 2  # jumped forward


def test_nothing_is_accepted_or_used_twice_afterwards() -> None:
    """B5, A04: what the window had not seen yet counts as seen: packets are lost rather than replayed."""
    sender, receiver = Session(CM, KEY, SALT, send=True), Session(CM, KEY, SALT, send=False)
    for n in (100, 110):
        sender.protect_rtp(rtp(n))
        receiver.unprotect_rtp(seal_rtp(CM, KEY, SALT, rtp(n)))
    sender.reattach()
    receiver.reattach()
    for n in range(90, 111):
        assert sender.protect_rtp(rtp(n)) == Drop.DROP_TX_REPLAY
        assert receiver.unprotect_rtp(seal_rtp(CM, KEY, SALT, rtp(n))) in (Drop.DROP_REPLAY, Drop.DROP_REPLAY_OLD)
    assert receiver.unprotect_rtp(seal_rtp(CM, KEY, SALT, rtp(111))) == rtp(111)


def test_keys_by_mki_and_several_ssrcs_survive() -> None:
    sender = Session(CM, KEY, SALT, send=True, mki=b"a")
    sender.add_key(*keys(CM, 2), b"b")
    sender.select_key(b"b")
    for ssrc in range(5):
        sender.protect_rtp(rtp(7, ssrc=ssrc))
    sender.reattach()
    for ssrc in range(5):
        assert sender.protect_rtp(rtp(8, ssrc=ssrc)) == seal_rtp(CM, *keys(CM, 2), rtp(8, ssrc=ssrc), mki=b"b")
    sender.select_key(b"a")
    assert sender.protect_rtp(rtp(9, ssrc=4)) == seal_rtp(CM, KEY, SALT, rtp(9, ssrc=4), mki=b"a")
    with pytest.raises(OSError):
        for n in range(9):
            sender.add_key(*keys(CM, n + 10), bytes([n]))  # the pool is as full as before: 8 keys
    status = sender.status()
    assert status is not None
    assert (status.keys, status.streams) == (8, 5)


def test_derivation_rate_survives() -> None:
    sender = Session(CM, KEY, SALT, send=True, kdr_log2=2)
    sender.protect_rtp_many([rtp(n) for n in range(10)])
    sender.reattach()
    assert sender.protect_rtp_many([rtp(n) for n in range(10, 20)]) == [
        seal_rtp(CM, KEY, SALT, rtp(n), kdr=4) for n in range(10, 20)
    ]


def test_death_at_any_store_uses_no_index_twice() -> None:
    """B5: the memory of a sender, frozen after each packet and with the stores of the next one half done, is adopted;
    whatever it then sends has an index that was not used before."""
    chance = random.Random(5)
    for _ in range(200):
        mine = memory()
        sender = Session(CM, KEY, SALT, send=True, memory=mine)
        used = {
            65530 + n for n in range(chance.randrange(1, 12)) if isinstance(sender.protect_rtp(rtp(65530 + n)), bytes)
        }
        before = bytes(mine)
        following = max(used) + chance.randrange(1, 4)
        assert isinstance(sender.protect_rtp(rtp(following)), bytes)
        after = bytes(mine)
        # the newest index is the first store of a commit: everything behind it may or may not have happened
        changed = [at for at in range(0, len(before), 8) if before[at : at + 8] != after[at : at + 8]]
        torn = bytearray(before)
        newest = next(at for at in changed if int.from_bytes(after[at : at + 8], "little") == following)
        torn[newest : newest + 8] = after[newest : newest + 8]
        for at in changed:
            if chance.random() < 0.5:
                torn[at : at + 8] = after[at : at + 8]
        mine[:] = bytes(torn)
        adopted = Session(CM, None, None, send=True, memory=mine, fresh=False)
        for index in [*used, following]:
            assert adopted.protect_rtp(rtp(index)) == Drop.DROP_TX_REPLAY
        assert adopted.protect_rtp(rtp(following + 1)) == seal_rtp(
            CM, KEY, SALT, rtp(following + 1), (following + 1) >> 16
        )


def test_death_inside_a_command_suspends() -> None:
    """A command that did not finish leaves an odd generation: no traffic; the same key installed again continues."""
    mine = memory()
    sender = Session(CM, KEY, SALT, send=True, memory=mine)
    assert isinstance(sender.protect_rtp(rtp(5)), bytes)
    mine[HEADER] |= 1
    adopted = Session(CM, None, None, send=True, memory=mine, fresh=False)
    assert adopted.protect_rtp(rtp(6)) == Drop.DROP_NOT_KEYED
    adopted.install(KEY, SALT)
    assert adopted.protect_rtp(rtp(5)) == Drop.DROP_TX_REPLAY
    assert adopted.protect_rtp(rtp(6)) == seal_rtp(CM, KEY, SALT, rtp(6))
    mine[HEADER] |= 1
    adopted = Session(CM, None, None, send=True, memory=mine, fresh=False)
    adopted.install(*keys(CM, 2))
    assert adopted.protect_rtp(rtp(5)) == seal_rtp(CM, *keys(CM, 2), rtp(5))


def test_memory_of_another_layout_is_refused() -> None:
    for at in (0, 4, 8, 20):
        mine = memory()
        Session(CM, KEY, SALT, send=True, memory=mine)
        mine[at] ^= 1
        with pytest.raises(OSError):
            Session(CM, None, None, send=True, memory=mine, fresh=False)
    with pytest.raises(OSError):
        Session(CM, KEY, SALT, send=True, memory=memoryview(mmap.mmap(-1, 100_000))[8:])  # not aligned
    with pytest.raises(ValueError, match="wanted"):
        Session(CM, KEY, SALT, send=True, memory=memory()[:-64])


def secrets(session_keys: bool = True) -> list[bytes]:
    derived = [session_key(KEY, SALT, label, 14) for label in range(6)] if session_keys else []
    return [KEY, SALT, *derived]


def found(mine: memoryview) -> int:
    data = bytes(mine)
    return sum(any(secret[at : at + 8] in data for at in range(len(secret) - 7)) for secret in secrets())


def test_remove_and_replace_wipe() -> None:
    """SR-23: the arena is searched for any 8 octets of master key, salt and session keys."""
    mine = memory()
    session = Session(CM, KEY, SALT, send=False, memory=mine, mki=b"a")
    assert found(mine) >= 6  # the search does find what is there
    session.add_key(*keys(CM, 2), b"b")
    session.remove()
    assert found(mine) == 0
    slots = bytes(mine[HEADER + CRYPTO : HEADER + CRYPTO + 8 * 768])
    assert not any(slots[at + 4 : at + 768] != bytes(764) for at in range(0, len(slots), 768))
    session.install(KEY, SALT, mki=b"a")
    session.install(*keys(CM, 3), mki=b"a")
    assert found(mine) == 0


def test_rtcp_index_jump_is_what_the_wire_shows() -> None:
    sender = Session(CM, KEY, SALT, send=True)
    sender.protect_rtcp(rtcp())
    sender.reattach()
    assert sender.protect_rtcp(rtcp()) == seal_rtcp(CM, KEY, SALT, rtcp(), 66)
