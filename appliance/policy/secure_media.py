"""FreeSWITCH's policy words for media security (spec/mission.md section H): `rtp_secure_media` and its companions.

A value is `MODE` or `MODE<sep>SUITE<sep>SUITE...`; the separators `,` `:` and `|` are all in the field and may be
mixed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from appliance.protocols.srtp import suites


class ConfigError(ValueError):
    """A policy value in the configuration is wrong; the message names the word (a mistake of the operator's, not of a
    peer's)."""


class Mode(StrEnum):
    """How much a leg insists on SRTP."""

    MANDATORY = "mandatory"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class SecureMedia:
    """What one leg's policy says: the mode, and the suites in order of preference (canonical names; empty: the
    built-in order)."""

    mode: Mode
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrunkPolicy:
    """Both directions of one trunk: `inbound` judges offers that arrive from it, `outbound` shapes offers sent to
    it."""

    inbound: SecureMedia
    outbound: SecureMedia


WORDS = {
    **dict.fromkeys(("mandatory", "true", "yes", "on", "1"), Mode.MANDATORY),
    "optional": Mode.OPTIONAL,
    **dict.fromkeys(("forbidden", "false", "no", "off", "0"), Mode.FORBIDDEN),
}

_SEPARATOR = re.compile(r"\s*[,:|]\s*")


def parse(value: str) -> SecureMedia:
    """One value of `rtp_secure_media`, `..._inbound` or `..._outbound` (H01-H08). ConfigError names the word not
    understood."""
    word, *names = _SEPARATOR.split(value.strip())
    mode = WORDS.get(word.lower())
    if mode is None:
        raise ConfigError(f"rtp_secure_media: unknown mode {word!r}; one of {', '.join(WORDS)}")
    return SecureMedia(mode, _canonical(names, "rtp_secure_media"))


def parse_suites(value: str) -> tuple[str, ...]:
    """A bare suite list (`rtp_secure_media_suites`, `rtp_sdes_suites`; H10, H13), canonical names in the order
    written."""
    return _canonical(_SEPARATOR.split(value.strip()), "rtp_secure_media_suites") if value.strip() else ()


def resolve(common: str = "", inbound: str = "", outbound: str = "", suite_list: str = "") -> TrunkPolicy:
    """A trunk's four settings to its policy. The direction's own value wins over the common one (H07); nothing set
    means: take SAVP if it is offered, offer plain (H06); a list appended to the mode wins over `suite_list` (H10)."""
    listed = parse_suites(suite_list)
    return TrunkPolicy(
        _direction(inbound or common, Mode.OPTIONAL, listed),
        _direction(outbound or common, Mode.FORBIDDEN, listed),
    )


def _direction(value: str, unset: Mode, listed: tuple[str, ...]) -> SecureMedia:
    chosen = parse(value) if value.strip() else SecureMedia(unset)
    if chosen.mode is Mode.FORBIDDEN:
        return SecureMedia(Mode.FORBIDDEN)
    return chosen if chosen.suites else SecureMedia(chosen.mode, listed)


def _canonical(names: list[str], setting: str) -> tuple[str, ...]:
    """Canonical suite names without repeats. An unknown or empty name is an error, never skipped (FreeSWITCH skips:
    #920, #1251)."""
    found: dict[str, None] = {}
    for name in names:
        suite = suites.find(name)
        if suite is None:
            raise ConfigError(f"{setting}: unknown crypto suite {name!r}")
        found[suite.name] = None
    return tuple(found)
