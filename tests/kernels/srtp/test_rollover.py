"""ROC through wraps, loss and reordering: rows A14, B2, B3, B4."""

import random

import pytest

from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.srtp.oracle import rtp, seal_rtp
from tests.kernels.srtp.suites import AUTHENTICATED, CM, SUITES, all_octets, keys

pytestmark = pytest.mark.malformed

KEY, SALT = keys(CM)


def sealed(index: int) -> bytes:
    return seal_rtp(CM, KEY, SALT, rtp(index & 0xFFFF), index >> 16)


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("name", SUITES)
def test_three_wraps_with_reordering(name: str, batch: int) -> None:
    """A14, B3: sender and receiver over three wraps, shuffled in blocks of 60, nothing lost, in batches and singly."""
    transform = SUITES[name]
    sender = Session(transform, *keys(transform), send=True, window=128)
    receiver = Session(transform, *keys(transform), send=False, window=128)
    chance = random.Random(3)
    index = 65400
    for _ in range(3):
        plain = [rtp(n) for n in range(index, index + 300)]
        protected = all_octets(sender.protect_rtp_many(plain))
        order = list(range(300))
        for start in range(0, 300, 60):
            block = order[start : start + 60]
            chance.shuffle(block)
            order[start : start + 60] = block
        arrived = [protected[n] for n in order]
        got = [
            one for start in range(0, 300, batch) for one in receiver.unprotect_rtp_many(arrived[start : start + batch])
        ]
        assert got == [plain[n] for n in order]
        gap = [rtp(n) for n in range(index + 300, index + 300 + 64936, 20000)] + [rtp(index + 65535)]
        assert len(receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many(gap)))) == len(gap)
        index += 65536
    for session in (sender, receiver):
        status = session.status()
        assert status is not None
        assert status.ssrcs[0].roc == (index - 1) >> 16
        assert status.drops == {}


@pytest.mark.parametrize("lost", [1, 1 << 14, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, (1 << 16) - 40, 1 << 16])
@pytest.mark.parametrize("name", AUTHENTICATED)
def test_burst_loss(name: str, lost: int) -> None:
    """B3: up to 2^15 - 1 nothing more is lost; up to 2^16 the ROC is found again at once, and never a replay."""
    transform = SUITES[name]
    sender = Session(transform, *keys(transform), send=True)
    receiver = Session(transform, *keys(transform), send=False)
    start = 50_000
    first = all_octets(sender.protect_rtp_many([rtp(n) for n in range(start, start + 3)]))
    assert receiver.unprotect_rtp_many(first) == [rtp(n) for n in range(start, start + 3)]
    for hop in range(start + 3, start + 3 + lost, 20_000):  # the sender itself saw every packet
        sender.protect_rtp(rtp(hop))
    plain = [rtp(start + 3 + lost + n) for n in range(5)]
    sender.protect_rtp(rtp(start + 2 + lost))
    assert receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many(plain))) == plain
    assert all(isinstance(one, Drop) for one in receiver.unprotect_rtp_many(first))


@pytest.mark.parametrize("n", range(21))
def test_wrap_lost_at_the_start(n: int) -> None:
    """B2: the sender began at 65535 - n and the first n + 1 packets never came."""
    sender = Session(CM, KEY, SALT, send=True)
    receiver = Session(CM, KEY, SALT, send=False)
    sender.protect_rtp_many([rtp(k) for k in range(65535 - n, 65536)])
    plain = [rtp(k) for k in range(65536, 65536 + 10)]
    assert receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many(plain))) == plain


def test_late_packets_from_before_the_first() -> None:
    """A14: the first packet heard is behind the wrap, the ones before it come late."""
    receiver = Session(CM, KEY, SALT, send=False)
    arrivals = [65538, 65535, 65536, 65530, 65539]
    assert [isinstance(receiver.unprotect_rtp(sealed(index)), bytes) for index in arrivals] == [True] * 5


def test_trials_are_bounded() -> None:
    """B2: a flood of forgeries gets 64 second tries, then one in sixteen; a true resync still succeeds in the end."""
    receiver = Session(CM, KEY, SALT, send=False)
    assert isinstance(receiver.unprotect_rtp(sealed(100)), bytes)
    receiver.unprotect_rtp_many([rtp(n, payload=bytes(30)) for n in range(200, 300)])
    verdicts = [isinstance(receiver.unprotect_rtp(sealed(100 + 65536 + n)), bytes) for n in range(20)]
    assert 0 < verdicts.count(False) < 16
    assert verdicts == sorted(verdicts)


def test_no_trial_without_a_tag() -> None:
    """Without authentication any ROC would "verify": the estimate is all there is."""
    transform = SUITES["AES_CM_128_NULL_AUTH"]
    receiver = Session(transform, *keys(transform), send=False)
    assert isinstance(receiver.unprotect_rtp(rtp(100)), bytes)
    assert receiver.unprotect_rtp(rtp(100)) == Drop.DROP_REPLAY
    status = receiver.status()
    assert status is not None
    assert (status.resyncs, status.ssrcs[0].rtp_newest) == (0, 100)


def test_sender_never_uses_an_index_twice() -> None:
    """B5, A09: repeated, late beyond the window, and before the first; the output differs for every index."""
    sender = Session(CM, KEY, SALT, send=True, window=64)
    assert isinstance(sender.protect_rtp(rtp(10)), bytes)
    assert sender.protect_rtp(rtp(10, payload=b"other")) == Drop.DROP_TX_REPLAY
    assert sender.protect_rtp(rtp(65535)) == Drop.DROP_TX_REPLAY  # index -1
    assert isinstance(sender.protect_rtp(rtp(100)), bytes)
    assert isinstance(sender.protect_rtp(rtp(99)), bytes)
    assert sender.protect_rtp(rtp(36)) == Drop.DROP_TX_REPLAY
    batch = sender.protect_rtp_many([rtp(200), rtp(200), rtp(201), rtp(200)])
    assert [isinstance(one, bytes) for one in batch] == [True, False, True, False]


def test_new_ssrc_starts_at_the_initial_roc() -> None:
    """B4: only that SSRC; the other keeps its ROC."""
    sender = Session(CM, KEY, SALT, send=True, initial_roc=5)
    assert sender.protect_rtp(rtp(65535, ssrc=1)) == seal_rtp(CM, KEY, SALT, rtp(65535, ssrc=1), 5)
    assert sender.protect_rtp(rtp(0, ssrc=1)) == seal_rtp(CM, KEY, SALT, rtp(0, ssrc=1), 6)
    assert sender.protect_rtp(rtp(0, ssrc=2)) == seal_rtp(CM, KEY, SALT, rtp(0, ssrc=2), 5)


def test_last_index_of_all() -> None:
    """B7: ROC 2^32 - 1 ends; the index never wraps to 0."""
    sender = Session(CM, KEY, SALT, send=True, initial_roc=0xFFFFFFFF)
    receiver = Session(CM, KEY, SALT, send=False, initial_roc=0xFFFFFFFF)
    packet = sender.protect_rtp(rtp(65535))
    assert isinstance(packet, bytes)
    assert receiver.unprotect_rtp(packet) == rtp(65535)
    assert sender.protect_rtp(rtp(0)) == Drop.DROP_KEY_EXPIRED
    assert receiver.unprotect_rtp(sealed(0)) == Drop.DROP_KEY_EXPIRED
