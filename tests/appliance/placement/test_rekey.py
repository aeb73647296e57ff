"""Keys that change in mid-call: which slot holds which, and what is commanded (C06, C13, C14, SDES-21, SR-15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from appliance.calls.media import (
    Address,
    ContextSpec,
    LegMedia,
    LocalPorts,
    MasterKey,
    RocPolicy,
    StreamMedia,
    StreamPlacement,
)
from appliance.errors import InvalidRequest
from appliance.placement.desired import desired
from appliance.placement.desired_contexts import CHAINS, CRYPTOS, SENDERS, assign_cryptos, contexts
from appliance.placement.desired_state import NOTHING, Desired, diff
from appliance.placement.placed import PlacedStream
from kernels.control.commands import MOVE_CRYPTOS, AddKey, Command, InstallCrypto, InstallFlow, RemoveKey, SelectKey


def master(number: int, mki: bytes = b"", lifetime: int = 0) -> MasterKey:
    return MasterKey(bytes([number]) * 16, bytes([number]) * 14, mki, lifetime)


def spec(*numbers: int, mki: bool = False, sending: bytes = b"", **changes: object) -> ContextSpec:
    keys = tuple(master(number, bytes([number]) if mki else b"") for number in numbers)
    return ContextSpec("AES_CM_128_HMAC_SHA1_80", keys, sending_mki=sending, **changes)  # type: ignore[arg-type]


def media(receive: ContextSpec, *also: ContextSpec, send: ContextSpec | None = None) -> StreamMedia:
    leg = LegMedia("wan", secure=True, mux=True, receive=receive, receive_also=also, send=send or spec(100))
    return StreamMedia("audio", LegMedia("lan", Address("10.0.0.1", 4000), mux=True), leg)


class Worker:
    """Slots and what they hold, as the reconciler goes through changes."""

    def __init__(self) -> None:
        ports = StreamPlacement(0, LocalPorts("127.0.0.1", 30000, 30001), LocalPorts("127.0.0.1", 30002, 30003))
        self.placed = PlacedStream(ports, "lan", "wan", {"a_rtp": 1, "b_rtp": 3})
        self.installed: Desired = NOTHING
        self.take: Callable[[], int] = count(10).__next__

    def become(self, wanted: StreamMedia) -> list[Command]:
        self.placed.cryptos = assign_cryptos(wanted, self.placed.cryptos, self.installed.cryptos, self.take)
        state = desired(wanted, self.placed)
        commands = diff(self.installed, state)
        self.installed = state
        self.placed.cryptos = {name: slot for name, slot in self.placed.cryptos.items() if slot in state.cryptos}
        return commands

    @property
    def slots(self) -> dict[str, int]:
        return {name.removeprefix("b_"): slot for name, slot in self.placed.cryptos.items()}


def said(commands: list[Command]) -> list[str]:
    return [f"{type(command).__name__} {command.slot}" for command in commands if hasattr(command, "slot")]


def test_overlap_and_its_end() -> None:
    """C13, SDES-21: the old key keeps its slot and with it ROC, windows and counts; the new one goes in front."""
    worker = Worker()
    worker.become(media(spec(1)))
    assert worker.slots == {"receive": 10, "send": 11}
    commands = worker.become(media(spec(2), spec(1)))
    assert worker.slots == {"receive": 12, "receive_also0": 10, "send": 11}
    assert said(commands) == ["InstallCrypto 12", "InstallFlow 3"]
    install, flow = commands
    assert isinstance(install, InstallCrypto) and isinstance(flow, InstallFlow)
    assert (install.also, flow.receive, flow.send) == (10, 12, 11)
    commands = worker.become(media(spec(2)))
    assert worker.slots == {"receive": 12, "send": 11}
    assert said(commands) == ["InstallCrypto 12", "RemoveCrypto 10"]
    assert isinstance(commands[0], InstallCrypto) and commands[0].also is None


def test_offered_lines_and_their_answer() -> None:
    """SDES-19: what was received with the offered key before the answer is known after it."""
    worker = Worker()
    worker.become(media(spec(1)))
    worker.become(media(spec(1), spec(2), spec(3)))
    assert worker.slots == {"receive": 10, "receive_also0": 12, "receive_also1": 13, "send": 11}
    commands = worker.become(media(spec(3), spec(1)))
    assert worker.slots == {"receive": 13, "receive_also0": 10, "send": 11}
    assert said(commands) == ["InstallCrypto 10", "InstallCrypto 13", "InstallFlow 3", "RemoveCrypto 12"]


def test_rekey_without_overlap_takes_the_same_slot() -> None:
    """The engine knows by the ROC policy what goes on."""
    worker = Worker()
    worker.become(media(spec(1)))
    assert said(worker.become(media(spec(2)))) == ["InstallCrypto 10"]


def test_back_to_the_key_before() -> None:
    """A re-INVITE that is withdrawn: the old key, as if nothing had been."""
    worker = Worker()
    worker.become(media(spec(1)))
    worker.become(media(spec(2), spec(1)))
    assert said(worker.become(media(spec(1)))) == ["InstallFlow 3", "RemoveCrypto 12"]
    assert worker.slots == {"receive": 10, "send": 11}


def test_rekeys_faster_than_the_grace() -> None:
    """Three keys alive; the fourth takes the place of the oldest."""
    worker = Worker()
    worker.become(media(spec(1)))
    worker.become(media(spec(2), spec(1)))
    worker.become(media(spec(3), spec(2), spec(1)))
    assert worker.slots == {"receive": 13, "receive_also0": 12, "receive_also1": 10, "send": 11}
    commands = worker.become(media(spec(4), spec(3), spec(2), spec(1)))
    assert worker.slots == {"receive": 10, "receive_also0": 13, "receive_also1": 12, "send": 11}
    assert [c.also for c in commands if isinstance(c, InstallCrypto)] == [None, 13]


def test_the_same_key_twice_is_one_context() -> None:
    assert list(contexts(media(spec(1), spec(1), spec(2)))) == ["b_receive", "b_receive_also0", "b_send"]


def test_also_without_a_key_in_front_is_nothing() -> None:
    leg = LegMedia("wan", secure=True, mux=True, receive_also=(spec(1),))
    assert contexts(StreamMedia("audio", LegMedia("lan", mux=True), leg)) == {}


def test_it_all_again_changes_nothing() -> None:
    """A restarted control process commands everything once more: alternatives first, so that links find their end."""
    worker = Worker()
    worker.become(media(spec(1)))
    worker.become(media(spec(3), spec(2), spec(1)))
    installs = [c for c in diff(NOTHING, worker.installed) if isinstance(c, InstallCrypto) and not c.send]
    assert [(c.slot, c.also) for c in installs] == [(10, None), (13, 10), (12, 13)]
    assert diff(worker.installed, worker.installed) == []


def test_every_name_has_its_place_in_a_move() -> None:
    """All that a leg has without RTCP keys of its own fits a transfer record."""
    assert sorted(CRYPTOS) == sorted([*SENDERS, *(name for chain in CHAINS for name in chain)])
    assert len(set(CRYPTOS)) == len(CRYPTOS)
    assert [name for name in CRYPTOS[:MOVE_CRYPTOS] if "rtcp" in name] == []


# --- several master keys (C06, SR-15) ------------------------------------------------------------------------------


def key_commands(before: ContextSpec, after: ContextSpec, send: bool = True) -> list[str]:
    worker = Worker()
    worker.become(media(spec(1), send=before) if send else media(before))
    out = []
    for command in worker.become(media(spec(1), send=after) if send else media(after)):
        mki = command.mki if isinstance(command, SelectKey | RemoveKey) else b""
        key = command.key if isinstance(command, AddKey | InstallCrypto) else None
        out.append(f"{type(command).__name__} {(mki or key.mki if key else mki).hex()}")
    return out


KEY_CASES = {
    "switch": (spec(1, 2, mki=True), spec(1, 2, mki=True, sending=b"\2"), ["SelectKey 02"]),
    "switch back": (spec(1, 2, mki=True, sending=b"\2"), spec(1, 2, mki=True), ["SelectKey 01"]),
    "add": (spec(1, mki=True), spec(1, 2, mki=True), ["AddKey 02"]),
    "add and switch": (spec(1, mki=True), spec(1, 2, mki=True, sending=b"\2"), ["AddKey 02", "SelectKey 02"]),
    "remove": (spec(1, 2, 3, mki=True), spec(1, 3, mki=True), ["RemoveKey 02"]),
    "remove the sending one": (
        spec(1, 2, mki=True, sending=b"\2"), spec(1, mki=True), ["SelectKey 01", "RemoveKey 02"],
    ),
    "roll": (
        spec(1, 2, mki=True, sending=b"\1"), spec(2, 3, mki=True, sending=b"\2"),
        ["SelectKey 02", "RemoveKey 01", "AddKey 03"],
    ),
    "roll to the new one": (
        spec(1, 2, mki=True, sending=b"\1"), spec(2, 3, mki=True, sending=b"\3"),
        ["SelectKey 02", "RemoveKey 01", "AddKey 03", "SelectKey 03"],
    ),
    "other order": (spec(1, 2, mki=True, sending=b"\1"), spec(2, 1, mki=True, sending=b"\1"), []),
    "all new": (
        spec(1, 2, mki=True), spec(3, 4, mki=True, sending=b"\4"),
        ["InstallCrypto 03", "AddKey 04", "SelectKey 04"],
    ),
    "window": (
        spec(1, 2, mki=True), spec(1, 2, mki=True, window=512), ["InstallCrypto 01"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "commands"), KEY_CASES.values(), ids=KEY_CASES)
def test_keys_come_and_go_one_by_one(before: ContextSpec, after: ContextSpec, commands: list[str]) -> None:
    assert key_commands(before, after) == commands


def test_a_receiver_needs_no_selection() -> None:
    assert key_commands(spec(1, 2, mki=True), spec(2, 3, mki=True), send=False) == ["RemoveKey 01", "AddKey 03"]


def test_another_mki_for_the_same_key_is_a_key_that_goes_and_one_that_comes() -> None:
    """RemoveKey before AddKey: the MKI is free by then."""
    before, after = spec(1, 2, mki=True), spec(1, mki=True)
    after = replace(after, keys=(*after.keys, master(3, b"\2")))
    assert key_commands(before, after, send=False) == ["RemoveKey 02", "AddKey 02"]


def test_another_lifetime_keeps_the_count() -> None:
    """C05: the key is not removed for it: packets under it must not be forgotten."""
    before = spec(1, 2, mki=True)
    after = replace(before, keys=(before.keys[0], master(2, b"\2", lifetime=1000)))
    assert key_commands(before, after) == ["AddKey 02"]
    plain = replace(spec(1), keys=(master(1, lifetime=1000),))
    assert key_commands(spec(1), plain) == ["InstallCrypto "]


@pytest.mark.parametrize(
    "wrong",
    [
        spec(1, 2),  # nothing tells them apart
        replace(spec(1), keys=(master(1, b"\1"), master(2, b"\1"))),
        replace(spec(1), keys=(master(1, b"\1"), master(2, b"\0\2"))),
        spec(1, 2, mki=True, sending=b"\3"),
        replace(spec(1), keys=()),
    ],
)
def test_keys_that_do_not_belong_together(wrong: ContextSpec) -> None:
    with pytest.raises(InvalidRequest):
        Worker().become(media(wrong))


# --- what else a context says --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", RocPolicy)
def test_roc_policy(policy: RocPolicy) -> None:
    """C13: of the trunk, for both directions."""
    worker = Worker()
    commands = worker.become(media(spec(1, roc=policy), send=spec(2, roc=policy)))
    assert [c.roc for c in commands if isinstance(c, InstallCrypto)] == [policy.value] * 2


def test_legacy_192_is_for_suites_of_24_octets() -> None:
    """key-management.md 6, trap 1: a trunk's switch says nothing of its other suites."""
    long = ContextSpec("AES_192_CM_HMAC_SHA1_80", (MasterKey(bytes(24), bytes(14)),), legacy_192=True)
    commands = Worker().become(media(long, send=spec(2, legacy_192=True)))
    assert [c.legacy_192 for c in commands if isinstance(c, InstallCrypto)] == [True, False]


@pytest.mark.parametrize(
    ("suite", "octets", "rtp"),
    [("AES_CM_128_HMAC_SHA1_80", 16, 1 << 48), ("AES_256_CM_HMAC_SHA1_80", 32, 1 << 31)],
)
def test_a_lifetime_that_nobody_gave_is_the_suites(suite: str, octets: int, rtp: int) -> None:
    """SR-14, A17: 2^31 for the suites of RFC 6188 by the table, where the engine would take 2^48."""
    given = MasterKey(bytes(octets), bytes(14), b"", 77, 66)
    for key, wanted in ((replace(given, rtp_lifetime=0, rtcp_lifetime=0), (rtp, 1 << 31)), (given, (77, 66))):
        (install, *_) = Worker().become(media(ContextSpec(suite, (key,))))
        assert isinstance(install, InstallCrypto)
        assert (install.key.rtp_lifetime, install.key.rtcp_lifetime) == wanted
