"""The words of NG's SDES list (SDES-20 ...), about the a=crypto lines towards the other side (`SDES`) or of the side
that sent the SDP (`SDES-from`, ours)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.calls.media import RocPolicy
from appliance.policy.options import MOST_MKI_KEYS, Choice, Spelling
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import SdesWishes, Wishes, words
from appliance.protocols.srtp import suites


def sdes(wishes: Wishes, key: str, value: Value) -> None:
    """Words about the lines that we write. Kamailio's rtpengine module puts every flag that begins with `SDES-` into
    this list, also the `SDES-from-` ones."""
    for word in words(value):
        if word.lower().startswith("from-"):
            sdes_from(wishes, key, word[len("from-") :])
        elif not _word(wishes.sdes, word):
            wishes.unknown.append(f"SDES-{word}")


def sdes_from(wishes: Wishes, key: str, value: Value) -> None:
    """The same words about the side that sent this SDP (its trunk's quirks)."""
    wishes.sdes_from = wishes.sdes_from or SdesWishes()
    wishes.unknown += [f"SDES-from-{word}" for word in words(value) if not _word(wishes.sdes_from, word)]


def _word(wishes: SdesWishes, word: str) -> bool:
    """False when it, or a suite in it, is unknown."""
    name = word.lower().replace("-", "_")
    if name in SDES_WORDS:
        wishes.change.update(SDES_WORDS[name])
        return True
    for prefix, listed in SDES_LISTS.items():
        if name.startswith(prefix):
            names = [suite for suite in word[len(prefix) :].split(";") if suite]
            listed(wishes, names)
            return all(map(suites.find, names))
    return False


def _only(wishes: SdesWishes, names: list[str]) -> None:
    wishes.only += [suite.name if (suite := suites.find(name)) else name for name in names]


def _without(wishes: SdesWishes, names: list[str]) -> None:
    wishes.change["without"] = wishes.change.get("without", frozenset()) | frozenset(_known(names))


def _order(name: str) -> Callable[[SdesWishes, list[str]], None]:
    def listed(wishes: SdesWishes, names: list[str]) -> None:
        wishes.change[name] = (*wishes.change.get(name, ()), *_known(names))

    return listed


def _known(names: list[str]) -> list[str]:
    return [suite.name for name in names if (suite := suites.find(name))]


SDES_WORDS: dict[str, dict[str, Any]] = {
    "off": {"enabled": False},
    "no": {"enabled": False},
    "disable": {"enabled": False},
    "disabled": {"enabled": False},
    "pad": {"pad": True},
    "nopad": {"pad": False},
    "no_pad": {"pad": False},
    "lifetime": {"lifetime_log2": 31},
    "nonew": {"nonew": True},
    "static": {"static": True},
    "prefer": {"preferred": True},
    "priority": {"preferred": True},
    "unencrypted_srtp": {"unencrypted_srtp": True},
    "unencrypted_srtcp": {"unencrypted_srtcp": True},
    "unauthenticated_srtp": {"unauthenticated_srtp": True},
    "encrypted_srtp": {"unencrypted_srtp": False},
    "encrypted_srtcp": {"unencrypted_srtcp": False},
    "authenticated_srtp": {"unauthenticated_srtp": False},
    "liberal_lifetime": {"liberal_lifetime": True},  # from here on ours
    "choice_strongest": {"choice": Choice.STRONGEST},
    "choice_offerer": {"choice": Choice.OFFERER},
    "spelling_rfc": {"spelling": Spelling.RFC},
    "spelling_alias": {"spelling": Spelling.ALIAS},
    "srtcp_tag_as_srtp": {"srtcp_tag_as_srtp": True},
    "legacy_192": {"legacy_192": True},
    "gcm8_answered_as_gcm": {"gcm8_answered_as_gcm": True},
    "over_cleartext": {"over_cleartext": True},
    **{f"roc_{policy}": {"roc": policy} for policy in RocPolicy},
    **{f"lifetime_{power}": {"lifetime_log2": power} for power in range(1, 49)},
    **{f"lifetime_floor_{power}": {"lifetime_floor_log2": power} for power in range(1, 49)},
    **{f"mki_{count}": {"mki_keys": count} for count in range(MOST_MKI_KEYS + 1)},
}
SDES_LISTS = {
    "only_": _only,
    "no_": _without,
    "order:": _order("order"),
    "offerer_pref:": _order("offerer_preference"),
}
