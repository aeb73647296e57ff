"""Every back end does the same, octet for octet and verdict for verdict, behind the engine: rows A04, A05, A13, A14."""

from __future__ import annotations

import pytest

from kernels.cipher import select
from kernels.load.rivals import Outcome, contest
from kernels.srtp.session import Session
from kernels.wire.packet import Drop
from tests.kernels.cipher.test_backends import HERE
from tests.kernels.guarded import SANITIZED
from tests.kernels.srtp.oracle import rtp
from tests.kernels.srtp.suites import SUITES, all_octets, keys

pytestmark = pytest.mark.malformed

NAMES = select.names()
ALL = list(SUITES.values())
PACKETS = 40_000 if SANITIZED else 1_000_000  # protected; nearly twice as many are judged
SEEN = {
    "DROP_NONE", "DROP_TOO_SHORT", "DROP_MALFORMED", "DROP_AUTH_FAIL", "DROP_REPLAY", "DROP_REPLAY_OLD",
    "DROP_UNKNOWN_MKI",
}  # fmt: skip
several = pytest.mark.skipif(len(NAMES) < 2, reason="only openssl runs on this CPU")


def check(outcome: Outcome, packets: int) -> None:
    """No forgery and no copy passed; and the traffic was what it should be, else nothing is shown."""
    assert (outcome.forged_passed, outcome.passed_twice) == (0, 0)
    assert outcome.sealed >= packets
    assert min(outcome.forged, outcome.copies) > packets // 20
    assert outcome.wraps > packets // 5000
    assert set(outcome.verdicts) >= SEEN


@several
@pytest.mark.parametrize("seed", [3711, 7714])
def test_every_back_end_does_the_same(seed: int) -> None:
    check(contest(NAMES, ALL, seed, PACKETS), PACKETS)


@pytest.mark.parametrize("generation", HERE)
def test_so_does_the_library_s_code_for_older_processors(generation: str) -> None:
    from kernels.cipher import ipsec_mb

    try:
        assert ipsec_mb.use(generation)
        check(contest(("ipsec-mb", "openssl"), ALL, 2202, PACKETS // 4), PACKETS // 4)
    finally:
        ipsec_mb.use("auto")


@several
@pytest.mark.parametrize("batch", [1, 2, 3, 500])
def test_one_wrong_octet_in_any_batch_is_noticed(batch: int) -> None:
    with pytest.raises(RuntimeError, match=r"packet \d+ of a batch, crypto"):
        contest(NAMES, ALL, 1, 20_000, fault=batch)


def two_ends(suite: str) -> tuple[Session, Session]:
    sender, receiver = (Session(SUITES[suite], *keys(SUITES[suite]), send=send) for send in (True, False))
    return sender, receiver


@pytest.mark.usefixtures("every_cipher")
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("started", [0, 70])
def test_of_copies_in_one_batch_exactly_one_passes(suite: str, started: int) -> None:
    """A04: all of them verify, for none is accepted yet when the back end looks at them."""
    sender, receiver = two_ends(suite)
    all_octets(receiver.unprotect_rtp_many(all_octets(sender.protect_rtp_many([rtp(n) for n in range(started)]))))
    plain = [rtp(started + n) for n in range(32)]
    sealed = all_octets(sender.protect_rtp_many(plain))
    got = receiver.unprotect_rtp_many([packet for packet in sealed for _ in range(2)])
    assert got == [verdict for packet in plain for verdict in (packet, Drop.DROP_REPLAY)]
    assert set(receiver.unprotect_rtp_many(sealed)) == {Drop.DROP_REPLAY}
