"""What no single row can say: settings that contradict each other, or leave a door open. One function per rule."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from appliance.config import (
    check_access,
    check_database,
    check_dispatcher,
    check_next_hops,
    check_radius,
    check_replication,
    check_sip_tls,
    check_topology,
    tls_words,
)
from appliance.config.explain import spelled
from appliance.config.faults import Fault
from appliance.config.finding import Finding, warning
from appliance.config.positions import Path as Where
from appliance.config.schema import Settings
from appliance.config.sources import Layers
from appliance.config.trunks import Trunk
from appliance.config.types import HostPort, PortRange
from appliance.policy import secure_media
from appliance.protocols.srtp import suites

PORTS_PER_CALL = 4  # one stream, two legs, RTP and RTCP apart


def cross_check(settings: Settings, layers: Layers) -> list[Fault]:
    """Every finding of every rule, with the place it was written at."""
    return [
        Fault(found.place or layers.place(found.where), spelled(found.where), found.message, found.hint, found.severity)
        for rule in RULES
        for found in rule(settings)
    ]


def _port_range(settings: Settings) -> Iterator[Finding]:
    """Of media.ports, and of each interface that has its own."""
    yield from _range(settings, ("media", "ports"), settings.media.ports)
    for place, interface in enumerate(settings.interfaces):
        if interface.ports is not None:
            yield from _range(settings, ("interfaces", place, "ports"), interface.ports)


def _range(settings: Settings, where: Where, ports: PortRange) -> Iterator[Finding]:
    if ports.first % 2:
        yield Finding(where, "must begin with an even port", f"{ports.first + 1}-{ports.last}: RTP takes the even one")
    if len(ports) % 2:
        yield Finding(where, "must end with an odd port", "RTP and RTCP take two ports each time")
    workers = 1 if settings.media.cores == "auto" else len(settings.media.cores)
    if len(ports) < PORTS_PER_CALL * workers:
        yield Finding(where, f"has {len(ports)} ports for {workers} worker(s)", f"{PORTS_PER_CALL} per call at least")
    # Both legs of a call may lie on the same interface, so all its ports may come from one range.
    elif len(ports) < PORTS_PER_CALL * settings.media.calls and len(settings.interfaces) == 1:
        room = len(ports) // PORTS_PER_CALL
        yield warning(where, f"has room for {room} calls of the {settings.media.calls} in media.calls")


def _cores(settings: Settings) -> Iterator[Finding]:
    cores = settings.media.cores
    if cores == "auto":
        return
    if not cores:
        yield Finding(("media", "cores"), "is empty", 'name one core at least, or "auto"')
    if len(set(cores)) != len(cores):
        yield Finding(("media", "cores"), "names a core twice")
    if any(core < 0 for core in cores):
        yield Finding(("media", "cores"), "cores are numbered from 0")


def _interfaces(settings: Settings) -> Iterator[Finding]:
    yield from _repeated_names(settings, "interfaces")
    addresses: dict[str, str] = {}
    for place, interface in enumerate(settings.interfaces):
        other = addresses.setdefault(interface.address, interface.name)
        if other != interface.name:
            yield Finding(
                ("interfaces", place, "address"), f"{interface.address} is also the address of {other!r}",
                "the same ports cannot be opened twice",
            )  # fmt: skip
        if ipaddress.ip_address(interface.address).is_unspecified:
            yield Finding(
                ("interfaces", place, "address"), "must be one address, not all of them", "it is written in SDP"
            )


def _trunks(settings: Settings) -> Iterator[Finding]:
    yield from _repeated_names(settings, "trunks")
    names = {interface.name for interface in settings.interfaces}
    networks: dict[object, str] = {}
    for place, trunk in enumerate(settings.trunks):
        if trunk.interface not in names:
            yield Finding(
                ("trunks", place, "interface"), f"there is no interface {trunk.interface!r}",
                f"known: {', '.join(sorted(names))}",
            )  # fmt: skip
        if trunk.listen is not None and trunk.listen not in settings.sip.listen:
            yield Finding(("trunks", place, "listen"), f"{trunk.listen} is not in sip.listen")
        if trunk.mode == "proxy" and settings.sip_topology.mode == "strip":
            yield Finding(("trunks", place, "mode"), "proxy needs sip_topology.mode mask: topos strips every call")
        for socket in trunk.sockets:
            if socket not in settings.sip.listen:
                yield Finding(("trunks", place, "sockets"), f"{socket} is not in sip.listen")
        if trunk.realm and any(other.realm.lower() == trunk.realm.lower() for other in settings.trunks[:place]):
            yield Finding(("trunks", place, "realm"), f"realm {trunk.realm!r} is another trunk's already")
        for network in ((network, socket) for network in trunk.match for socket in trunk.sockets or ("",)):
            other = networks.setdefault(network, trunk.name)
            if other != trunk.name:
                yield Finding(("trunks", place, "match"), f"{network[0]} already belongs to trunk {other!r}")
        if trunk.match and not trunk.destination:
            yield warning(("trunks", place), f"calls from {trunk.name!r} go nowhere", "set destination")
        yield from _weak_trunk(place, settings)


def _weak_trunk(place: int, settings: Settings) -> Iterator[Finding]:
    trunk = settings.trunks[place]
    for key in ("allow_null_auth", "allow_null_cipher", "sdes_unauthenticated_srtp", "sdes_unencrypted_srtp"):
        if getattr(trunk, key):
            yield warning(("trunks", place, key), "weakens the media of this trunk")
    if trunk.sdes_over_cleartext == "allow" and settings.security.sdes_requires_tls:
        yield warning(
            ("trunks", place, "sdes_over_cleartext"),
            "SDES keys of this trunk may be sent in the clear: whoever sees its SIP can listen in",
            "use tls, or DTLS-SRTP",
        )
    for key, names in _suite_lists(trunk):
        for suite in filter(None, map(suites.find, names)):
            if suite.weak:
                yield warning(("trunks", place, key), f"names {suite.name}: {suite.weak}")


def _suite_lists(trunk: Trunk) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The suite lists of a trunk, by setting."""
    for key in ("rtp_secure_media", "rtp_secure_media_inbound", "rtp_secure_media_outbound"):
        if getattr(trunk, key):
            yield key, secure_media.parse(getattr(trunk, key)).suites
    yield "rtp_secure_media_suites", secure_media.parse_suites(trunk.rtp_secure_media_suites)


def _security(settings: Settings) -> Iterator[Finding]:
    for key in ("allow_null_auth", "allow_null_cipher"):
        if getattr(settings.security, key):
            yield warning(
                ("security", key), "weakens the media of every call", "set it on the one trunk that needs it"
            )
    if settings.security.log_srtp_keys is not None:
        yield warning(
            ("security", "log_srtp_keys"), f"every SRTP key is written to {settings.security.log_srtp_keys}",
            "for a lab only: unset it and delete the file",
        )  # fmt: skip
    outside = [listen for listen in settings.sip.listen if not listen.at.loopback]
    clear = [listen for listen in outside if listen.transport not in ("tls", "wss")]
    if settings.sip.enabled and clear and not settings.security.sdes_requires_tls:
        yield warning(
            ("security", "sdes_requires_tls"),
            f"SDES keys may be sent in the clear over {clear[0]}",
            "use tls, or leave it true",
        )


def _ng(settings: Settings) -> Iterator[Finding]:
    wide = [network for network in settings.ng.allow if network.prefixlen == 0]
    ng = settings.ng
    open_doors = [
        (key, place, listen)
        for key in ("listen", "listen_tcp", "listen_http", "listen_https")
        for place, listen in enumerate(getattr(ng, key))
        if not listen.loopback
    ]
    for key, place, listen in open_doors:
        beyond = [network for network in settings.ng.allow if not network.is_loopback]
        if not beyond:
            yield Finding(
                ("ng", key, place), f"{listen} is not loopback and ng.allow lets nobody else in",
                "NG has no authentication: list the proxies' networks in ng.allow",
            )  # fmt: skip
        elif wide:
            yield Finding(
                ("ng", "allow"), f"{wide[0]} lets everybody command the gateway at {listen}",
                "NG has no authentication: list the proxies' networks",
            )  # fmt: skip
    if settings.sip.enabled and not settings.ng.listen:
        yield Finding(("ng", "listen"), "the SIP edge needs NG", 'listen = ["127.0.0.1:2223"], or sip.enabled = false')


def _grpc(settings: Settings) -> Iterator[Finding]:
    grpc = settings.grpc
    if grpc.listen is None:
        return
    for key in ("certificate", "key", "client_ca"):
        if getattr(grpc, key) is None:
            yield Finding(("grpc", key), f"must be given with grpc.listen {grpc.listen}", "TCP is mutual TLS only")


def _tls(settings: Settings) -> Iterator[Finding]:
    secure = [listen for listen in settings.sip.listen if listen.transport in ("tls", "wss")]
    for key in ("certificate", "key"):
        if settings.sip.enabled and secure and getattr(settings.sip, key) is None:
            yield Finding(("sip", key), f"must be given with sip.listen {secure[0]}")
        if settings.ng.listen_https and getattr(settings.ng, key) is None:
            yield Finding(("ng", key), f"must be given with ng.listen_https {settings.ng.listen_https[0]}")
    legacy = ", ".join(tls_words.legacy(tls_words.versions(settings.sip.tls_versions)))
    if legacy and not settings.sip.allow_legacy_tls:
        yield Finding(
            ("sip", "tls_versions"), f"{legacy}: forbidden by RFC 8996", "sip.allow_legacy_tls = true where it must be"
        )
    elif legacy and secure:
        yield warning(("sip", "tls_versions"), f"{legacy} and the SDES keys that it should protect can be broken")


def _files_there(settings: Settings) -> Iterator[Finding]:
    for table in ("grpc", "sip", "ng"):
        for key in ("certificate", "key", "client_ca"):
            path = getattr(getattr(settings, table), key, None)
            if path is None:
                continue
            if not path.is_file():
                yield Finding((table, key), f"{path} is not there")
            elif key == "key" and path.stat().st_mode & 0o007:
                yield Finding((table, key), f"{path} can be read by everybody", f"chmod o= {path}")


def _listeners(settings: Settings) -> Iterator[Finding]:
    """No two of our own sockets on one port; none inside the media range of an interface on that address."""
    taken: list[tuple[str, HostPort, str]] = []
    for where, kind, at in _sockets(settings):
        text = ".".join(str(key) for key in where if not isinstance(key, int))
        for other_kind, other_at, other in taken:
            if kind == other_kind and _collide(at, other_at):
                yield Finding(where, f"{kind} {at} is already used by {other}")
                break
        taken.append((kind, at, text))
        if kind == "udp" and (range_ := _taken_for_media(settings, at)):
            yield Finding(where, f"{at} lies in {range_}", "move one of them")


def _sockets(settings: Settings) -> Iterator[tuple[Where, str, HostPort]]:
    for place, listen in enumerate(settings.ng.listen):
        yield ("ng", "listen", place), "udp", listen
    for key in ("listen_tcp", "listen_http", "listen_https"):
        for place, listen in enumerate(getattr(settings.ng, key)):
            yield ("ng", key, place), "tcp", listen
    if settings.sip.enabled:
        for place, socket in enumerate(settings.sip.listen):
            yield ("sip", "listen", place), "udp" if socket.transport == "udp" else "tcp", socket.at
    for table in ("grpc", "http"):
        tcp = getattr(settings, table).listen
        if tcp is not None:
            yield (table, "listen"), "tcp", tcp


def _collide(one: HostPort, other: HostPort) -> bool:
    """Same port on the same address, or one of the two on all addresses of the family."""
    if one.port != other.port or (":" in one.host) != (":" in other.host):
        return False
    hosts = (one.host, other.host)
    return one.host == other.host or any(ipaddress.ip_address(host).is_unspecified for host in hosts)


def _taken_for_media(settings: Settings, at: HostPort) -> str:
    """The range of an interface that a socket would be in; "": of none."""
    everywhere = ipaddress.ip_address(at.host).is_unspecified
    for place, interface in enumerate(settings.interfaces):
        if (everywhere or interface.address == at.host) and at.port in settings.ports_of(interface):
            name = "media.ports" if interface.ports is None else f"interfaces[{place}].ports"
            return f"{name} {settings.ports_of(interface)}"
    return ""


def _repeated_names(settings: Settings, key: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, item in enumerate(getattr(settings, key)):
        if item.name in seen:
            yield Finding((key, place, "name"), f"the name {item.name!r} is already taken")
        seen.add(item.name)


RULES: tuple[Callable[[Settings], Iterator[Any]], ...] = (
    _port_range, _cores, _interfaces, _trunks, _security, _ng, _grpc, _tls, _files_there, _listeners,
    check_access.groups, check_access.routes, check_access.certificates, check_access.files,
    check_database.database, check_dispatcher.dispatcher, check_replication.replication,
    check_next_hops.next_hops,
    check_radius.radius,
    check_sip_tls.sip_tls,
    check_topology.topology,
)  # fmt: skip
