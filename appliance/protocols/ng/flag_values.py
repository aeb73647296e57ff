"""Readers of one kind of value: what most keys of an NG dictionary need."""

from __future__ import annotations

from collections.abc import Callable

from appliance.policy.secure_media import ConfigError, Mode, SecureMedia, parse
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import Wishes, normal, words

Reader = Callable[[Wishes, str, Value], None]

OFF = frozenset(("off", "no", "none", "disable", "disabled", "default"))


def one_word(name: str) -> Reader:
    """A key whose one word goes into a field as it stands."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        found = words(value)
        if found:
            wishes.media[name] = found[0]

    return handler


def whole(name: str) -> Reader:
    """A key whose string, spaces and all, is the field (labels)."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        if isinstance(value, str):
            wishes.media[name] = value

    return handler


def subset(name: str, allowed: frozenset[str]) -> Reader:
    """A key whose words go into a set, if they are of the allowed ones."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        found = {normal(word) for word in words(value)}
        wishes.media[name] = wishes.media.get(name, frozenset()) | (found & allowed)
        wishes.unknown += [f"{key}-{word}" for word in sorted(found - allowed)]

    return handler


def command_value(wishes: Wishes, key: str, value: Value) -> None:
    """A value for the command itself."""
    wishes.values[key] = [value] if isinstance(value, str) else words(value)


def nothing(wishes: Wishes, key: str, value: Value) -> None:
    """Read and left alone."""


def refused(wishes: Wishes, key: str, value: Value) -> None:
    """Understood, and not to be had, unless the value switches it off."""
    found = [normal(word) for word in words(value)]
    if found and not all(word in OFF for word in found):
        wishes.unavailable += [f"{key}={word}" for word in found if word not in OFF]
    elif not found and value:
        wishes.unavailable.append(key)


def codecs(name: str) -> Reader:
    def handler(wishes: Wishes, key: str, value: Value) -> None:
        wishes.codecs.setdefault(name, []).extend(words(value))

    return handler


def policy(name: str) -> Reader:
    """Our own keys for a trunk's policy. A value that cannot be read demands a suite that does not exist: it fails
    closed."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        text = ":".join(value.split() if isinstance(value, str) else words(value))
        try:
            wishes.media[name] = parse(text)
        except ConfigError:
            wishes.media[name] = SecureMedia(Mode.MANDATORY, ("(unreadable policy)",))
            wishes.unknown.append(f"{key}={text}")

    return handler
