"""NG's codec words, on codec names alone (peers.md 1.2 `codec`, row I08)."""

from __future__ import annotations

import pytest

from appliance.policy.codec_wishes import CodecWishes

CODECS = ["opus/48000/2", "g722/8000", "pcma/8000", "telephone-event/8000", "cn/8000"]


@pytest.mark.parametrize(
    ("wishes", "kept"),
    [
        (CodecWishes(), [0, 1, 2, 3, 4]),
        (CodecWishes(strip=frozenset({"opus"})), [1, 2, 3, 4]),
        (CodecWishes(strip=frozenset({"opus/48000"})), [1, 2, 3, 4]),
        (CodecWishes(strip=frozenset({"opus/16000"})), [0, 1, 2, 3, 4]),
        (CodecWishes(strip=frozenset({"op"})), [0, 1, 2, 3, 4]),
        (CodecWishes(mask=frozenset({"PCMA"})), [0, 1, 3, 4]),
        (CodecWishes(strip=frozenset({"all"}), exempt=frozenset({"G722"})), [1, 3, 4]),
        (CodecWishes(strip=frozenset({"full", "CN"}), offer=("PCMA", "G722")), [2, 1, 3]),
        (CodecWishes(strip=frozenset({"PCMA"}), exempt=frozenset({"PCMA"})), [0, 1, 2, 3, 4]),
        (CodecWishes(order=("pcma", "nothing", "opus")), [2, 0, 1, 3, 4]),
        (CodecWishes(strip=frozenset({"all"})), []),
    ],
)
def test_choice(wishes: CodecWishes, kept: list[int]) -> None:
    """telephone-event and comfort noise are touched by name only, and nothing is left where only they would be."""
    assert wishes.choose(CODECS) == kept


def test_empty_wishes_are_false() -> None:
    """An `exempt` alone takes nothing away."""
    assert not CodecWishes(exempt=frozenset({"opus"}))
    assert CodecWishes(order=("opus",))
