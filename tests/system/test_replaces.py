"""Attended transfer through topology hiding: a dialog that a message names is named as its reader knows it (row K04;
RFC 3891, RFC 5589 section 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

import pytest

from tests.system.kamailio_rig import Edge
from tests.system.parties import ACCESS, CORE, Dialog, Message, Party
from tests.system.two_sides import Place, done, parties, running, up

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("K04")]

PORT = 44000


@pytest.fixture(scope="module")
def pair(sip_programs: None) -> Iterator[tuple[Party, Party]]:
    with parties(PORT + 4, PORT) as made_up:
        yield made_up


@pytest.fixture(
    scope="module", params=[{}, {"mask_callid": False}, {"hide_addresses": False}], ids=["mask", "bare", "addresses"]
)
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
         pair: tuple[Party, Party]) -> Iterator[Edge]:  # fmt: skip
    """With Call-IDs that are masked, as they are, and masked where addresses are not."""
    place = Place(PORT, 1, {"sip_topology": request.param})
    with running(tmp_path_factory.mktemp("edge"), place, *pair) as started:
        yield started


def tag(party: str) -> str:
    return party.rpartition(";tag=")[2]


def replaces(dialog: Dialog) -> str:
    """As one party of a dialog names it to whom the other party is to be called by (RFC 3891 section 3)."""
    return f"{dialog.call_id};to-tag={tag(dialog.remote)};from-tag={tag(dialog.local)}"


def known_by(dialog: Dialog) -> str:
    """As the header must read for its party to find it."""
    return f"{dialog.call_id};to-tag={tag(dialog.local)};from-tag={tag(dialog.remote)}"


def named(refer: Message) -> str:
    found = re.search(r"\?Replaces=([^>]*)", refer["Refer-To"])
    return unquote(found[1]) if found else ""


def test_a_refer_names_the_other_call(edge: Edge, pair: tuple[Party, Party]) -> None:
    """Each side transfers the other: its second call is named as the one who is asked knows it."""
    alice, bob = pair
    (first, first_back), (second, second_back) = up(alice, bob), up(alice, bob)
    for sender, receiver, within, mine, theirs, host in (
        (alice, bob, first, second, second_back, ACCESS), (bob, alice, first_back, second_back, second, CORE),
    ):  # fmt: skip
        target = f"<sip:carol@{host}9?Replaces={quote(replaces(mine))}&X-More=1>"
        sender.within(within, "REFER", lines=[f"Refer-To: {target}"])
        refer = receiver.hears("REFER")
        assert named(refer).split("&")[0] == known_by(theirs)
        assert refer["Refer-To"].endswith("&X-More=1>")
        assert edge.config.table.topology.addresses is (f"{host}9" not in refer["Refer-To"])
        receiver.answer(refer, 202)
        sender.hears(202)
    for dialog in (first, second):
        done(alice, bob, dialog, "BYE")


def test_an_invite_replaces_a_call(edge: Edge, pair: tuple[Party, Party]) -> None:
    """Whether its sender names the call as it knows it, or as it was told by somebody of the other side: who is called
    knows it."""
    alice, bob = pair
    dialog, back = up(alice, bob)
    for sender, receiver, own in ((alice, bob, back), (bob, alice, dialog)):
        for call_id in {dialog.call_id, back.call_id}:
            value = known_by(own).replace(own.call_id, call_id)
            call = sender.calls("bob" if sender is alice else "alice", lines=[f"Replaces: {value}"])
            invite = receiver.hears("INVITE")
            assert invite["Replaces"] == known_by(own)
            receiver.answer(invite, 603)
            call.acknowledge(sender.hears(603))
            receiver.hears("ACK")
    done(alice, bob, dialog, "BYE")


@pytest.mark.parametrize("value", ["no-such-call;to-tag=1;from-tag=2", "only-a-call-id", ";to-tag=1;from-tag=2"])
def test_a_call_that_nobody_knows(edge: Edge, pair: tuple[Party, Party], value: str) -> None:
    """It goes on: who is called says 481, not we."""
    alice, bob = pair
    call = alice.calls(lines=[f"Replaces: {value}"])
    invite = bob.hears("INVITE")
    assert invite["Replaces"].endswith(value.partition(";")[2])
    bob.answer(invite, 481)
    call.acknowledge(alice.hears(481))
    bob.hears("ACK")
