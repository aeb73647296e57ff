"""What to answer to a binding request, and whether to learn from it (RFC 8445 section 7.3; ICE-3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.protocols.ice.outputs import Credentials
from appliance.protocols.stun.attributes import Endpoint
from appliance.protocols.stun.integrity import short_term
from appliance.protocols.stun.message import BINDING, Kind, Message, encode


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is learnt from it. No answer where one would only help an attacker."""

    reason: str
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Authentic. `refused`: answered by 487, the peer has to switch its role; `switch`: we have to."""

    answer: bytes
    refused: bool = False
    switch: bool = False


def judge(
    message: Message, local: Credentials, remote: Credentials | None, source: Endpoint, tie: int, controlling: bool
) -> Accepted | Refused:
    """`tie`, `controlling`: ours (section 7.3.1.1). An answer is never larger than its request by a factor of 3
    (row D11)."""
    if message.method != BINDING or not message.fingerprint:  # section 7.1: FINGERPRINT is a must
        return Refused("not a check")
    if message.username is None or message.signature is None:
        return Refused("not signed", _error(message, 400, "Bad Request"))
    ours, _, theirs = message.username.partition(":")
    if ours != local.ufrag or (remote is not None and theirs != remote.ufrag):
        return Refused("user name", _error(message, 401, "Unauthorized"))
    key = short_term(local.pwd)
    if not message.verified(key):
        return Refused("not authentic", _error(message, 401, "Unauthorized"))
    if message.not_understood:
        unknown = _error(message, 420, "Unknown Attribute", key, unknown=message.not_understood)
        return Refused("attribute not understood", unknown)
    if message.priority is None:
        return Refused("no priority", _error(message, 400, "Bad Request", key))
    success = encode(Message(Kind.SUCCESS, message.transaction, xor_mapped_address=source), key)
    same = message.controlling if controlling else message.controlled
    if same is None:
        return Accepted(success)
    # who has the greater tie-breaker controls
    if (tie >= same) is controlling:
        return Accepted(_error(message, 487, "Role Conflict", key), refused=True)
    return Accepted(success, switch=True)


def _error(message: Message, code: int, phrase: str, key: bytes = b"", *, unknown: tuple[int, ...] = ()) -> bytes:
    """Signed when the asker is known to hold the key (RFC 8489 section 9.1.3)."""
    answer = Message(Kind.ERROR, message.transaction, message.method, error=(code, phrase))
    return encode(replace(answer, unknown_attributes=unknown[:8]) if unknown else answer, key)
