"""An NG dictionary to MediaOptions: every spelling rtpengine takes ("transport-protocol", "transport protocol", flag
words in `flags` and, of newer Kamailios, in the one string `rtpp-flags`). Words not understood are collected in
`unknown`, words understood but not to be had in `unavailable`; neither is ever fatal.

Two tables: KEYS (`flag_keys`) says what a dictionary key does, WORDS (`flag_words`) what a bare word in `flags` does.
A word `PREFIX-rest` is the key PREFIX with the value `rest` (rtpengine's own rule: `SDES-pad`, `replace-origin`,
`rtcp-mux-demux`). docs/ng.md is made of them (`reference.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from appliance.policy.options import DtlsOptions, MediaOptions
from appliance.protocols.ng import flag_keys
from appliance.protocols.ng.flag_keys import ALIASES, ENVELOPE, PREFIXES
from appliance.protocols.ng.flag_words import WORDS
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import MAX_WORDS, Key, Wishes, normal, words

MOST_NESTED = 4  # templates inside templates

_TOKEN = re.compile(r"([^\s=\[\]]+)(?:=(?:\[([^\[\]]*)\]|(\S*)))?")  # no "[" in a list: many open ones stay linear


@dataclass(frozen=True, slots=True)
class Asked:
    """One message: the wishes about SDP, and the values that belong to single commands (`delete-delay`, ...). Shared
    between messages of the same words."""

    options: MediaOptions
    values: Mapping[str, list[str]] = field(default_factory=dict)

    def value(self, key: str) -> str:
        """First word behind a key; "" without one."""
        return next(iter(self.values.get(key, ())), "")


def read(body: Mapping[str, Value], defaults: MediaOptions | None = None) -> MediaOptions:
    """The wishes about SDP alone, without templates."""
    return interpret(body, defaults).options


def interpret(
    body: Mapping[str, Value],
    defaults: MediaOptions | None = None,
    templates: Mapping[str, str] | None = None,
    first: tuple[str, ...] = (),
) -> Asked:
    """The wishes of a message laid over `defaults`. Never raises. As in rtpengine nothing of the session part is
    replaced unless `replace` says so. `templates`: named flag strings, of which those of `first` are read before the
    message's own words, if they are there."""
    defaults = defaults or MediaOptions()
    wishes = Wishes(templates=templates or {})
    wishes.media["replace"] = frozenset()
    for name in first:
        if name in wishes.templates:
            _template(wishes, "template", name)
    for key, value in body.items():
        _key(wishes, normal(key), value)
    theirs = defaults.sdes_from
    if wishes.sdes_from is not None:
        theirs = wishes.sdes_from.over(theirs or defaults.sdes)
    options = replace(
        defaults,
        **wishes.media,
        sdes=wishes.sdes.over(defaults.sdes),
        sdes_from=theirs,
        dtls=replace(defaults.dtls, **wishes.dtls),
        dtls_from=replace(defaults.dtls_from or DtlsOptions(), **wishes.dtls_from)
        if wishes.dtls_from
        else defaults.dtls_from,
        codecs=wishes.codec_wishes(defaults.codecs),
        flags=frozenset(wishes.flags),
        unknown=tuple(wishes.unknown[:MAX_WORDS]),
        unavailable=tuple(wishes.unavailable[:MAX_WORDS]),
    )
    return Asked(options, wishes.values)


def _key(wishes: Wishes, key: str, value: Value) -> None:
    row = KEYS.get(key)
    if row is not None:
        row.read(wishes, key, value)
    elif key not in ENVELOPE:
        wishes.unknown.append(key)


def _flag(wishes: Wishes, word: str) -> None:
    """One entry of `flags`."""
    name = normal(word)
    row = WORDS.get(name)
    if row is not None:
        row.act(wishes)
        wishes.flags.add(name)
        return
    for prefix in PREFIXES:
        if name.startswith(prefix + "-") and len(name) > len(prefix) + 1:
            KEYS[prefix].read(wishes, prefix, [word.strip()[len(prefix) + 1 :]])
            return
    wishes.unknown.append(word)


def _flags(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        name, equals, rest = word.partition("=")
        if equals:
            _key(wishes, normal(name), rest)
        else:
            _flag(wishes, word)


def _flag_string(wishes: Wishes, key: str, value: Value) -> None:
    """Kamailio's `rtpp-flags`: its whole command line, `word key=value key=[value value]`."""
    if not isinstance(value, str):
        return
    for found in islice(_TOKEN.finditer(value), MAX_WORDS):
        name, many, one = found.groups()
        if many is not None:
            _key(wishes, normal(name), many.split())
        elif one is not None:
            _key(wishes, normal(name), one)
        elif "/" in name and name.upper().startswith(("RTP/", "UDP/")):
            wishes.media["transport_protocol"] = name.upper()
        else:
            _flag(wishes, name)


def _template(wishes: Wishes, key: str, value: Value) -> None:
    """A named set of flags of the settings ([ng.templates])."""
    for name in words(value):
        if name not in wishes.templates or wishes.depth >= MOST_NESTED:
            wishes.unknown.append(f"template={name}")
            continue
        wishes.depth += 1
        _flag_string(wishes, key, wishes.templates[name])
        wishes.depth -= 1


KEYS: dict[str, Key] = {
    "flags": Key(_flags, "list of words, see below"),
    "rtpp-flags": Key(_flag_string, "the same as one string, as newer Kamailios send it"),
    "template": Key(_template, "a named flag string of `[ng.templates]`"),
    **flag_keys.KEYS,
}

__all__ = ["ALIASES", "ENVELOPE", "KEYS", "PREFIXES", "WORDS", "Asked", "interpret", "read"]
