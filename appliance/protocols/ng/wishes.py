"""What has been read of an NG dictionary so far, and the two row types of the tables that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import SdesOptions
from appliance.protocols.ng.value import Value

SETS, LISTS = ("strip", "mask", "consume", "accept", "exempt"), ("offer", "order", "transcode")  # of CodecWishes
MAX_WORDS = 512  # words taken from one value; more is no honest configuration

NO_TRANSCODING = "media is relayed as it is"  # why keys and words are not to be had
NO_RECORDING = "recording"
NO_DTMF = "DTMF is relayed as it is"


@dataclass(slots=True)
class SdesWishes:
    """Fields of one SdesOptions that differ from the defaults, and the `only-` suites as written."""

    change: dict[str, Any] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)

    def over(self, defaults: SdesOptions) -> SdesOptions:
        """Only unknown names behind `only-`: nothing may be offered, rather than everything."""
        return replace(defaults, **(self.change | ({"suites": tuple(self.only)} if self.only else {})))


@dataclass(slots=True)
class Wishes:
    """Fields of MediaOptions that differ from the defaults, SDES of both sides, codecs; and what is no wish about
    SDP: values of single commands, words nobody here knows, words known but not to be had."""

    templates: Mapping[str, str] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    sdes: SdesWishes = field(default_factory=SdesWishes)
    sdes_from: SdesWishes | None = None
    dtls: dict[str, Any] = field(default_factory=dict)  # fields of DtlsOptions
    dtls_from: dict[str, Any] = field(default_factory=dict)
    codecs: dict[str, list[str]] = field(default_factory=dict)
    directions: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    depth: int = 0  # templates that name templates

    def codec_wishes(self, defaults: CodecWishes) -> CodecWishes:
        """The words about codecs over `defaults`."""
        named = self.codecs
        change: dict[str, Any] = {name: frozenset(named[name]) for name in SETS if name in named}
        change |= {name: tuple(named[name]) for name in LISTS if name in named}
        return replace(defaults, **change)


class Done(StrEnum):
    """What becomes of a key or word; the reference says it in these words."""

    YES = "yes"
    ALWAYS = "always so"  # nothing to switch: the gateway behaves like that anyway
    IGNORED = "ignored"  # means nothing here, and nobody is worse off
    NO = "not available"  # answered with a warning


class Key(NamedTuple):
    """A row of KEYS: how the value is read, and a line for the reference."""

    read: Callable[[Wishes, str, Value], None]
    help: str
    done: Done = Done.YES


class Word(NamedTuple):
    """A row of WORDS: what a bare word changes."""

    act: Callable[[Wishes], None]
    help: str
    done: Done = Done.YES


def normal(word: str) -> str:
    """rtpengine takes a space, hyphen or underscore, upper or lower case, for the same."""
    return word.strip().lower().replace(" ", "-").replace("_", "-")


def words(value: Value) -> list[str]:
    """A list as it is; a string as its words (rtpengine's separator is the comma, Kamailio's the space); an integer
    as its decimal text; anything else is nothing."""
    if isinstance(value, str):
        return value.replace(",", " ").split()[:MAX_WORDS]
    if isinstance(value, int):
        return [str(int(value))]
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [item for item in list(value)[:MAX_WORDS] if isinstance(item, str)]
    return []


def number(value: Value) -> int | None:
    """An integer, or its decimal text of at most nine digits."""
    if isinstance(value, int):
        return int(value)
    text = value.strip() if isinstance(value, str) else ""
    digits = text[1:] if text.startswith("-") else text
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else None
