"""Peers of a lite agent that do it otherwise: those of RFC 5245, which know no consent and nominate with every check,
and those behind a NAT that binds their port anew in mid-call (spec ICE-4, ICE-7, ICE-8, A5)."""

from __future__ import annotations

from typing import Any

import pytest

from kernels.control.commands import InstallFlow
from tests.kernels.checks import (
    CONTROLLED,
    INDICATION,
    INTEGRITY,
    OUR_PASSWORD,
    OURS,
    SUCCESS,
    THEIR_PASSWORD,
    IcePlane,
    agent,
    check,
    error_code,
    legs,
    message,
    read,
)
from tests.kernels.rig import ALICE, BOB, MALLORY, master_key, rtcp, rtp, session

RELAY = ("192.0.2.99", 50000)
REBOUND = (ALICE[0], ALICE[1] + 1)  # the same host, by another binding of its NAT
HELLO = bytes([22]) + bytes(60)
KEEPALIVE = message(INDICATION, [], None)


def sealed(number: int, key: int = 0) -> bytes:
    """Of Alice."""
    data = session(master_key(key), True).protect_rtp(rtp(number))
    assert isinstance(data, bytes)
    return data


def to_alice(plane: IcePlane, number: int = 1) -> list[Any]:
    """Where a packet of Bob's goes."""
    return [to for by, _, to in plane.send(1, rtp(number), source=BOB) if by == 0]


def connected(*, asks: bool = False, **words: Any) -> IcePlane:
    """A pair is selected; `asks`: and the peer has asked for consent since."""
    plane = IcePlane(**words)
    plane.nominate()
    if asks:
        plane.older(5)
        assert plane.ask(check()) is not None
    return plane


# -- consent of those who know none: RFC 5245 section 10 -------------------------------------------------------------


@pytest.mark.row("ICE-7", "ICE-8")
@pytest.mark.parametrize("secure", [True, False])
def test_media_of_a_peer_that_never_asks_for_consent(secure: bool) -> None:
    """PJSIP, baresip, Linphone: as long as media comes nothing else does, and the call goes on. Of a secure leg media
    that authenticates."""
    plane = connected() if secure else connected(commands=legs(receive=None, send=None, secure=False, latching="host"))
    plane.older(31)
    assert to_alice(plane) == []
    assert ("expired", ALICE) in plane.news()
    plane.send(0, sealed(1, key=7) if secure else rtp(1), source=ALICE if secure else MALLORY)
    assert to_alice(plane, 2) == []
    plane.send(0, sealed(2) if secure else rtcp())
    assert plane.flow(0).ice.consent
    assert to_alice(plane, 3) == [ALICE]
    plane.mailbox.inject(0, HELLO, *ALICE)
    plane.worker.turn()
    assert plane.port.collect() == [(0, HELLO, ALICE)]
    assert plane.news() == []


@pytest.mark.row("ICE-7", "D8")
def test_keepalives_of_a_peer_that_is_on_hold() -> None:
    """Indications are not signed, so they select and validate nobody; they are no refused checks either."""
    plane = connected()
    plane.older(31)
    plane.send(0, KEEPALIVE, source=MALLORY)
    plane.send(0, message(INDICATION, [], None, fingerprint=False))
    assert to_alice(plane) == []
    assert plane.flow(0).ice.refused == {"unexpected": 2}
    plane.send(0, KEEPALIVE)
    assert to_alice(plane, 2) == [ALICE]
    status = plane.flow(0).ice
    assert ([source for source, _ in status.sources], status.refused) == ([ALICE], {"unexpected": 2})


@pytest.mark.row("ICE-7", "ICE-5")
def test_checks_of_a_restart_ask_for_nothing() -> None:
    """A peer that asks is held to it. After a restart that is found out anew: its own checks do not count."""
    plane = connected(asks=True)
    new: dict[str, Any] = {"user": "new1:newp", "password": "the-new-password-of-ours"}
    assert plane.do(agent(local_ufrag="new1", local_pwd=new["password"], remote_ufrag="newp", earlier_ufrag=OURS,
                          earlier_pwd=OUR_PASSWORD)) == [0]  # fmt: skip
    assert plane.ask(check(**new)) is not None
    plane.nominate(**new)
    plane.older(31)
    plane.send(0, sealed(1))
    assert to_alice(plane) == [ALICE]


# -- aggressive nomination: RFC 5245 section 8.1.1.2 -----------------------------------------------------------------


@pytest.mark.row("ICE-4")
def test_of_pairs_nominated_together_the_best_is_meant() -> None:
    """Whatever the order in which the checks arrive: the peer asks for consent on that one alone."""
    for order in ((ALICE, RELAY), (RELAY, ALICE)):
        plane = IcePlane()
        for source in order:
            plane.nominate(source, priority=200 if source == ALICE else 100)
        assert to_alice(plane) == [ALICE], order


@pytest.mark.row("ICE-4")
def test_a_worse_pair_that_is_nominated_later_counts() -> None:
    """A browser whose network went; also when it nominates with every check of its."""
    plane = IcePlane()
    plane.nominate(priority=200)
    plane.older(0.9)
    plane.nominate(priority=200)
    plane.older(0.9)
    plane.nominate(RELAY, priority=100)
    assert to_alice(plane) == [ALICE]
    plane.older(0.2)
    plane.nominate(RELAY, priority=100)
    assert to_alice(plane, 2) == [RELAY]


# -- a peer that does not know that it has to control ----------------------------------------------------------------


@pytest.mark.row("ICE-2", "ICE-3", "D8")
def test_a_full_peer_that_takes_itself_for_the_controlled_one() -> None:
    """rtpengine up to 10.5 overlooks our a=ice-lite, so nobody would ever nominate. A role conflict (RFC 8445 section
    7.3.1.1) makes it control; nothing is learnt from its checks before."""
    plane = IcePlane()
    for _ in range(2):
        answer = plane.ask(check(role=CONTROLLED))
        assert answer is not None
        assert (error_code(answer), INTEGRITY in read(answer)[1]) == (487, True)
    assert (plane.flow(0).ice.sources, plane.flow(0).ice.refused) == ((), {"attribute": 2})
    assert error_code(plane.ask(check(role=CONTROLLED, password=THEIR_PASSWORD)) or b"") == 401
    plane.nominate()
    assert to_alice(plane) == [ALICE]


@pytest.mark.row("ICE-3", "ICE-4", "ICE-5")
def test_one_that_never_takes_control_is_taken_as_it_is() -> None:
    """Told three times; then the first source of it that checks is where it is. Again after a restart."""
    plane = IcePlane()
    for _ in range(3):
        assert error_code(plane.ask(check(role=CONTROLLED)) or b"") == 487
    assert read(plane.ask(check(role=CONTROLLED)) or b"")[0] == SUCCESS
    assert to_alice(plane) == [ALICE]
    assert read(plane.ask(check(role=CONTROLLED, priority=0x7FFFFFFF), RELAY) or b"")[0] == SUCCESS
    assert to_alice(plane, 2) == [ALICE]
    new: dict[str, Any] = {"user": "new1:newp", "password": "the-new-password-of-ours"}
    assert plane.do(agent(local_ufrag="new1", local_pwd=new["password"], remote_ufrag="newp", earlier_ufrag=OURS,
                          earlier_pwd=OUR_PASSWORD)) == [0]  # fmt: skip
    assert read(plane.ask(check(role=CONTROLLED, **new), RELAY) or b"")[0] == SUCCESS
    assert to_alice(plane, 3) == [RELAY]


@pytest.mark.row("ICE-2", "ICE-3")
def test_conflicts_of_a_full_agent_are_its_own() -> None:
    plane = IcePlane([*legs()[:-1], agent(lite=False)])
    assert read(plane.ask(check(role=CONTROLLED)) or b"")[0] == SUCCESS


# -- a NAT binds the peer's port anew --------------------------------------------------------------------------------


@pytest.mark.row("ICE-4", "ICE-7", "A5")
def test_a_peer_that_asks_from_elsewhere_is_there() -> None:
    """It selected its pair long ago and does not know of its NAT: no USE-CANDIDATE, and none of its checks comes from
    where they came from."""
    plane = connected(asks=True)
    plane.taken()
    plane.older(19)
    assert plane.ask(check(), REBOUND) is not None
    assert to_alice(plane) == [ALICE]
    plane.older(2)
    assert plane.ask(check(password=THEIR_PASSWORD), MALLORY) is not None
    assert to_alice(plane, 2) == [ALICE]
    assert plane.ask(check(), REBOUND) is not None
    assert to_alice(plane, 3) == [REBOUND]
    assert plane.send(0, sealed(1), source=REBOUND) == [(1, rtp(1), BOB)]
    assert plane.news() == [("valid", REBOUND), ("nominated", REBOUND)]


@pytest.mark.row("ICE-4")
def test_other_pairs_of_a_peer_that_is_heard_are_not_selected() -> None:
    """Browsers keep a second pair warm; and of a peer that never asks, a late check means nothing."""
    plane = connected(asks=True)
    for number, seconds in enumerate((5, 5, 15, 15, 15)):
        plane.older(seconds)
        assert plane.ask(check(), RELAY) is not None
        assert plane.ask(check()) is not None
        assert to_alice(plane, 1 + number) == [ALICE]
    plane = connected()
    plane.older(21)
    assert plane.ask(check(), RELAY) is not None
    assert to_alice(plane, 2) == [ALICE]
    assert plane.do(InstallFlow(0, "memory", 0, True, True, None, 1, 1, 0, 1, True, latching="authenticated",
                                ice=True, dtls=True)) == [0]  # fmt: skip
    assert to_alice(plane, 3) == [ALICE]
