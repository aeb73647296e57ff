"""The file of keys that an operator may ask for (C11): what is in it, and that it is private."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from appliance.calls.keying_log import Keyed, contexts
from appliance.calls.media import ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import AnswerRequest, OfferRequest
from appliance.protocols.sdes.crypto import parse
from appliance.telemetry.key_log import KeyLog, UnsafeKeyLog
from tests.appliance.calls.test_service import PLAIN, SECURE, answer_to
from tests.appliance.rig import OFFER, Rig

KEY = MasterKey(bytes(range(16)), bytes(range(14)), b"\2", 1 << 31)
SPEC = ContextSpec("AES_CM_128_HMAC_SHA1_80", (KEY,))


def test_a_line_is_a_crypto_value(tmp_path: Path) -> None:
    """C11: full keys, in the form that tools take; a Call-ID cannot forge a line."""
    path = tmp_path / "keys.log"
    log = KeyLog(path, clock=lambda: 1000.5)
    log.write('c1"\n{', Keyed("0 audio", "b", "local", SPEC, rekeyed=False))
    log.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (line,) = path.read_text().splitlines()
    record = json.loads(line)
    crypto = parse(record.pop("crypto"))
    assert (crypto.spelling, crypto.keys[0].material, crypto.keys[0].mki) == (SPEC.suite, KEY.key + KEY.salt, b"\2")
    assert record == {"time": 1000.5, "call": 'c1"\n{', "stream": "0 audio", "leg": "b", "direction": "local"}


def test_it_grows_and_never_starts_anew(tmp_path: Path) -> None:
    for _ in range(2):
        log = KeyLog(tmp_path / "keys.log")
        log.write("c", Keyed("0 audio", "a", "remote", SPEC, rekeyed=True))
        log.close()
    assert len((tmp_path / "keys.log").read_text().splitlines()) == 2


@pytest.mark.parametrize("kind", ["readable", "link", "fifo", "directory"])
def test_a_file_that_is_not_private_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "keys.log"
    if kind == "readable":
        path.touch(0o644)
        path.chmod(0o644)
    elif kind == "link":
        (tmp_path / "target").touch(0o600)
        path.symlink_to(tmp_path / "target")
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir()
    with pytest.raises(OSError) as refused:
        KeyLog(path)
    assert kind != "readable" or isinstance(refused.value, UnsafeKeyLog)


async def test_a_call_writes_each_context_once(tmp_path: Path) -> None:
    """C11: both directions of the secured leg; a re-offer that changes no key writes nothing."""
    rig = Rig()
    told: list[tuple[str, Keyed]] = []
    rig.calls._key_log = lambda call, keyed: told.append((call, keyed))
    offered = (await rig.calls.offer(OfferRequest("c1", "a", OFFER, SECURE))).sdp
    answer = answer_to(offered)
    for _ in range(2):
        await rig.calls.answer(AnswerRequest("c1", "a", "b", answer, PLAIN))
    assert [(call, keyed.leg, keyed.direction) for call, keyed in told] == [("c1", "b", "local"), ("c1", "b", "remote")]


def test_only_new_keys() -> None:
    leg = LegMedia("default", send=SPEC)
    stream = StreamMedia("audio", leg, LegMedia("default"))
    assert [one.rekeyed for one in contexts({}, {0: stream})] == [False]
    assert list(contexts({0: stream}, {0: stream})) == []
