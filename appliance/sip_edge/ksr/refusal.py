"""Why the gateway refused an offer: Kamailio's rtpengine module says only that it did.

On that path alone the offer is put once more, over NG as JSON, and the `error-reason` is translated to a SIP status.
Standard library only (runs inside Kamailio).
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 0.5
# Words of appliance.errors that mean "not now" rather than "not like this".
UNAVAILABLE = ("no-capacity", "media-unavailable", "draining", "load limit")
_LISTS = {"SDES-": "SDES", "replace-": "replace", "rtcp-mux-": "rtcp-mux"}


@dataclass(frozen=True)
class Verdict:
    status: int
    phrase: str
    reason: str


NO_ANSWER = Verdict(503, "Service Unavailable", "gateway_silent")


def ask(ng: Sequence[str], call_id: str, from_tag: str, sdp: str, flags: str, *, new_call: bool) -> Verdict:
    """Put the refused offer once more to the first gateway of `ng`; what to answer. Blocks 2 * TIMEOUT_S at most.

    Nothing of a new call may stay behind, whatever the gateway made of its offers; a call that was up before goes on.
    """
    if not ng:
        return NO_ANSWER
    request = {
        **dictionary(flags), "supports": ["load limit"], "call-id": call_id, "from-tag": from_tag, "sdp": sdp,
        "command": "offer",
    }  # fmt: skip
    try:
        reply = _exchange(ng[0], request)
        if new_call:
            _exchange(ng[0], {"call-id": call_id, "from-tag": from_tag, "command": "delete"})
        if reply.get("result") == "ok":  # the trouble is over, but this INVITE's SDP was not rewritten: ask to retry
            return Verdict(503, "Service Unavailable", "gateway_recovering")
    except (OSError, ValueError):
        return NO_ANSWER
    return verdict(str(reply.get("error-reason") or reply.get("result") or ""))


def verdict(reason: str) -> Verdict:
    """SIP status of an NG error-reason."""
    word = next((word for word in UNAVAILABLE if word in reason.lower()), "")
    if word:
        return Verdict(503, "Service Unavailable", word.replace(" ", "-"))
    return Verdict(488, "Not Acceptable Here", reason[:120] or "not-acceptable")


def dictionary(flags: str) -> dict[str, Any]:
    """The NG dictionary that Kamailio makes of a flag string (ng_control_protocol: keys, lists, plain flags)."""
    result: dict[str, Any] = {}
    for word in flags.split():
        key, equals, value = word.partition("=")
        prefix = next((prefix for prefix in _LISTS if word.startswith(prefix)), "")
        if prefix:
            result.setdefault(_LISTS[prefix], []).append(word.removeprefix(prefix))
        elif key == "direction":
            result.setdefault(key, []).append(value)
        elif equals:
            result[key] = value
        else:
            result.setdefault("flags", []).append(word)
    return result


def _exchange(address: str, request: dict[str, Any]) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    cookie = secrets.token_hex(8)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(TIMEOUT_S)
        link.connect((host.strip("[]"), int(port)))
        link.send(f"{cookie} {json.dumps(request)}".encode())
        answer = link.recv(65535).decode()
    echoed, _, body = answer.partition(" ")
    if echoed != cookie:
        raise ValueError("answer to another question")
    reply = json.loads(body)
    if not isinstance(reply, dict):
        raise ValueError("no dictionary")
    return reply
