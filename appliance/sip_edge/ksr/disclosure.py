"""No side's addresses reach the other one, in any header or body (row K04); what topoh and the gateway do not do.

From, To and Request-URI are written anew once, when a call or a request outside any dialog is sent on (uac remembers
and restores them in both directions); all other headers in every message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import KSR

from appliance.sip_edge.ksr import outgoing, read, say
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk, host_of
from appliance.sip_edge.ksr.rules import disclosure, replaces
from appliance.sip_edge.ksr.rules.disclosure import Sides

RENAMED = "$avp(renamed)"  # the request of this transaction has From and To written by `name_again`
NAMED = "$dlg_var(named)"  # From and To as the callee knows them, for requests of Kamailio's own


def name(table: RoutingTable, caller: Trunk, callee: Trunk, next_hop: str, *, phone: bool) -> None:
    """From, To and Request-URI of a request that opens something. `phone`: it goes where the called user registered."""
    if not table.topology.addresses:
        return
    sides = _to(table, caller, callee, next_hop)
    there = sides.facing if phone else host_of(next_hop) or sides.facing
    if not phone and host_of(read.text("$ru")) in sides.ours:
        KSR.pv.sets("$ru", disclosure.at(read.text("$ru"), there, disclosure.port_of(next_hop)))
    given = read.text("$fu"), read.text("$tu")
    told = _parties(sides, there, *given)
    for name, old, new, uri, both in (
        ("$fn", given[0], told[0], KSR.uac.uac_replace_from_uri, KSR.uac.uac_replace_from),
        ("$tn", given[1], told[1], KSR.uac.uac_replace_to_uri, KSR.uac.uac_replace_to),
    ):
        display = str(KSR.pv.gete(name))
        if sides.clean(display) != display:
            both(sides.clean(display), new)
        elif new != old:
            uri(new)
    if told != given:
        KSR.pv.sets(NAMED, " ".join(told))


def name_again(table: RoutingTable, sender: Trunk, receiver: Trunk, next_hop: str) -> None:
    """From and To of a request within a dialog that this edge does not know: it began at another one, or was up when
    this one was killed. How they were at first is lost; what is known is the receiver's own address. (uac renames
    nobody within a dialog; tags say which dialog it is, RFC 3261 section 12.) Not where the route tells uac how they
    were: without topoh, and where no call is; there uac knows URIs, and display names are cleaned here."""
    if not table.topology.addresses:
        return
    sides = _to(table, sender, receiver, next_hop)
    kept = disclosure.kept_by_uac(read.head())
    if kept or KSR.pv.gete("$dlg_var(caller)"):
        if table.topology.mask is None and _clean_names(sides) and not kept:
            KSR.pv.sets(RENAMED, "1")
        return
    given = read.text("$hdr(From)"), read.text("$hdr(To)")
    told = _parties(sides, host_of(next_hop) or sides.facing, *given)
    if told != given:
        KSR.pv.sets(RENAMED, "1")
        _write_parties(*told)


def request(table: RoutingTable, sender: Trunk, receiver: Trunk, next_hop: str) -> Callable[[str], str]:
    """A request that goes on: in the request route, or for one branch of it. How a header that is added is cleaned."""
    if not table.topology.addresses:
        _refer_to(table)
        return str
    sides = _to(table, sender, receiver, next_hop)
    _message(table, sides)
    return sides.clean


def reply(table: RoutingTable, sender: Trunk, receiver: Trunk) -> Callable[[str], str]:
    """A reply that goes back. How a header that is added is cleaned."""
    if not table.topology.addresses:
        return str
    facing = str(KSR.pv.gete("$T_req($Ri)")).strip("[]")
    sides = Sides(sender.match, receiver.match, str(KSR.pv.gete("$si")), table.topology.ours, facing)
    _message(table, sides)
    _one_contact()
    if KSR.pv.gete(RENAMED):
        _write_parties(read.text("$T_req($hdr(From))"), read.text("$T_req($hdr(To))"))
    return sides.clean


def own_request() -> None:
    """Kamailio's own BYE to the callee (its dialog is at hand): the dialog module writes From and To as the caller
    did."""
    told = str(KSR.pv.gete(NAMED)).split(" ")
    if len(told) != 2 or KSR.pv.gete("$ft") != KSR.pv.gete("$dlg(from_tag)"):
        return
    _write_parties(*(f"<{uri}>;tag={read.text(tag)}" for uri, tag in zip(told, ("$ft", "$tt"), strict=True)))


def _parties(sides: Sides, there: str, sender: str, receiver: str) -> tuple[str, str]:
    """From and To, URIs or whole values, as the receiver, who is at `there`, may know them."""
    name, bracket, rest = receiver.rpartition("<")
    receiver = f"{sides.clean(name)}{bracket}{rest}"
    return sides.clean(sender), disclosure.at(receiver, there) if sides.hides(disclosure.host(receiver)) else receiver


def _clean_names(sides: Sides) -> bool:
    """Display names of From and To; whether there was anything to clean. The octets of URIs are uac's to write: two
    changes of one place would meet."""
    found = [(header, address) for header, name in (("From", "$fn"), ("To", "$tn"))
             for address in disclosure.hidden(str(KSR.pv.gete(name)), sides)]  # fmt: skip
    for header, address in found:
        KSR.textops.subst_hf(header, f"/{re.escape(address)}([^<]*<)/{sides.facing}\\1/", "a")
    return bool(found)


def _write_parties(sender: str, receiver: str) -> None:
    for header, value in (("From", sender), ("To", receiver)):
        KSR.hdr.remove(header)
        KSR.hdr.append(f"{header}: {value}\r\n")


def _message(table: RoutingTable, sides: Sides) -> None:
    for header, values in disclosure.changes(read.head(), sides, partial(_ours, table), table.topology.masks):
        KSR.hdr.remove(header)
        for value in values:
            KSR.hdr.append(f"{header}: {value}\r\n")
    kind = str(KSR.pv.gete("$cT"))
    if not kind or kind.lower().startswith(say.SDP_TYPE):
        return
    text = read.text("$rb")
    cleaned = disclosure.body(kind, text, sides)
    if cleaned != text:
        KSR.textops.set_body(cleaned, kind)


def _refer_to(table: RoutingTable) -> None:
    """Where addresses are nobody's secret: a dialog that it names is masked all the same."""
    masks, value = table.topology.masks, read.text("$hdr(Refer-To)")
    told = replaces.in_refer_to(value, masks, str) if masks else value
    if told != value:
        KSR.hdr.remove("Refer-To")
        KSR.hdr.append(f"Refer-To: {told}\r\n")


def _one_contact() -> None:
    """topoh masks the first Contact of a message; of several, as in 300 (RFC 3261 section 21.3), the others go."""
    contacts = disclosure.contacts(read.head())
    if len(contacts) > 1:
        KSR.hdr.remove("Contact")
        KSR.hdr.append(f"Contact: {contacts[0]}\r\n")


def _ours(table: RoutingTable, key: str, value: str) -> bool:
    """Credentials for us go no further, also those that a phone repeats within its dialogs."""
    if key != "proxy-authorization" or not table.auth.enabled:
        return False
    realm = disclosure.realm(value)
    return realm == table.auth.realm if table.auth.realm else realm == read.text("$fd")


def _to(table: RoutingTable, sender: Trunk, receiver: Trunk, next_hop: str) -> Sides:
    return Sides(sender.match, receiver.match, str(KSR.pv.gete("$si")), table.topology.ours,
                 _facing(receiver, next_hop) or table.topology.stand_in)  # fmt: skip


def _facing(receiver: Trunk, next_hop: str) -> str:
    """Our address on the way there: of the socket that was chosen, else as the kernel routes."""
    chosen = str(KSR.pv.gete("$fs")) or receiver.listen
    if chosen:
        return chosen.partition(":")[2].rpartition(":")[0].strip("[]")
    return outgoing.routed(host_of(next_hop))
