"""INVITEs that replace a dialog of ours (RFC 3891): it is named as its receiver knows it."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import read
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules import replaces

HEADER = "Replaces"


def invite(table: RoutingTable) -> None:
    """Before the INVITE has a dialog of its own: which one is at hand is changed here.

    Whichever side's name the sender had, the receiver gets its own. topoh masks what is bare, and bares what is masked,
    when the INVITE leaves: it is given the opposite."""
    masks, value = table.topology.masks, read.text(f"$hdr({HEADER})")
    named = replaces.read(value) if masks and value else None
    if named is None:
        return
    plain = replaces.bare(named.call_id, masks)
    if KSR.dialog.dlg_get(plain, named.remote, named.local) < 0:
        return  # nobody's that we know: topoh takes it for one of the sender's side
    called = str(KSR.pv.gete("$dlg(from_tag)")) != named.local
    KSR.hdr.remove(HEADER)
    name = plain if called else replaces.masked(plain, masks)
    KSR.hdr.append(f"{HEADER}: {replaces.with_call_id(value, name)}\r\n")
