"""Keys never reach a log: a structlog processor that blanks what looks like key material, by name and by shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASK = "***"

# Whole words of a field's name: "key", "master_key", "sdes_keys", but not "keyframe" or "monkey".
_SECRET_NAME = re.compile(
    r"(?:^|[_.\-])(?:keys?|salts?|secrets?|passwords?|passwd|tokens?|psk|credentials?|inline|authorization|ha1b?)(?:$|[_.\-])",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"^(?:key_method|keys?_(?:octets|count)|page_token|.*_tag)$", re.IGNORECASE)
# An SDES key wherever it stands (RFC 4568 section 9.2), its "inline:" kept so that a reader sees what was cut out.
_INLINE = re.compile(r"(inline\s*:\s*)[^\s;,\"'|]+(?:\|[^\s;,\"']*)?", re.IGNORECASE)
# A crypto line without "inline:" is malformed, and still may hold a key (spec/mission.md, trap 8).
_CRYPTO = re.compile(r"(a=crypto:\s*\d+\s+\S+\s+)(?!inline\s*:)[^\s]+", re.IGNORECASE)
# Other key carriers of SDP: RFC 4567 (MIKEY), RFC 4566 section 5.12.
_KEY_LINE = re.compile(r"((?:^|[\r\n]|\\r|\\n)(?:a=key-mgmt:\s*\S+\s+|k=\w+:))[^\s\\]+", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^:@/\s]*:)[^@/\s]*(@)")
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)")

_DEEPEST = 8


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The processor: every value of the event, however deep, with key material cut out."""
    for name in list(event):
        event[name] = _masked(name, event[name], _DEEPEST)
    return event


def mask_value(value: Any) -> Any:
    """Any value in the same way, as JSON can hold it: tuples and sets become lists, objects their text."""
    return _masked("", value, _DEEPEST)


def mask_text(text: str) -> str:
    """Text with SDES keys, MIKEY messages, private keys and passwords of URLs cut out; all else as it was."""
    text = _INLINE.sub(rf"\1{MASK}", text)
    text = _CRYPTO.sub(rf"\1{MASK}", text)
    text = _KEY_LINE.sub(rf"\1{MASK}", text)
    text = _URL_PASSWORD.sub(rf"\1{MASK}\2", text)
    return _PRIVATE.sub(MASK, text)


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value if not _secret(name) or isinstance(value, bool) or value is None else MASK
    if _secret(name) or depth == 0:
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} octets>"  # binary values may be keys; their length says enough
    if isinstance(value, Mapping):
        return {key: _masked(str(key), below, depth - 1) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", below, depth - 1) for below in value]
    return mask_text(str(value))


def _secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.match(name)
