"""Who asks, and what they may: trunk by network, table or password; permission files, groups, routes.

    identify   denied group -> trunk (networks; else tables `address`, `trusted`) -> certificate or password where the
               trunk, or ip_auth, wants more than an address
    permits    permission files of calls and URIs                              403 when one says no
    target     first route that holds -> group membership -> where it goes     403 when the caller is not in the group
    may_register  Contact at a gateway's address, permission files             403

Kamailio reads the permission files in native route blocks (areas/access.py): its KEMI has no allow_routing.
"""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import digest, read, say, tls_peer
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules import contacts, routes
from appliance.sip_edge.ksr.rules.access import AccessRules, Caller, Group
from appliance.sip_edge.ksr.rules.tls_peer import matches

TAG = "$avp(peer_tag)"
URI = "$avp(perm_uri)"  # what the native block `perm_uri` compares
ROUTING, REGISTER, REGISTER_URI, URIS = "perm_routing", "perm_register", "perm_register_uri", "perm_uri"
NO_PORT = 0  # of a contact that says none: only rows for any port hold


def identify(table: RoutingTable) -> Trunk | None:
    """The trunk that the request belongs to. None: it was answered here."""
    access = table.access
    source, port = str(KSR.pv.gete("$si")), int(KSR.pv.get("$sp") or 0)
    if _denied(access, source, port):
        say.refuse(403, "Forbidden", "address_denied")
        return None
    trunk = table.by_source(source, read.socket())
    group = _group(access, source, port)
    by, peer = "network", Caller()
    if trunk is None:
        by, trunk, peer = _from_tables(table, group)
    if trunk is None:
        say.refuse(*((404, "Not Found", "no_trunk") if not peer.by else (403, "Forbidden", "no_trunk_for_peer")))
        return None
    user = ""
    if trunk.authenticate == "certificate":
        if not _proved_by_certificate(trunk):
            say.refuse(403, "Forbidden", "certificate_name")
            return None
        by = "certificate"
    elif _needs_password(access, trunk, group, by):
        found = digest.authenticate(table, read.text("$fd"), own=trunk.realm)
        if found is None:
            return None
        user, by = found, "digest"
    _remember(Caller(trunk.name, group.name if group else "", str(KSR.pv.gete(TAG)), user, by))
    return trunk


def permits(table: RoutingTable, caller: Trunk) -> bool:
    """The permission files of calls (N04, N05) and URIs (N07). False: refused."""
    access = table.access
    user = read.text("$rU")
    if (plain := routes.plain(user)) != user:  # files compare letters
        KSR.pv.sets("$rU", plain)
    if access.routing and KSR.route(ROUTING) < 0:
        say.refuse(403, "Forbidden", "permissions_routing")
        return False
    return permits_uris(table)


def permits_uris(table: RoutingTable) -> bool:
    """N07; also for a REFER inside a dialog, as a phone's transfer is. False: refused."""
    access = table.access
    for variable in access.uri_check if access.uri else ():
        value = read.text(variable)
        if not value:
            continue
        KSR.pv.sets(URI, _bare(value))
        if KSR.route(URIS) < 0:
            say.refuse(403, "Forbidden", "permissions_uri", variable=variable)
            return False
    return True


def permits_branches(table: RoutingTable) -> bool:
    """Once more for every branch, after a look-up that changed or added targets: one that is denied denies all."""
    if not table.access.routing or KSR.route(ROUTING) > 0:
        return True
    say.refuse(403, "Forbidden", "permissions_routing")
    return False


def target(table: RoutingTable, caller: Trunk) -> str | None:
    """Where the request goes: a SIP URI, "set:N", "registrar", or "" when nobody says. The user part of the
    Request-URI is rewritten on the way. None: refused (J07, P11)."""
    user = read.text("$rU")
    route = routes.first(table.routes, caller.name, str(KSR.pv.gete("$rm")), user)
    if route is None:
        return caller.destination
    if route.deny or (route.group and not _in_user_group(table.access, route.group)):
        say.refuse(403, "Forbidden", "route_denied" if route.deny else "not_in_group", route=route.name)
        return None
    if (rewritten := route.rewritten(user)) != user:
        KSR.pv.sets("$rU", rewritten)
    KSR.pv.sets("$dlg_var(route)", route.name)
    if not route.destination.startswith("trunk:"):
        return route.destination or caller.destination
    callee = table.by_name(route.destination.removeprefix("trunk:"))
    return callee.uri if callee else ""


def may_register(table: RoutingTable) -> bool:
    """REGISTER: no Contact at a gateway, and none that the permission files deny (N06). False: refused."""
    access = table.access
    if not (access.register_protect or access.register_files):
        return True
    try:
        wanted = tuple(contacts.read(_contact_fields()))
    except ValueError:  # no SIP URI, or octets that are no UTF-8
        say.refuse(400, "Bad Contact", "bad_contact")
        return False
    if access.register_protect and any(_of_a_gateway(table, contact) for contact in wanted):
        say.refuse(403, "Forbidden", "register_gateway")
        return False
    if access.register_files and not _registrable(access, wanted):
        say.refuse(403, "Forbidden", "permissions_register")
        return False
    return True


def gateway(table: RoutingTable) -> bool:
    """The source is in a group that is a gateway: never counted as a flood (M07, P10). Trunks' networks are another
    matter: `flood.known`."""
    groups = table.access.gateways
    if not groups:
        return False
    source, port = str(KSR.pv.gete("$si")), int(KSR.pv.get("$sp") or 0)
    return any(_within(table.access, group, source, port) for group in groups)


# -- Tables --------------------------------------------------------------------------------------------------------


def _group(access: AccessRules, source: str, port: int) -> Group | None:
    """The group of the table `address` that the source is in; its tag goes to the AVP (N03, N08, N10, N13)."""
    if not access.address:
        return None
    return access.group(int(KSR.permissions.allow_address_group(source, port)))


def _within(access: AccessRules, group: Group, host: str, port: int) -> bool:
    """N02, N08. Where the longest prefix counts, an address is in one group only."""
    if not access.address:
        return False
    if access.longest:
        return access.number(int(KSR.permissions.allow_address_group(host, port))) == group.number
    return bool(KSR.permissions.allow_address(group.number, host, port) > 0)


def _denied(access: AccessRules, source: str, port: int) -> bool:
    return any(_within(access, group, source, port) for group in access.denied)


def _from_tables(table: RoutingTable, group: Group | None) -> tuple[str, Trunk | None, Caller]:
    """The trunk of a source outside every trunk's networks: its group's, or what its row in `trusted` is tagged."""
    access = table.access
    if group and group.trunk:
        return "address", table.by_name(group.trunk), Caller(by="address")
    KSR.pv.sets(TAG, "")  # a tag of `address` names no trunk
    if access.trusted and _trusted():
        tagged = table.by_name(str(KSR.pv.gete(TAG))) or table.by_name(access.trusted_trunk)
        return "trusted", tagged, Caller(by="trusted")
    return "", None, Caller()


def _needs_password(access: AccessRules, trunk: Trunk, group: Group | None, by: str) -> bool:
    """N02, N14: a trusted address passes without; with ip_auth off nobody's address is enough."""
    if not access.ip_auth:
        return True
    if trunk.authenticate != "digest" or by == "trusted":
        return False
    return not ((group and group.trusted) or (access.trusted and _trusted()))


def _trusted() -> bool:
    """N09, by the request's source, transport, From and Request-URI: KEMI's variant takes these whatever it is given.
    Kamailio adds the row's tag to the AVP."""
    return bool(KSR.permissions.allow_trusted() > 0)


def _proved_by_certificate(trunk: Trunk) -> bool:
    """TLS verified the chain; here one of the names in the certificate must be the trunk's (J05, RFC 5922)."""
    return bool(trunk.peer_names) and matches(trunk.peer_names, tls_peer.names())


def _remember(caller: Caller) -> None:
    """Tag, group and user go with the call: the dialog's variables outlive a restart (N10)."""
    for name, value in (("peer_tag", caller.tag), ("peer_group", caller.group), ("user", caller.user)):
        if value:
            KSR.pv.sets(f"$dlg_var({name})", value)
    if caller.by != "network" or caller.tag or caller.group:
        details = {name: value for name, value in vars(caller).items() if value}
        say.event("identified", **details)


# -- Groups of users ------------------------------------------------------------------------------------------------


def _in_user_group(access: AccessRules, group: str) -> bool:
    """Table `grp`: by the password that was given, else by the From that a trusted peer vouches for (J07)."""
    if not access.members:
        return False
    user = str(KSR.pv.gete("$dlg_var(user)"))
    uri = f"sip:{user}@{read.text('$fd')}" if user else read.text("$fu")
    return bool(KSR.group.is_user_in(uri, group) > 0)


# -- Registrations --------------------------------------------------------------------------------------------------


def _contact_fields() -> tuple[str, ...]:
    count = int(KSR.pv.get("$hdrc(Contact)") or 0)
    return tuple(str(KSR.pv.gete(f"$(hdr(Contact)[{place}])")) for place in range(count))


def _of_a_gateway(table: RoutingTable, contact: contacts.Contact) -> bool:
    named = table.by_source(contact.host)
    if named is not None and named.authenticate == "address":
        return True
    return any(_within(table.access, group, contact.host, contact.port) for group in table.access.gateways)


def _registrable(access: AccessRules, wanted: tuple[contacts.Contact, ...]) -> bool:
    if not access.register_include_port:
        return bool(KSR.route(REGISTER) > 0)
    for contact in wanted:
        KSR.pv.sets(URI, contact.with_port)
        if KSR.route(REGISTER_URI) < 0:
            return False
    return True


def _bare(value: str) -> str:
    """A URI out of its angle brackets: Refer-To is written with them (RFC 3515 section 2.1)."""
    if "<" in value and ">" in value:
        return value[value.index("<") + 1 : value.index(">")]
    return value
