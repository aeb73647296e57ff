"""What the script tells: replies to the peer, one event for each decision, counters that outlive a process.

Every refusal goes through `refuse` (or `drop`): SIP status, counter and event always name the same rule.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import KSR

from appliance.sip_edge.ksr import read
from appliance.sip_edge.ksr.link import Link
from appliance.sip_edge.ksr.rules.telling import Telling

ALLOW = "INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE, UPDATE, PRACK, REGISTER"
SDP_TYPE = "application/sdp"
HTTP = "GET"  # has no Call-ID, and Kamailio writes an error when it is asked for one
EVENTS = str(Path(__file__).resolve().parents[4] / "events" / "control.sock")  # nobody listens: the log has it

_TELLING = Telling()
_LINK = Link(EVENTS)


def reply(status: int, phrase: str, *, allow: bool = False) -> int:
    """Answer the request, without a transaction unless it has one. There is no response to an ACK."""
    if allow or status == 405:
        KSR.hdr.append_to_reply(f"Allow: {ALLOW}\r\n")
    if status == 415:  # RFC 3261 section 21.4.13
        KSR.hdr.append_to_reply(f"Accept: {SDP_TYPE}\r\n")
    if KSR.pv.gete("$rm") != "ACK":
        KSR.sl.send_reply(status, phrase)
    return 1


def refuse(status: int, phrase: str, rule: str, **details: object) -> int:
    """Answer, count and tell: `rule` is the word for the log, the event and the metric."""
    refused(rule, status=status, **details)
    return reply(status, phrase)


def relay(undo: Callable[[], object] = lambda: None) -> int:
    """Send the request on. Where that cannot be (a session that is over, a name that nobody knows): 480, once, after
    `undo`."""
    next_hop = KSR.pv.gete("$du") or read.text("$ru")
    if KSR.tm.t_relay() < 0:
        undo()
        return refuse(480, "Temporarily Unavailable", "unreachable", next_hop=next_hop[:300])
    return 1


def refused(rule: str, **details: object) -> None:
    """Count and tell a refusal that somebody else answers. Of many at a time some are told, with the number of those
    that were not."""
    count(rule)
    unsaid = _TELLING.ask(rule, time.monotonic())
    if unsaid is not None:
        more = {"unsaid": unsaid} if unsaid else {}
        event("refused", **details, reason=rule, **more)


def drop(rule: str) -> int:
    """No answer at all; counted, not told one by one: whoever floods would write our log."""
    count(rule)
    return 1


def count(rule: str) -> None:
    """Hash table `rules` is in Kamailio's shared memory: one number for all its processes, kept when one dies."""
    KSR.htable.sht_inc("rules", rule)


def event(name: str, **details: object) -> None:
    """One line of JSON per decision, one call id through all of them; the same as a message to control."""
    known = {"call_id": ""} if KSR.pv.gete("$rm") == HTTP else {"call_id": call_id()}
    record = {"event": f"sip_{name}", **known, "method": read.text("$rm"), "source": KSR.pv.gete("$si")}
    line = json.dumps({**record, **details})
    KSR.notice(line + "\n")
    _tell(line)


def transport() -> str:
    return str(KSR.pv.gete("$proto")).lower()


def call_id() -> str:
    return read.text("$ci")


def _tell(line: str) -> None:
    if not _LINK.send(line.encode()):
        count("event_lost")  # the log has it
