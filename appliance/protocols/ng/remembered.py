"""What the words of a message come to, remembered: a proxy asks for the same few kinds of calls over and over, in the
same words, and reading them is a good part of the cost of a call.

The same words give the same value, so what is derived from options may be remembered by identity too
(`appliance.values.remembered`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from appliance.policy.options import MediaOptions
from appliance.protocols.ng.flag_keys import ENVELOPE
from appliance.protocols.ng.flags import Asked, interpret
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import words
from appliance.values import changed

KINDS = 512  # of calls that are remembered
LONGEST = 4096  # characters of words that are remembered

SOURCE = "received-from"

_APART = {name.replace("-", sign): name for name in (*ENVELOPE, SOURCE) for sign in "- _"}
"""Keys that differ from call to call, by their spellings. SOURCE is a wish, but laid over the others."""

_Words = tuple[str | int | tuple[str, ...], ...]


class Words:
    """Reads messages. `templates` and `first` as in `flags.interpret`."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = templates
        self._known: OrderedDict[_Words, tuple[MediaOptions, Asked]] = OrderedDict()

    def __len__(self) -> int:
        """Kinds of words that are remembered."""
        return len(self._known)

    def read(self, body: Mapping[str, Value], defaults: MediaOptions, command: str) -> Asked:
        """As `flags.interpret`, with the templates "default" and `command` in front. The value is shared: nobody may
        change it. Whoever signals from where (`received-from`) counts whatever a flag string says of it."""
        common: dict[str, Value] = {}
        asking: list[str | int | tuple[str, ...]] = [command]
        source: Value = None
        simple = True
        for key, value in body.items():
            if (apart := _APART.get(key)) is not None:
                source = value if apart == SOURCE else source
                continue
            common[key] = value
            kind = type(value)
            if kind is list:
                asking += (key, tuple(value))  # type: ignore[arg-type]
            elif kind is str or kind is int:
                asking += (key, value)  # type: ignore[arg-type]
            else:
                simple = False
        asked = self._read(tuple(asking), common, defaults, command, simple=simple)
        return asked if source is None else _from(asked, source)

    def _read(
        self, asking: _Words, body: Mapping[str, Value], defaults: MediaOptions, command: str, *, simple: bool
    ) -> Asked:
        try:
            known = self._known.get(asking) if simple else None
        except TypeError:  # a list in a list
            known, simple = None, False
        if known is not None and known[0] is defaults:
            return known[1]
        asked = interpret(body, defaults, self._templates, first=("default", command))
        if simple and len(repr(asking)) <= LONGEST:
            self._known[asking] = (defaults, asked)
            if len(self._known) > KINDS:
                self._known.popitem(last=False)
        return asked


def _from(asked: Asked, source: Value) -> Asked:
    found = words(source)
    return Asked(changed(asked.options, received_from=found[-1]), asked.values) if found else asked
