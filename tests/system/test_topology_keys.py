"""Row K05: one key on two edges, and a key that is changed while calls are up."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sip_edge import mask_keys
from appliance.sip_edge.ksr.rules.masking import Mask
from tests.system import kamailio_rig
from tests.system.kamailio_rig import Edge
from tests.system.lab import wait_for
from tests.system.parties import ACCESS, CORE, Dialog, Party
from tests.system.two_sides import Place, anew, done, parties, running, up

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("K04", "K05")]

PORT = 32420


@pytest.fixture
def both(sip_programs: None) -> Iterator[tuple[Party, Party]]:
    with parties(PORT + 4, PORT) as made_up:
        yield made_up


def key(path: Path) -> Path:
    path.write_text(secrets.token_hex(24))
    path.chmod(0o600)
    return path


def test_a_restart_in_mid_call(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """With a key that nobody set: it lies in the state directory, for its owner alone, and is not said anywhere."""
    alice, bob = both
    at = Place(PORT)
    with running(tmp_path / "edge", at, alice, bob) as edge:
        _, back = up(alice, bob)
        edge.stop(signal.SIGKILL)
        anew(edge, tmp_path / "edge", at, alice, bob)
        path = tmp_path / "edge" / "state" / "sip" / "mask.key"
        assert path.stat().st_mode & 0o777 == 0o600
        done(bob, alice, back, "BYE")
        assert path.read_text() not in edge.log()


def test_a_changed_key(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """Dialogs that began under the earlier key go on, from both sides, under the Call-ID that each side knows; new ones
    begin under the new key; once the time is over, the earlier key is worth nothing."""
    alice, bob = both
    first, second = key(tmp_path / "first"), key(tmp_path / "second")
    with running(
        tmp_path / "edge", Place(PORT, tables={"sip_topology": {"mask_key_file": str(first)}}), alice, bob
    ) as edge:
        dialogs = [up(alice, bob) for _ in range(4)]
        edge.stop(signal.SIGKILL)
        changed = {"mask_key_file": str(second), "previous_key_file": str(first)}
        at = Place(PORT, tables={"sip_topology": changed})
        anew(edge, tmp_path / "edge", at, alice, bob)
        for hidden in (first, second):
            assert hidden.read_text() not in edge.log()

        assert done(bob, alice, dialogs[0][1], "BYE")["Call-ID"] == dialogs[0][0].call_id
        assert done(alice, bob, dialogs[1][0], "BYE")["Call-ID"] == dialogs[1][1].call_id

        here, there = dialogs[2]  # its Contact is masked anew by a re-INVITE: nothing else says how old it is
        bob.within(there, "INVITE")
        again = alice.hears("INVITE")
        assert Mask(second.read_text()).uri in again["Contact"]
        alice.answer(again, 200)
        assert bob.hears(200)["Call-ID"] == there.call_id
        bob.within(there, "ACK", number=there.number)
        alice.hears("ACK")
        here.target = again["Contact"].strip("<>")
        assert done(alice, bob, here, "INFO")["Call-ID"] == there.call_id

        edge.stop(signal.SIGKILL)  # within the time, once more
        edge.start()
        assert done(alice, bob, here, "BYE")["Call-ID"] == there.call_id

        _, fresh = up(alice, bob)
        assert fresh.call_id.startswith(Mask(second.read_text()).call_id)
        done(bob, alice, fresh, "BYE")

        edge.stop()
        long_ago = time.time() - 100_000
        os.utime(first, (long_ago, long_ago))
        anew(edge, tmp_path / "edge", at, alice, bob)
        bob.within(dialogs[3][1], "BYE")
        assert alice.silent("BYE")


def test_a_key_of_our_own_is_changed(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """As `srtpgw edge rotate-key` does: the edge makes a new one, calls that are up go on, also Kamailio's own BYEs."""
    alice, bob = both
    place, at = tmp_path / "edge", Place(PORT)
    with running(place, at, alice, bob) as edge:
        (here, there), (first, second) = up(alice, bob), up(alice, bob)
        wait_for(lambda: saved(edge) == 2, 5, "dialogs are saved each second")
        edge.stop(signal.SIGKILL)
        mask_keys.rotate(kamailio_rig.settings(place, PORT))
        anew(edge, place, at, alice, bob)
        done(bob, alice, there, "INFO")
        done(alice, bob, here, "BYE")
        edge.rpc("dlg.terminate_dlg", first.call_id, tag(first.local), tag(first.remote))
        for party, dialog in ((alice, first), (bob, second)):
            bye = party.hears("BYE")
            assert bye["Call-ID"] == dialog.call_id
            party.answer(bye, 200)
        _, fresh = up(alice, bob)
        assert not fresh.call_id.startswith(there.call_id[:7])
        done(bob, alice, fresh, "BYE")


def test_a_dialog_that_the_edge_does_not_know(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """Its record is lost with the disk, the key is not: whatever goes on in it, from either side, accepted and refused,
    shows nobody an address of the other side; the tags, which say which dialog it is, stay."""
    alice, bob = both
    path = key(tmp_path / "key")
    at = Place(PORT, tables={"sip_topology": {"mask_key_file": str(path)}})
    with running(tmp_path / "edge", at, alice, bob) as edge:
        here, there = up(alice, bob)
        here.local = here.local.replace("<", f'"Alice of {ACCESS}2" <')
        uri, _, its_tag = there.remote.replace("<", "").replace(">", "").partition(";tag=")
        there.remote = f'"Alice behind {CORE}1" <{uri}>;tag={its_tag}'
        edge.stop(signal.SIGKILL)
        Path(edge.config.database).unlink()
        anew(edge, tmp_path / "edge", at, alice, bob)
        alice.extra = [f"X-Seen-By: {ACCESS}7"]
        bob.extra = [f"X-Seen-By: {CORE}7"]
        for sender, receiver, dialog in ((alice, bob, here), (bob, alice, there)):
            for method, status in (("INFO", 200), ("OPTIONS", 200), ("UPDATE", 200), ("NOTIFY", 481), ("REFER", 202)):
                request = done(sender, receiver, dialog, method, status)
                assert (tag(request["From"]), tag(request["To"])) == (tag(dialog.local), tag(dialog.remote))
            again(sender, receiver, dialog)
        done(bob, alice, there, "BYE")
    for party, hidden in ((alice, CORE), (bob, ACCESS)):
        assert not [message.text for message in party.heard if hidden in message.text]


def again(sender: Party, receiver: Party, dialog: Dialog) -> None:
    """A re-INVITE that is accepted, and one that is refused."""
    for status in (200, 488):
        branch = sender.within(dialog, "INVITE")
        receiver.answer(receiver.hears("INVITE"), status)
        assert sender.hears(status)["From"] == dialog.local
        if status == 200:
            sender.within(dialog, "ACK", number=dialog.number)
        else:
            sender.send(sender.request("ACK", dialog.target, dialog.local, dialog.remote, dialog.call_id,
                                       dialog.number, branch=branch))  # fmt: skip
        receiver.hears("ACK")


def saved(edge: Edge) -> int:
    """Confirmed dialogs that a killed Kamailio would know."""
    with contextlib.closing(sqlite3.connect(edge.config.database)) as database:
        return int(database.execute("SELECT count(*) FROM dialog WHERE state = 4").fetchone()[0])


def tag(header: str) -> str:
    return header.rpartition(";tag=")[2]


def test_two_edges_with_one_key(tmp_path: Path, both: tuple[Party, Party]) -> None:
    """What began at one edge is routed by the other one, which knows the first one's address for its own (aliases)."""
    alice, bob = both
    shared = str(key(tmp_path / "key"))
    one = Place(PORT, 1, {"sip_topology": {"mask_key_file": shared}})
    two = Place(PORT, 11, {"sip_topology": {"mask_key_file": shared, "aliases": one.sockets}})
    with running(tmp_path / "one", one, alice, bob) as first, running(tmp_path / "two", two, alice, bob):
        here, there = up(alice, bob)
        first.stop(signal.SIGKILL)
        for party, network in ((alice, ACCESS), (bob, CORE)):
            party.edge = (f"{network}11", PORT)
        done(alice, bob, here, "INFO")
        bye = done(bob, alice, there, "BYE")
        assert f"sip:alice@{ACCESS}2" in bye["To"]
        for party, hidden in ((alice, CORE), (bob, ACCESS)):  # also of who the parties are, which this edge never knew
            assert not [message.text for message in party.heard if hidden in message.text]
        first.start()
