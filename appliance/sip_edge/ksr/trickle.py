"""Candidates that come after the SDP, in INFO (RFC 8840; row G21). They are for the gateway, where ICE ends: passed on
they would lead media past it.

Each leg is told by itself: who offers trickling reads `Supported: trickle-ice` and `Recv-Info: trickle-ice` in
all that we answer, also before there is an SDP; whom our SDP offers it, in that request. What one side says of it never
reaches the other one. Other Info Packages (RFC 6086) are the parties' own: we know which ones each of them takes.
"""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import media, read, say
from appliance.sip_edge.ksr.routing import Trunk
from appliance.sip_edge.ksr.rules import trickle
from appliance.sip_edge.ksr.rules.trickle import FRAGMENT, TO_GATEWAY, TRICKLE

CALLER, CALLEE = "caller", "callee"
OTHER = {CALLER: CALLEE, CALLEE: CALLER}
REJECTED = "reject-ICE"  # of a trunk: its ICE is answered without


def heard(sender: Trunk) -> None:
    """A message of a call, before anything in it is changed: what its sender says of trickling and of packages."""
    if not KSR.pv.gete("$dlg_var(caller)"):  # a dialog that we do not know has no variables
        return
    side = _sender()
    if media.has_sdp():
        _mark(side, trickle.said(read.text("$rb")) and REJECTED not in sender.judging)
    packages = trickle.words(read.head(), "Recv-Info")
    if packages is not None:  # an empty one takes back those before (RFC 6086 section 5.2.3)
        KSR.pv.sets(_packages(side), ",".join(packages))


def tells(sdp: str = "") -> None:
    """A message that goes on, with `sdp` of the gateway's, if any."""
    for name, values in trickle.without(read.head()):
        KSR.hdr.remove(name)
        if values:
            KSR.hdr.append(f"{name}: {', '.join(values)}\r\n")
    side = OTHER[_sender()]
    if sdp:
        _mark(side, trickle.said(sdp))
    if KSR.pv.gete(_trickles(side)) and _opens():
        KSR.hdr.append(f"Supported: {TRICKLE}\r\n")
        KSR.hdr.append(f"Recv-Info: {TRICKLE}\r\n")


def is_fragment() -> bool:
    """The request at hand has such a body. To has_body_type all types are alike that Kamailio does not know."""
    return str(KSR.pv.gete("$cT")).partition(";")[0].strip().lower() == FRAGMENT


def admits() -> bool:
    """Whether an INFO within a dialog may go on to whom it is for; False: it was answered. One of no package (RFC 2976)
    may, and so may any where the record of the dialog is lost."""
    package = read.text("$hdr(Info-Package)").partition(";")[0].strip().lower()
    if package == TRICKLE and not is_fragment():
        KSR.hdr.append_to_reply(f"Accept: {FRAGMENT}\r\n")
        say.refuse(415, "Unsupported Media Type", "info_body")
        return False
    if not package or not KSR.pv.gete("$dlg_var(caller)"):
        return True
    sender = _sender()
    taken = str(KSR.pv.gete(_packages(OTHER[sender]))).split(",")
    taken = [name for name in taken if name and name != TRICKLE]
    taken += [TRICKLE] if KSR.pv.gete(_trickles(sender)) else []
    if package in taken:
        return True
    KSR.hdr.append_to_reply(f"Recv-Info: {', '.join(taken)}\r\n")  # RFC 6086 section 4.2.2
    say.refuse(469, "Bad Info Package", "info_package", package=package[:100])
    return False


def take() -> int:
    """An INFO within a dialog: answered here, whatever the gateway makes of it."""
    KSR.tm.t_newtran()
    media.give_body()
    if KSR.route(TO_GATEWAY) > 0:
        KSR.tm.t_reply(200, "OK")
        return 1
    say.refused("candidates_not_taken", status=488)
    KSR.tm.t_reply(488, "Not Acceptable Here")
    return 1


def _opens() -> bool:
    """A message that says what its sender can do (RFC 6086 section 5.2.2): of these methods, no refusal, no 100."""
    status = int(KSR.pv.get("$rs") or 0)
    return KSR.pv.gete("$rm") in ("INVITE", "UPDATE", "PRACK") and (not status or 101 <= status < 300)


def _sender() -> str:
    """Whose message it is."""
    by_caller = KSR.pv.gete("$ft") == KSR.pv.gete("$dlg(from_tag)")
    return CALLER if by_caller is (not KSR.pv.get("$rs")) else CALLEE


def _mark(side: str, trickles: bool) -> None:
    KSR.pv.sets(_trickles(side), "1" if trickles else "")


def _trickles(side: str) -> str:
    return f"$dlg_var(trickle_{side})"


def _packages(side: str) -> str:
    return f"$dlg_var(info_{side})"
