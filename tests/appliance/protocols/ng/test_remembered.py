"""Words that come again come to what they came to at first (peers 1.1), whatever else stands in the message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.policy.options import MediaOptions, SdesOptions
from appliance.protocols.ng import remembered
from appliance.protocols.ng.flags import interpret
from appliance.protocols.ng.remembered import KINDS, Words

DEFAULTS = MediaOptions(sdes=SdesOptions(window=256))
TEMPLATES = {"default": "trust-address", "offer": "ICE=remove", "answer": "ICE=force"}

keys = st.sampled_from(
    ["flags", "SDES", "ICE", "rtcp mux", "transport_protocol", "label", "tos", "codec", "delete-delay", "call-id",
     "sdp", "from tag", "received-from", "template", "nonsense"]
)  # fmt: skip
atoms = st.sampled_from(["SDES-off", "force", "RTP/SAVP", "offer", "10.0.0.1", "label=x", "", 1, True, 1.0, None])
values = atoms | st.lists(atoms | st.lists(atoms, max_size=2), max_size=3) | st.dictionaries(st.just("strip"), atoms)
bodies = st.lists(st.tuples(keys, values), max_size=6).map(dict)


@given(st.lists(st.tuples(bodies, st.sampled_from(["offer", "answer", "delete"])), min_size=2, max_size=5))
def test_nothing_is_read_in_another_way(messages: list[tuple[dict[str, Any], str]]) -> None:
    words = Words(TEMPLATES)
    for body, command in messages * 2:
        expected = interpret(body, DEFAULTS, TEMPLATES, first=("default", command))
        assert words.read(body, DEFAULTS, command) == expected


def test_the_same_words_are_read_once_for_all_calls() -> None:
    words, common = Words({}), {"flags": ["trust-address", "nonsense"], "ICE": "remove"}
    first = words.read({"call-id": "1", "sdp": "v=0", **common}, DEFAULTS, "offer")
    assert words.read({"call-id": "2", "from-tag": "t", **common}, DEFAULTS, "offer") is first
    assert words.read(common, DEFAULTS, "answer") is not first
    assert words.read(common, MediaOptions(), "offer").options.sdes.window == 128  # other settings


@pytest.mark.parametrize("key", ["received-from", "received from", "received_from"])
def test_a_source_counts_for_its_message_alone(key: str) -> None:
    words = Words({})
    assert words.read({key: ["IP4", "10.0.0.1"]}, DEFAULTS, "offer").options.received_from == "10.0.0.1"
    assert words.read({key: "10.0.0.2"}, DEFAULTS, "offer").options.received_from == "10.0.0.2"
    assert words.read({}, DEFAULTS, "offer").options.received_from == ""


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many kinds of words nor long ones are kept."""
    words = Words({})
    for number in range(2 * KINDS):
        words.read({"label": f"caller {number}"}, DEFAULTS, "offer")
    assert len(words) == KINDS
    words = Words({})
    words.read({"flags": ["x" * remembered.LONGEST]}, DEFAULTS, "offer")
    assert len(words) == 0
