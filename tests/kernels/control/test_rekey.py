"""Re-keying through commands, with packets on the way: overlap, move, death of a worker, keys one by one, old libsrtp.

Rows C06, C13, C14, SDES-21, SR-15; trap 1 of key-management.md section 6.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernels.control.commands import (
    AddKey,
    Command,
    ExportStream,
    ImportStream,
    InstallCrypto,
    InstallFlow,
    MasterKeyBytes,
    RemoveCrypto,
    RemoveKey,
    SelectKey,
    Transform,
)
from kernels.srtp.session import Session
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    LocalPlane,
    LocalTeam,
    discard,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
)
from tests.kernels.srtp.suites import SUITES, vectors

OLD, NEW = master_key(0), master_key(2)
ELSEWHERE = ("198.51.100.9", 7777)  # another address of Bob's
ALSO = 5  # slot of the old key's context in these tests is 0; the new one's is this


def octets(data: object) -> bytes:
    assert isinstance(data, bytes)
    return data


def rekey(first: int = 0) -> list[Command]:
    """To NEW in slot `first` + 5, with OLD (slot `first`) behind it."""
    flow = secure_bridge()[3]
    assert isinstance(flow, InstallFlow)
    return [InstallCrypto(first + ALSO, CM128, NEW, False, also=first), replace(flow, receive=first + ALSO)]


@pytest.fixture
def bobs() -> tuple[Session, Session]:
    """Bob with his old key and with his new one."""
    return session(OLD, True), session(NEW, True)


def test_overlap(bobs: tuple[Session, Session]) -> None:
    """C13: both keys are accepted, the learnt address and the flow's counters are right for either."""
    old, new = bobs
    plane = LocalPlane()
    plane.do(*secure_bridge())
    assert plane.send(1, octets(old.protect_rtp(rtp(1))), source=BOB) == [(0, rtp(1), ALICE)]
    assert plane.do(*rekey()) == [0, 0]
    for number in range(2, 12):
        bob, source = (new, ELSEWHERE) if number % 2 else (old, BOB)
        assert plane.send(1, octets(bob.protect_rtp(rtp(number))), source=source) == [(0, rtp(number), ALICE)]
        assert plane.flow(1).current == source  # proven by whichever context opened it
        assert plane.send(1, octets(bob.protect_rtcp(rtcp())), source=source) == [(0, rtcp(), ALICE)]
    assert (plane.flow(1).packets_in, plane.flow(1).lost, plane.flow(1).drops) == (21, 0, {})
    assert [plane.mailbox.crypto(slot).rtp_packets for slot in (0, ALSO)] == [6, 5]


def test_after_the_grace_the_old_key_is_gone(bobs: tuple[Session, Session]) -> None:
    """SDES-21, C14, SR-23: late packets under it are dropped, and it is nowhere in the arena."""
    old, new = bobs
    plane = LocalPlane()
    plane.do(*secure_bridge(), *rekey())
    assert plane.arena.mapping[:].count(OLD.key)
    assert plane.do(InstallCrypto(ALSO, CM128, NEW, False), RemoveCrypto(0)) == [0, 0]
    assert plane.send(1, octets(old.protect_rtp(rtp(1))), source=BOB) == []
    assert plane.send(1, octets(new.protect_rtp(rtp(2))), source=BOB) == [(0, rtp(2), ALICE)]
    assert plane.flow(1).drops == {"auth_fail": 1}
    assert OLD.key not in plane.arena.mapping[:]


def test_another_calls_key_opens_nothing_here() -> None:
    """A05: in the overlap too."""
    plane = LocalPlane()
    plane.do(*secure_bridge(), *rekey(), InstallCrypto(7, CM128, master_key(6), False))
    stranger = session(master_key(6), True)
    assert plane.send(1, *[octets(stranger.protect_rtp(rtp(n))) for n in range(1, 9)], source=BOB) == []
    assert plane.flow(1).drops == {"auth_fail": 8}
    assert [plane.mailbox.crypto(slot).stream_count for slot in (0, ALSO, 7)] == [0, 0, 0]


def test_a_worker_dies_in_the_overlap(bobs: tuple[Session, Session]) -> None:
    """F2: its successor goes on with both keys, and everything commanded again changes nothing."""
    old, new = bobs
    plane = LocalPlane()
    plane.do(*secure_bridge(), *rekey())
    for number, bob in ((1, old), (2, new)):
        assert len(plane.send(1, octets(bob.protect_rtp(rtp(number))), source=BOB)) == 1
    plane.start()
    assert plane.do(InstallCrypto(0, CM128, OLD, False), *rekey()) == [0, 0, 0]
    for number, bob in ((3, old), (4, new)):
        assert plane.send(1, octets(bob.protect_rtp(rtp(number))), source=BOB) == [(0, rtp(number), ALICE)]
    assert [plane.mailbox.crypto(slot).rtp_packets for slot in (0, ALSO)] == [2, 2]


def moved(team: LocalTeam, source: int, to: int, number: int, first: tuple[int, int]) -> None:
    places = [
        ((at, at + 1, None, None), (None, None, at + ALSO, at + 1, None, None, at, None)) for at in first
    ]
    assert team.do(source, ExportStream(0, number, to, *places[0])) == [0]
    assert team.do(to, ImportStream(0, number, *places[1])) == [0]
    assert team.do(to, discard(number)) == [0]


def test_a_move_in_the_overlap(bobs: tuple[Session, Session]) -> None:
    """F8: both contexts travel and find each other under other slot numbers, there and back, ROC and windows kept."""
    old, new = bobs
    team = LocalTeam()
    assert set(team.do(0, *secure_bridge(), *rekey())) == {0}
    sent: list[bytes] = []

    def talk(worker: int, number: int) -> None:
        for bob in (old, new):
            sent.append(octets(bob.protect_rtp(rtp(number))))
            team.ports[worker].inject(1, sent[-1], *BOB)
            team.turn(worker)
            assert team.ports[worker].collect() == [(0, rtp(number), ALICE)]

    slots = [0, 0]
    for turn in range(20):
        source, to = turn % 2, 1 - turn % 2
        talk(source, 65530 + turn)
        slots[to] = (turn * 3) % 7
        moved(team, source, to, 100 + turn, (slots[source], slots[to]))
    talk(0, 65550)
    for data in sent:
        team.ports[0].inject(1, data, *BOB)
        team.turn(0)
    assert team.ports[0].collect() == []  # every one of them was known
    for slot in (slots[0], slots[0] + ALSO):
        assert team.mailboxes[0].crypto(slot).streams[0].rtp_newest == 65550
    assert team.mailboxes[1].cryptos() == []
    assert team.peek(0, team.arena.octets).count(OLD.key) == 1


def test_an_import_that_is_done_again_links_again(bobs: tuple[Session, Session]) -> None:
    """The importing worker died before it said so."""
    old, new = bobs
    team = LocalTeam()
    team.do(0, *secure_bridge(), *rekey())
    cryptos = (None, None, ALSO, 1, None, None, 0, None)
    assert team.do(0, ExportStream(0, 9, 1, (0, 1, None, None), cryptos)) == [0]
    assert team.do(1, ImportStream(0, 9, (0, 1, None, None), cryptos)) == [0]
    team.restart(1)
    assert team.do(1, ImportStream(0, 9, (0, 1, None, None), cryptos)) == [0]
    for number, bob in ((1, old), (2, new)):
        team.ports[1].inject(1, octets(bob.protect_rtp(rtp(number))), *BOB)
        team.turn(1)
        assert team.ports[1].collect() == [(0, rtp(number), ALICE)]


# --- several keys (C06, SR-15) -------------------------------------------------------------------------------------


def with_mki(number: int) -> MasterKeyBytes:
    return master_key(number, bytes([0, 0, 0, number]))


def far_end(number: int, send: bool) -> Session:
    key = with_mki(number)
    return Session(CM128, key.key, key.salt, send=send, mki=key.mki)


def test_both_keys_decrypt_and_the_sender_switches() -> None:
    """C06: `|1:4` and `|2:4`; unknown_mki counted; no state is disturbed by keys that come and go."""
    plane = LocalPlane()
    _, _, a, b = secure_bridge()
    plane.do(InstallCrypto(0, CM128, with_mki(1), False), InstallCrypto(1, CM128, with_mki(4), True), a, b)
    assert plane.do(AddKey(0, with_mki(2)), AddKey(1, with_mki(5))) == [0, 0]
    one, two, three = (far_end(number, True) for number in (1, 2, 3))
    for number, bob in enumerate((one, two, one, two), 1):
        assert plane.send(1, octets(bob.protect_rtp(rtp(number))), source=BOB) == [(0, rtp(number), ALICE)]
    assert plane.send(1, octets(three.protect_rtp(rtp(5))), source=BOB) == []
    assert plane.flow(1).drops == {"unknown_mki": 1}
    bob = far_end(4, False)
    bob.add_key(with_mki(5).key, with_mki(5).salt, with_mki(5).mki)
    for number in range(1, 7):
        if number == 3:
            assert plane.do(SelectKey(1, with_mki(5).mki)) == [0]
        if number == 5:
            assert plane.do(RemoveKey(1, with_mki(4).mki), RemoveKey(0, with_mki(1).mki)) == [0, 0]
        ((_, data, _),) = plane.send(0, rtp(number))
        assert data[-14:-10] == with_mki(4 if number < 3 else 5).mki
        assert bob.unprotect_rtp(data) == rtp(number)
    assert plane.send(1, octets(two.protect_rtp(rtp(6))), source=BOB) == [(0, rtp(6), ALICE)]
    assert plane.send(1, octets(one.protect_rtp(rtp(7))), source=BOB) == []
    assert plane.mailbox.crypto(0).streams[0].packets == 5  # the same stream all the time
    assert [key.mki for key in plane.mailbox.crypto(1).each_key if key.in_use] == [with_mki(5).mki]
    assert [key.rtp_packets for key in plane.mailbox.crypto(1).each_key] == [4]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (RemoveKey(1, with_mki(4).mki), "EBUSY"),  # it protects
        (RemoveKey(0, with_mki(1).mki), "EBUSY"),  # the only one
        (RemoveKey(0, with_mki(9).mki), 0),
        (RemoveKey(6, with_mki(1).mki), "ENOENT"),
    ],
)
def test_keys_that_stay(command: RemoveKey, error: int | str) -> None:
    plane = LocalPlane()
    plane.do(InstallCrypto(0, CM128, with_mki(1), False), InstallCrypto(1, CM128, with_mki(4), True))
    assert plane.do(AddKey(1, with_mki(5)), command) == [0, error]


def test_a_removed_key_is_wiped() -> None:
    """SR-23."""
    plane = LocalPlane()
    plane.do(InstallCrypto(0, CM128, with_mki(1), False), AddKey(0, with_mki(2)))
    assert with_mki(2).key in plane.arena.mapping[:]
    plane.do(RemoveKey(0, with_mki(2).mki))
    assert with_mki(2).key not in plane.arena.mapping[:]


# --- lifetimes (C05, A17) ------------------------------------------------------------------------------------------


def test_each_keys_lifetime_is_its_own() -> None:
    """C05, A17, A06: enforced and shown for each key; what is left of another is not touched."""
    plane = LocalPlane()
    _, _, a, b = secure_bridge()
    first, second = replace(with_mki(4), rtp_lifetime=3), replace(with_mki(5), rtp_lifetime=1000)
    plane.do(InstallCrypto(0, CM128, with_mki(1), False), InstallCrypto(1, CM128, first, True), a, b)
    plane.do(AddKey(1, second))
    assert [len(plane.send(0, rtp(number))) for number in range(1, 6)] == [1, 1, 1, 0, 0]
    assert plane.mailbox.crypto(1).drops == {"key_expired": 2}
    plane.do(SelectKey(1, second.mki))
    assert len(plane.send(0, rtp(6))) == 1
    used = {key.mki: (key.rtp_packets, key.rtp_lifetime) for key in plane.mailbox.crypto(1).each_key}
    assert used == {first.mki: (3, 3), second.mki: (1, 1000)}


# --- AES-192 as libsrtp 2.2 to 2.7 has it ---------------------------------------------------------------------------

LEGACY = vectors("srtp_suites.json")


def secret(suite: str) -> MasterKeyBytes:
    row = next(row for row in LEGACY["suites"] if row["suite"] == suite)
    both = bytes.fromhex(row["key_salt_hex"])
    return MasterKeyBytes(both[:24], both[24:])


@pytest.mark.parametrize("suite", LEGACY["libsrtp_aes192_legacy"]["suites"])
def test_aes_192_of_old_libsrtp(suite: str) -> None:
    """Trap 1: what libsrtp 2.5 (Debian 12, FreeSWITCH) produced is opened, and the same is produced."""
    transform: Transform = SUITES[suite]
    plane = LocalPlane()
    _, _, a, b = secure_bridge()
    key = secret(suite)
    assert plane.do(
        InstallCrypto(0, transform, key, False, legacy_192=True),
        InstallCrypto(1, transform, key, True, legacy_192=True),
        a,
        b,
    ) == [0] * 4
    for row in LEGACY["libsrtp_aes192_legacy"]["suites"][suite]:
        plain, protected = bytes.fromhex(row["plain"]), bytes.fromhex(row["protected"])
        assert plane.send(1, protected, source=BOB) == [(0, plain, ALICE)]
        assert plane.send(0, plain) == [(1, protected, BOB)]


def test_legacy_192_of_another_key_length_is_refused() -> None:
    plane = LocalPlane()
    assert plane.do(InstallCrypto(0, CM128, OLD, False, legacy_192=True)) == ["EINVAL"]
