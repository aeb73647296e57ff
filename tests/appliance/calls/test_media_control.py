"""Block and echo by party, on a fake media plane: what is commanded, how long it holds, whom it concerns."""

from __future__ import annotations

import pytest

from appliance.calls import persistence
from appliance.calls.media import LegMedia
from appliance.calls.views import Party
from appliance.errors import UnknownCall
from tests.appliance.calls.test_service import answer, offer, up
from tests.appliance.rig import Rig


def legs(rig: Rig) -> tuple[LegMedia, LegMedia]:
    call = rig.calls.ledger.registry.get("c1")
    assert call is not None
    (media,) = call.branches[0].media.values()
    return media.a, media.b


@pytest.mark.parametrize(
    ("party", "blocked"),
    [
        (Party(), (True, True)),
        (Party(tag="a"), (True, False)),
        (Party(tag="b"), (False, True)),
        (Party(address="127.0.0.1"), (True, True)),
    ],
)
async def test_block_concerns_the_party_meant(party: Party, blocked: tuple[bool, bool]) -> None:
    """peers 1.1 "block media": by tag, by media address, or the whole call; unblock takes it back."""
    rig = Rig()
    await up(rig)
    await rig.calls.control.block_media("c1", party)
    assert tuple(leg.blocked for leg in legs(rig)) == blocked
    await rig.calls.control.unblock_media("c1", party)
    assert tuple(leg.blocked for leg in legs(rig)) == (False, False)
    rig.stop()


@pytest.mark.parametrize("party", [Party(tag="x"), Party(address="192.0.2.9"), Party(label="other")])
async def test_nobody_meant_is_an_error(party: Party) -> None:
    rig = Rig()
    await up(rig)
    with pytest.raises(UnknownCall):
        await rig.calls.control.block_media("c1", party)
    with pytest.raises(UnknownCall):
        await rig.calls.control.echo_media("nobody", Party())
    rig.stop()


async def test_a_re_offer_and_a_restart_do_not_unblock() -> None:
    """What was asked for a party holds for later offers too, and for the control process that adopts the call."""
    rig = Rig()
    await up(rig)
    await rig.calls.control.block_media("c1", Party(tag="a"))
    await rig.calls.control.echo_media("c1", Party(tag="b"))
    await answer(rig, await offer(rig))
    a, b = legs(rig)
    assert (a.blocked, a.echo, b.blocked, b.echo) == (True, False, False, True)
    again = persistence.from_record("c1", rig.store.records["c1"], lambda n: bytes(n))
    assert again.branches[0].treatments["a"].blocked
    assert again.branches[0].treatments["b"].echo
    await rig.calls.control.echo_media("c1", Party(tag="b"), echo=False)
    assert not legs(rig)[1].echo
    rig.stop()
