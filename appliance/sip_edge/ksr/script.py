"""The routing script that Kamailio runs (KEMI, app_python3): which request goes where, and when media is engaged.

    octets  -> flood (bans), before anybody parses them
    request -> another gateway of the fleet?  taken
            -> flood (pike) -> guard (sanity, loops) -> limits -> in a dialog?  follow its route, re-offer, delete media
            -> out of one?   OPTIONS answered; REGISTER: registrar; INVITE: trunk -> access -> target -> offer -> relay
    branch  -> the gateway's SDP goes in
    reply   -> answer media with its SDP -> back
    failure -> a secure offer that was refused and need not be secure: plain, once;  next target;  else delete media

This file is the table of contents: Kamailio calls its methods by name, each hands over to the module of its subject.
Decisions that need no Kamailio are pure functions beside them. Kamailio provides the module `KSR`; tests provide a fake
one. Standard library only: everything in this folder is copied into Kamailio's run directory.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve()
if str(_HERE.parents[3]) not in sys.path:  # the copy in the run directory, before one in the working directory
    sys.path.insert(0, str(_HERE.parents[3]))

import KSR  # noqa: E402

from appliance.sip_edge.ksr import (  # noqa: E402
    balance,
    call,
    dialog,
    disclosure,
    flood,
    fresh,
    guard,
    identity,
    limits,
    media,
    nat,
    proxy,
    registrar,
    replication,
    request,
    routing,
    say,
    sessions,
    streams,
    target,
    tls_peer,
    topology,
    trickle,
    websocket,
)  # fmt: skip


def mod_init() -> Kamailio:
    """Called once by app_python3: the object whose methods Kamailio calls by name."""
    table = fresh.FreshTable(_HERE.parents[4] / "routing.json")
    return Kamailio(table.now(), table.now)


class Kamailio:
    """One Kamailio process' view of the routing table."""

    def __init__(self, table: routing.RoutingTable, now: Callable[[], routing.RoutingTable] | None = None) -> None:
        """`now`: the table at any time, where it is not always the same one."""
        self._now = now or (lambda: table)
        self.arrived = guard.Arrived()  # the message that is being handled: one at a time in each process

    @property
    def table(self) -> routing.RoutingTable:
        return self._now()

    def child_init(self, rank: int) -> int:
        limits.child_init(self.table)
        return 0

    def ksr_received(self, message: Any) -> int:
        """Every datagram or stream message before anybody parses it; only the variables $rcv(...) are there."""
        if flood.banned(self.table):
            KSR.set_drop()
        else:
            self.arrived = guard.arrived(self.table)
        return 1

    def ksr_request_route(self, message: Any) -> int:
        """Nothing that arrives may be left without an answer because of a mistake of ours."""
        try:
            return self._route()
        except UnicodeDecodeError:  # where it must be UTF-8 (RFC 3261 section 25.1)
            return say.refuse(400, "Bad Encoding", "not_utf8")
        except Exception as error:
            say.event("error", error=repr(error), at=traceback.format_exc(limit=-3))
            return say.refuse(500, "Server Internal Error", "script_error")

    def _route(self) -> int:
        table = self.table
        if replication.takes(table):
            return 1
        if not flood.check(table):
            websocket.ban()
            return 1
        if not (guard.admits(table, self.arrived) and limits.admits(table)):
            return 1
        streams.note(table)
        nat.request(table)
        method = KSR.pv.gete("$rm")
        websocket.arrives(method)
        if method == "CANCEL":
            return _cancel()
        if KSR.siputils.has_totag() > 0:
            return dialog.within(table, method)
        if method == "ACK":  # of a negative reply: belongs to a transaction or to nobody
            return _cancel()
        KSR.tm.t_check_trans()  # a retransmission is answered by its transaction and ends here
        if method == "OPTIONS":
            return say.reply(200, "OK", allow=True)
        if method == "REGISTER":
            return registrar.register(table)
        return call.new(table) if method == "INVITE" else request.new(table)

    def ksr_branch(self, message: Any) -> int:
        if not tls_peer.may_go(self.table):
            KSR.set_drop()
            return 0
        caller, callee = media.sides(self.table)
        clean = disclosure.request(self.table, caller, callee, target.next_hop())
        identity.tell(caller, callee, clean)
        trickle.tells(media.into_branch(callee))
        return 1

    def ksr_reply(self, message: Any) -> int:
        self._back()
        websocket.answers()
        trickle.heard(media.sides(self.table)[1])
        trickle.tells(media.into_reply(self.table))
        call.progress()
        return 1

    def ksr_reply_other(self, message: Any) -> int:
        self._back()
        trickle.tells()
        media.unasked()
        return 1

    def _back(self) -> None:
        """What every reply gets."""
        dialog.hide(self.table)
        nat.reply(self.table)
        offerer, answerer = media.sides(self.table)
        identity.answered(answerer, offerer, disclosure.reply(self.table, answerer, offerer))

    def ksr_reply_proxied(self, message: Any) -> int:
        proxy.reply(self.table)
        call.progress()
        return 1

    def ksr_failure_proxied(self, message: Any) -> int:
        return proxy.failed(self.table)

    def ksr_topoh_event(self, message: Any, event: str) -> int:
        if not proxy.masks(event):
            KSR.set_drop()
        return 1

    def ksr_failure(self, message: Any) -> int:
        return call.failed(self.table)

    def ksr_failure_within(self, message: Any) -> int:
        return dialog.failed()

    def ksr_dialog_event(self, message: Any, event: str) -> int:
        if event == "dialog:end":
            dialog.ended()
        return 1

    def ksr_network(self, message: Any, direction: str) -> int:
        """Octets with something masked in them, while the key of topology hiding is changed."""
        return topology.network(self.table, direction)

    def ksr_dispatcher_event(self, message: Any, event: str) -> int:
        balance.changed(event)
        return 1

    def ksr_tm_event(self, message: Any, event: str) -> int:
        """tm:local-request: a request of Kamailio's own, before it leaves."""
        if KSR.pv.gete("$rm") == "BYE":
            dialog.says_bye(self.table)
        balance.local_request(self.table)
        return 1

    def ksr_xhttp_event(self, message: Any, event: str) -> int:
        return websocket.http(self.table)

    def ksr_websocket_event(self, message: Any, event: str) -> int:
        if event == "websocket:closed":
            sessions.ended(self.table)
        return 1

    def ksr_tcp_event(self, message: Any, event: str) -> int:
        streams.closed(self.table)
        return 1

    def ksr_timer(self, message: Any, event: str) -> int:
        streams.look(self.table)
        return 1

    def ksr_onsend_route(self, message: Any) -> int:
        """Kamailio looks for this by name: before each request leaves."""
        tls_peer.sends(self.table)
        return 1

    def ksr_reply_route(self, message: Any) -> int:
        """As above, for each reply; what becomes of it is said per transaction, in `ksr_reply`."""
        if not guard.admits_reply(self.table.guard):
            KSR.set_drop()
            return 1
        streams.note(self.table)
        dialog.answers_bye()
        return 1 if tls_peer.takes(self.table) else 0


def _cancel() -> int:
    """CANCEL, or the ACK of a negative reply: follows its transaction. Media is deleted by the failure route."""
    if KSR.tm.t_check_trans() > 0:
        KSR.tm.t_relay()
    return 1
