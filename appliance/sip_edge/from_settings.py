"""Settings to an EdgeConfig: which settings the SIP edge takes, and how a trunk's quirks are said in NG words."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance.config.schema import Settings
from appliance.config.trunks import Trunk as TrunkSettings
from appliance.policy import secure_media
from appliance.policy.suites import weak_suites
from appliance.protocols.srtp import suites
from appliance.sip_edge import kamailio
from appliance.sip_edge.areas import (
    access,
    auth,
    database,
    dispatcher,
    flood,
    guard,
    limits,
    nat,
    proxy,
    radius,
    registrar,
    replication,
    streams,
    tls,
    topology,
    trickle,
    websocket,
)
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.ksr.routing import MediaPolicy, RoutingTable, Trunk

DEBIAN_USER = "kamailio"
MODULE_FOLDERS = ("/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules",
                  "/usr/lib64/kamailio/modules", "/usr/local/lib64/kamailio/modules")  # fmt: skip

AREAS: tuple[Callable[[Settings, Places], Area], ...] = (  # in load order of modules
    tls.area,  # first: OpenSSL takes Kamailio's shared memory only before anybody else initialises it
    database.area,
    flood.area,
    guard.area,
    limits.area,
    nat.area,
    registrar.area,
    replication.area,
    auth.area,
    radius.area,
    proxy.area,
    access.area,
    dispatcher.dispatcher,
    streams.area,
    websocket.area,
    trickle.area,
    topology.area,
)

# A trunk's quirks as NG words: (setting, value that asks for it, word). Words of rtpengine where it has one.
QUIRKS: tuple[tuple[str, object, str], ...] = (
    ("sdes_padding", False, "SDES-nopad"),
    ("sdes_padding", True, "SDES-pad"),
    ("sdes_unencrypted_srtp", True, "SDES-unencrypted_srtp"),
    ("sdes_unencrypted_srtcp", True, "SDES-unencrypted_srtcp"),
    ("sdes_unauthenticated_srtp", True, "SDES-unauthenticated_srtp"),
    ("sdes_liberal_lifetime", True, "SDES-liberal-lifetime"),
    ("suite_choice", "offerer", "SDES-choice-offerer"),
    ("suite_spelling", "alias", "SDES-spelling-alias"),
    ("srtcp_tag", "same-as-srtp", "SDES-srtcp-tag-as-srtp"),
    ("legacy_192", True, "SDES-legacy-192"),
    ("gcm8_answered_as_gcm", True, "SDES-gcm8-answered-as-gcm"),
    ("roc", "reset", "SDES-roc-reset"),
    ("roc", "keep", "SDES-roc-keep"),
    ("key_exchange", "sdes_first", "SDES-prefer"),
    ("sdes_over_cleartext", "allow", "SDES-over-cleartext"),
    ("latching", "off", "asymmetric"),
    ("dtls", "off", "DTLS-off"),
    ("dtls_role", "passive", "DTLS-passive"),
    ("dtls_sha1", True, "DTLS-sha1"),
    ("dtls_legacy", True, "DTLS-legacy"),
    ("ice", "offer", "ICE=force"),
    ("rtcp_mux", "offer", "rtcp-mux-offer"),
    ("rtcp_mux", "require", "rtcp-mux-require"),
    ("rtcp_xr", "remove", "no-rtcp-xr"),
    ("rtcp_feedback", "attribute", "AVP-feedback-offer"),
)
# What is said of a trunk only while it is the one whose SDP comes.
JUDGING: tuple[tuple[str, object, str], ...] = (
    ("ice", "off", "reject-ICE"),
    ("rtcp_mux", "off", "rtcp-mux-reject"),
    ("rtcp_feedback", "attribute", "AVP-feedback-accept"),
)
FRESH = {"call": "always", "trunk": "never"}  # dtls_certificate -> DTLS-fresh, which is "webrtc" else
NUMBERS = (  # the same with a number behind the word; 0 says nothing
    ("sdes_lifetime_log2", "SDES-lifetime"),
    ("sdes_lifetime_floor_log2", "SDES-lifetime-floor"),
    ("sdes_mki", "SDES-mki"),
)


def edge_config(settings: Settings, run: Path) -> EdgeConfig:
    """What the SIP edge of these settings is, in its run directory. OSError when that cannot be made."""
    sip = settings.sip
    ng = tuple(str(address) for address in settings.ng.listen)
    modules = sip.modules or module_folder()
    databases = (Path(modules) / "db_sqlite.so").exists() and kamailio.SCHEMAS.is_dir()
    run = run.resolve()
    places = Places(run, Path(modules), database.usable(settings, Path(modules)))
    table = RoutingTable(
        trunks=tuple(trunk(row, settings) for row in settings.trunks),
        sockets=tuple(str(socket) for socket in sip.listen if socket.transport not in websocket.CORE),
        sdes_requires_tls=settings.security.sdes_requires_tls,
        user_agent=sip.user_agent,
        ng=ng,
        guard=guard.rules(settings),
        flood=flood.rules(settings),
        limits=limits.rules(settings),
        nat=nat.rules(settings),
        registrar=registrar.rules(settings),
        replication=replication.rules(settings),
        radius=radius.rules(settings),
        auth=auth.rules(settings, run, database=places.database != ""),
        access=access.rules(settings, database=places.database != ""),
        routes=access.routes(settings),
        balance=dispatcher.rules(settings),
        streams=streams.rules(settings),
        tls=tls.rules(settings),
        websocket=websocket.rules(settings),
        topology=topology.rules(settings, account(settings)),
    )
    return EdgeConfig(
        run=run, listen=websocket.core_sockets(sip.listen), ng=ng, table=table,
        program=sip.program, modules=modules,
        workers=sip.workers, user=account(settings), log_level=sip.log_level,
        memory_manager=sip.memory_manager, shared_memory_mb=sip.shared_memory_mb,
        private_memory_mb=sip.private_memory_mb,
        answer_timeout_ms=sip.answer_timeout_ms, ring_timeout_ms=sip.ring_timeout_ms,
        dialog_timeout_s=sip.dialog_timeout_s, udp_mtu=sip.udp_mtu, user_agent=sip.user_agent, longest=longest(table),
        databases=databases, tables=places.database, areas=tuple(area(settings, places) for area in AREAS),
    )  # fmt: skip


def longest(table: RoutingTable) -> int:
    """Octets of a message that is taken, over whichever transport."""
    by = table.guard.over("wss" if table.websocket.enabled else "udp").message
    return max(EdgeConfig.longest, by)


def trunk(row: TrunkSettings, settings: Settings) -> Trunk:
    """One [[trunks]] table as the routing script sees it."""
    policy = secure_media.resolve(
        row.rtp_secure_media, row.rtp_secure_media_inbound, row.rtp_secure_media_outbound, row.rtp_secure_media_suites
    )
    return Trunk(
        name=row.name, match=tuple(str(network) for network in row.match), destination=row.destination,
        sockets=tuple(map(str, row.sockets)), realm=row.realm.lower(),
        uri=row.uri, authenticate=row.authenticate, peer_names=row.peer_names,
        listen=str(row.listen or ""), interface=row.interface,
        inbound=_policy(policy.inbound, row, settings, row.rtp_secure_media_inbound),
        outbound=_policy(policy.outbound, row, settings, row.rtp_secure_media_outbound),
        flags=quirk_flags(row),
        sdes_over_cleartext=row.sdes_over_cleartext == "allow",
        secure_in=_secure_in(row.secure_out_when_secure_in),
        trust_identity=row.trust_identity, send_identity=row.send_identity,
        vbr=row.vbr or settings.security.vbr, transcode=row.transcode,
        mode=row.mode, srtp=row.srtp,
        webrtc=row.webrtc, dtls=row.dtls,
        judging=tuple(word for name, value, word in JUDGING if getattr(row, name) == value),
    )  # fmt: skip


def quirk_flags(row: TrunkSettings) -> tuple[str, ...]:
    """NG words of a trunk's quirks, then the words its operator added."""
    flags = [word for name, value, word in QUIRKS if getattr(row, name) == value]
    flags += [f"{word}-{number}" for name, word in NUMBERS if (number := getattr(row, name))]
    flags += [f"OSRTP-{word}" for word in row.osrtp]
    flags += ["DTLS-active"] if (row.dtls, row.dtls_role) == ("offer", "active") else []
    flags += [f"DTLS-fingerprint:{row.dtls_fingerprint}"] if row.dtls_fingerprint != "sha-256" else []
    flags += [f"DTLS-certificate:{row.name}"] if row.dtls_certificate != "call" else []
    flags += [f"DTLS-fresh:{FRESH[row.dtls_certificate]}"] if row.dtls_certificate in FRESH else []
    if row.media_address:
        flags.append(f"media-address={row.media_address}")
    return (*flags, *row.flags)


def module_folder() -> str:
    """Where this machine's Kamailio has its modules; empty when nowhere known."""
    return next((folder for folder in MODULE_FOLDERS if Path(folder).is_dir()), "")


def _policy(policy: secure_media.SecureMedia, row: TrunkSettings, settings: Settings, direction: str) -> MediaPolicy:
    stated = bool(row.rtp_secure_media or direction)
    return MediaPolicy(policy.mode.value, policy.suites or _permitted(row, settings), stated)


def _secure_in(setting: str) -> tuple[str, ...]:
    """The suites of secure_out_when_secure_in in every spelling an offer may have."""
    named = [suite.name for suite in suites.SUITES] if setting == "any" else secure_media.parse_suites(setting)
    return tuple(spelling for name in named if (suite := suites.find(name)) for spelling in suite.spellings)


def _permitted(row: TrunkSettings, settings: Settings) -> tuple[str, ...]:
    """The built-in order with the weak suites that are allowed; empty when none is (the gateway's own order then)."""
    security = settings.security
    weak = weak_suites(
        null_auth=row.allow_null_auth or security.allow_null_auth,
        null_cipher=row.allow_null_cipher or security.allow_null_cipher,
        gcm_8=row.allow_gcm_8 or security.allow_gcm_8,
    )
    if not weak:
        return ()
    return tuple(suite.name for suite in suites.SUITES if not suite.weak or suite.name in weak)


def account(settings: Settings) -> str:
    """Whom Kamailio runs as when root starts it: the settings' account, else that of Debian's package."""
    if settings.sip.user:
        return settings.sip.user
    try:
        pwd.getpwnam(DEBIAN_USER)
    except KeyError:
        return ""
    return DEBIAN_USER if shutil.which("kamailio", path="/usr/sbin:/usr/bin") else ""
