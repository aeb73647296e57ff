"""Every setting of the gateway, one row each. Files, environment, command line, `srtpgw check`, the reference in
docs/ and the plan of a reload are all made from these rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from appliance.config import tls_words
from appliance.config.dtls import Dtls
from appliance.config.routes import Route
from appliance.config.rows import Effect, Table, row
from appliance.config.sip_access import AddressGroup, SipAccess
from appliance.config.sip_accounting import SipAccounting
from appliance.config.sip_auth import SipAuth
from appliance.config.sip_bans import SipBans
from appliance.config.sip_database import SipDatabase
from appliance.config.sip_dispatcher import DestinationSet, SipDispatcher
from appliance.config.sip_flood import SipFlood
from appliance.config.sip_limits import SipLimit, SipOverload
from appliance.config.sip_nat import SipNat
from appliance.config.sip_radius import SipRadius
from appliance.config.sip_registrar import SipRegisterBlock, SipRegistrar
from appliance.config.sip_replication import SipReplication
from appliance.config.sip_sanity import SipSanity
from appliance.config.sip_tcp import SipTcp
from appliance.config.sip_tls import SipTls, SipTlsDomain, SipTlsPeer
from appliance.config.sip_topology import SipTopology
from appliance.config.sip_websocket import SipWebsocket
from appliance.config.trunks import NAME, Trunk, no_padding
from appliance.config.types import (
    IPLiteral,
    Listens,
    Networks,
    OptionalIPLiteral,
    OptionalListen,
    OptionalPorts,
    PortRange,
    Ports,
    SipSockets,
)

ENVIRONMENT_PREFIX = "SRTPGW_"


def _window(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two")
    return value


def _tls_versions(value: str) -> str:
    return ",".join(tls_words.versions(value))


class Media(Table):
    """The media plane: workers, ports, and how packets are judged."""

    cores: Literal["auto"] | tuple[int, ...] = row(
        "auto", help='Processor cores that carry media, one worker each, such as [1, 2]; "auto": all but the first.',
        effect=Effect.RESTART,
    )  # fmt: skip
    ports: Ports = row("30000-39999", help="UDP ports for media on every interface.", effect=Effect.RESTART)
    calls: int = row(
        2500,
        help="Calls that memory is set aside for; each takes four ports of an interface that carries both legs.",
        unit="calls",
        effect=Effect.RESTART,
        ge=1,
        le=1_000_000,
    )
    backend: Literal["auto", "udp", "udp-sockets", "udp-wildcard", "xdp"] = row(
        "auto",
        help="How packets reach the workers; auto: the fastest that works here; udp: the better of the two kinds of"
        " kernel sockets.",
        effect=Effect.RESTART,
    )
    xdp_mode: Literal["auto", "zerocopy", "native", "generic"] = row(
        "auto", help="How AF_XDP is attached; auto: zero copy, else native, else generic.", effect=Effect.RESTART
    )
    busy_poll_us: int = row(
        0, help="Workers drive the NIC's queue themselves, so long at a time; 0: interrupts do.", unit="microseconds",
        effect=Effect.RESTART, ge=0, le=1000,
    )  # fmt: skip
    cipher: Literal["auto", "multibuffer", "vaes", "ipsec-mb", "openssl"] = row(
        "auto",
        help="Which cipher code is used; multibuffer: the fastest, as measured at start, of vaes (own code, AVX-512) "
        "and ipsec-mb; auto: the same, or openssl where neither runs. What cannot run here keeps media from starting.",
        effect=Effect.RESTART,
    )
    admit_below: float = row(
        0.9,
        help="Share of its core from which on a worker takes no new calls; all above it: new calls are refused.",
        unit="share",
        effect=Effect.NEXT_CALL, gt=0, le=1,
    )  # fmt: skip
    placement: Literal["call-load", "round-robin", "relative-weight"] = row(
        "call-load",
        help="Which worker takes a new call, by the algorithms of destination sets: the least loaded, each in turn, or "
        "by the share of its core that is left.",
        effect=Effect.NEXT_CALL,
    )
    rebalance: bool = row(
        False, help="Move calls off a worker that is much busier than another for ten seconds.", effect=Effect.AT_ONCE
    )
    learning_s: float = row(
        3.0, help="How long after set-up a plain leg's address may still be learnt from packets.", unit="seconds",
        effect=Effect.RESTART, ge=0, le=60,
    )  # fmt: skip
    silence_timeout_s: float = row(
        60.0, help="End a call that no media came for in this time; 0: never.", unit="seconds",
        effect=Effect.NEXT_CALL, ge=0, le=86400,
    )  # fmt: skip
    offer_timeout_s: float = row(
        300.0, help="End a call whose offer nobody answered in this time; 0: never.", unit="seconds",
        effect=Effect.NEXT_CALL, ge=0, le=86400,
    )  # fmt: skip
    replay_window: Annotated[int, AfterValidator(_window)] = row(
        128, help="Replay window of receiving contexts; a power of two.", unit="packets",
        effect=Effect.NEXT_CALL, ge=64, le=1024,
    )  # fmt: skip
    ssrc_limit: int = row(
        16, help="Sources (SSRC) that one receiving context takes.", unit="SSRCs", effect=Effect.NEXT_CALL, ge=1, le=16
    )
    rekey_grace_s: float = row(
        5.0, help="How long a peer's keys before a re-key are taken, after the first packet under its new key.",
        unit="seconds", effect=Effect.AT_ONCE, ge=0, le=300,
    )  # fmt: skip
    key_expiring_at: float = row(
        0.9, help="From which used share of a master key's lifetime on the event key_expiring is told.",
        unit="share", effect=Effect.AT_ONCE, gt=0, le=1,
    )  # fmt: skip
    set_up_nics: bool = row(
        True, help="Before the media plane starts, tell NICs which queue takes which ports (flow rules) and move their "
        "interrupts to the workers' cores; takes root.", effect=Effect.RESTART,
    )  # fmt: skip
    user: str = row("", help="Account the media holder drops to once its sockets are open.", effect=Effect.RESTART)


class Paths(Table):
    """Where files and sockets are."""

    run: Path = row("/run/srtpgw", help="Sockets and process files; private to the gateway.", effect=Effect.RESTART)
    state: Path = row("/var/lib/srtpgw", help="Call records and what must survive a restart.", effect=Effect.RESTART)

    @property
    def media_socket(self) -> Path:
        return self.run / "media.sock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"


class Interface(Table):
    """One address of ours for media, by the name that trunks and NG's `direction` use."""

    name: str = row(
        "default", help="Name; the first interface is the default one.", effect=Effect.RESTART, pattern=NAME
    )
    address: IPLiteral = row(help="Local IP address that media ports are opened on.", effect=Effect.RESTART)
    advertised: OptionalIPLiteral = row(
        "", help="Address written in SDP when peers reach it under another one (NAT).", effect=Effect.NEXT_CALL
    )
    ports: OptionalPorts = row(
        "", help="UDP ports for media on it, shared by the workers; empty: media.ports.", effect=Effect.RESTART
    )


class Grpc(Table):
    """The management API. The Unix socket (paths.run)/control.sock is always there; TCP is mutual TLS only."""

    listen: OptionalListen = row("", help="TCP address and port; empty: Unix socket only.", effect=Effect.RESTART)
    certificate: Path | None = row(None, help="Server certificate chain, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    client_ca: Path | None = row(
        None, help="Authorities that client certificates must come from, PEM.", effect=Effect.RESTART
    )
    max_message_octets: int = row(
        262_144, help="Longest request taken.", unit="octets", effect=Effect.RESTART, ge=16_384, le=1_048_576
    )
    max_concurrent_streams: int = row(
        256, help="Requests under way per connection.", unit="requests", effect=Effect.RESTART, ge=1, le=10_000
    )
    reflection: bool = row(True, help="Serve reflection, so that grpcurl needs no .proto files.", effect=Effect.RESTART)


class Ng(Table):
    """rtpengine's NG protocol. It has no authentication of its own: the allow list, for all its sockets, is all there
    is."""

    listen: Listens = row(("127.0.0.1:2223",), help="Where NG is served over UDP; empty: not.", effect=Effect.RESTART)
    listen_tcp: Listens = row((), help="Where NG is served over TCP (tcp-ng).", effect=Effect.RESTART)
    listen_http: Listens = row(
        (), help="Where NG is served over HTTP (POST /ng) and WebSocket (ng.rtpengine.com).", effect=Effect.RESTART
    )
    listen_https: Listens = row(
        (), help="The same over TLS (HTTPS, WSS); needs certificate and key.", effect=Effect.RESTART
    )
    certificate: Path | None = row(None, help="Certificate chain for listen_https, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    allow: Networks = row(("127.0.0.0/8", "::1/128"), help="Source networks that are answered.", effect=Effect.AT_ONCE)
    connections: int = row(
        256, help="Most TCP connections, and most HTTP and WebSocket connections, at one time.", unit="connections",
        effect=Effect.RESTART, ge=1, le=10_000,
    )  # fmt: skip
    idle_s: float = row(
        10.0, help="Longest time that the rest of a TCP or HTTP message may take.", unit="seconds",
        effect=Effect.RESTART, gt=0, le=600,
    )  # fmt: skip
    delete_delay_s: int = row(
        0,
        help="How long a deleted call lives on where the request has no delete-delay of its own. rtpengine's default "
        "is 30; 0, at once, frees its ports for the next call.",
        unit="seconds", effect=Effect.RESTART, ge=0, le=3600,
    )  # fmt: skip
    templates: dict[str, str] = row(
        dict,
        help="Named flag strings, such as webrtc = \"SDES-off ICE=remove\", that a request names by `template`. "
        "`default`, and the one named like a command (`offer`), are read before each request's own words.",
        effect=Effect.RESTART,
    )  # fmt: skip


class Http(Table):
    """Metrics over HTTP (GET /metrics, OpenMetrics)."""

    listen: OptionalListen = row("", help="Address and port; empty: off.", effect=Effect.RESTART)


class Log(Table):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = row(
        "info", help="Least level written.", effect=Effect.AT_ONCE
    )
    format: Literal["auto", "json", "text"] = row(
        "auto", help="auto: text on a terminal, JSON lines elsewhere.", effect=Effect.RESTART
    )


class Sip(Table):
    """The SIP edge: Kamailio with our routing script."""

    enabled: bool = row(True, help="Start the SIP edge.", effect=Effect.RESTART)
    listen: SipSockets = row(
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"),
        help="SIP sockets (udp, tcp, tls, ws, wss).",
        effect=Effect.RESTART,
    )
    certificate: Path | None = row(None, help="Certificate chain for tls and wss, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    client_ca: Path | None = row(
        None,
        help="Authorities for certificates of TLS peers, PEM; unset: peers are not asked for one.",
        effect=Effect.RESTART,
    )
    tls_versions: Annotated[str, AfterValidator(_tls_versions)] = row(
        "tlsv1.2,tlsv1.3",
        help="TLS versions of tls and wss: one alone, or several, which mean the lowest and all above it (tlsv1, "
        "tlsv1.1, tlsv1.2, tlsv1.3; sslv23: any). SSL is refused.",
        effect=Effect.RESTART,
    )
    allow_legacy_tls: bool = row(
        False, help="Let tls_versions name TLS 1.0 and 1.1, which RFC 8996 forbids.", effect=Effect.RESTART
    )
    tls_ciphers: Annotated[str, AfterValidator(tls_words.ciphers)] = row(
        "", help="OpenSSL cipher string for TLS up to 1.2; empty: OpenSSL's own choice.", effect=Effect.RESTART
    )
    program: str = row("kamailio", help="Kamailio program, name or path.", effect=Effect.RESTART, min_length=1)
    modules: str = row(
        "", help="Directory of Kamailio's modules; empty: found beside the program.", effect=Effect.RESTART
    )
    run: Path | None = row(
        None, help="Run directory, private to Kamailio's account; unset: sip below paths.run.", effect=Effect.RESTART
    )
    user: str = row("", help="Account Kamailio runs as when started by root; empty: stay.", effect=Effect.RESTART)
    workers: int = row(
        4,
        help="Kamailio processes per UDP socket. They wait for the media gateway's answers most of the time, so there "
        "should be more of them than cores.",
        unit="processes", effect=Effect.RESTART, ge=1, le=64,
    )
    memory_manager: Literal["tlsf", "fm", "qm"] = row(
        "tlsf", help="How Kamailio hands out its memory: tlsf and fm in constant time, qm with checks for overruns.",
        effect=Effect.RESTART,
    )  # fmt: skip
    shared_memory_mb: int = row(
        64, help="Kamailio's shared memory.", unit="MiB", effect=Effect.RESTART, ge=16, le=65_536
    )
    private_memory_mb: int = row(
        8, help="Memory of each Kamailio process.", unit="MiB", effect=Effect.RESTART, ge=4, le=1024
    )
    answer_timeout_ms: int = row(
        30_000,
        help="Time for the first reply to an INVITE.",
        unit="milliseconds",
        effect=Effect.RESTART,
        ge=500,
        le=300_000,
    )
    ring_timeout_ms: int = row(
        120_000,
        help="Time for the final reply to an INVITE.",
        unit="milliseconds",
        effect=Effect.RESTART,
        ge=1000,
        le=600_000,
    )
    udp_mtu: int = row(
        0, help="Requests over UDP that are longer go by TCP (RFC 3261 section 18.1.1 says 1300); 0: none do. A peer "
        "that does not listen on TCP cannot be called then.", unit="octets", effect=Effect.RESTART, ge=0, le=65_535,
    )  # fmt: skip
    dialog_timeout_s: int = row(43_200, help="Longest call.", unit="seconds", effect=Effect.RESTART, ge=60, le=604_800)
    user_agent: str = row(
        "srtpgw", help="Our name in SIP headers.", effect=Effect.RESTART, pattern=r"^[\x20-\x7e]{1,64}$"
    )
    log_level: int = row(1, help="Kamailio's own log level (-1 errors .. 3 debug).", effect=Effect.RESTART, ge=-1, le=3)


class Security(Table):
    """What no trunk may loosen by accident. The defaults are the safe ones."""

    sdes_requires_tls: bool = row(
        True, help="Never offer or take SDES keys over SIP that is not TLS (or WSS).", effect=Effect.NEXT_CALL
    )
    log_srtp_keys: Path | None = row(
        None,
        help="File that every SRTP master key is written to, to decrypt captures in a lab (mode 0600); unset: nowhere. "
        "Who reads it hears the calls.",
        effect=Effect.RESTART,
    )
    vbr: Annotated[Literal["forbid", "allow"], BeforeValidator(no_padding)] = row(
        "forbid",
        help="Variable bit rate codecs on secured media, whose packet lengths tell what is said (RFC 6562): opus is "
        "told cbr=1, others are dropped (forbid); allow: they pass. A trunk's own word goes before.",
        effect=Effect.NEXT_CALL,
    )
    allow_null_auth: bool = row(
        False, help="Allow suites without authentication everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )
    allow_null_cipher: bool = row(
        False, help="Allow suites without encryption everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )
    allow_gcm_8: bool = row(
        False, help="Allow the 8-octet-tag AEAD suites everywhere; better per trunk.", effect=Effect.NEXT_CALL
    )


class Settings(BaseSettings):
    """The whole configuration. `Settings()` is the built-in defaults, `Settings(**tables)` those tables laid over
    them: files and environment are read by `appliance.config.load`, nowhere else."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, validate_default=True,
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", case_sensitive=False,
    )  # fmt: skip

    media: Media = row(Media, help=Media.__doc__ or "", effect=Effect.RESTART)
    paths: Paths = row(Paths, help=Paths.__doc__ or "", effect=Effect.RESTART)
    interfaces: tuple[Interface, ...] = row(
        lambda: (Interface(name="default", address="127.0.0.1"),), help=Interface.__doc__ or "", effect=Effect.RESTART,
        min_length=1,
    )  # fmt: skip
    dtls: Dtls = row(Dtls, help=Dtls.__doc__ or "", effect=Effect.RESTART)
    grpc: Grpc = row(Grpc, help=Grpc.__doc__ or "", effect=Effect.RESTART)
    ng: Ng = row(Ng, help=Ng.__doc__ or "", effect=Effect.RESTART)
    http: Http = row(Http, help=Http.__doc__ or "", effect=Effect.RESTART)
    log: Log = row(Log, help=Log.__doc__ or "", effect=Effect.RESTART)
    sip: Sip = row(Sip, help=Sip.__doc__ or "", effect=Effect.RESTART)
    sip_bans: SipBans = row(SipBans, help=SipBans.__doc__ or "", effect=Effect.RESTART)
    sip_database: SipDatabase = row(SipDatabase, help=SipDatabase.__doc__ or "", effect=Effect.RESTART)
    sip_tcp: SipTcp = row(SipTcp, help=SipTcp.__doc__ or "", effect=Effect.RESTART)
    sip_tls: SipTls = row(SipTls, help=SipTls.__doc__ or "", effect=Effect.RESTART)
    sip_tls_domains: tuple[SipTlsDomain, ...] = row((), help=SipTlsDomain.__doc__ or "", effect=Effect.RESTART)
    sip_tls_peers: tuple[SipTlsPeer, ...] = row((), help=SipTlsPeer.__doc__ or "", effect=Effect.RESTART)
    sip_topology: SipTopology = row(SipTopology, help=SipTopology.__doc__ or "", effect=Effect.RESTART)
    sip_websocket: SipWebsocket = row(SipWebsocket, help=SipWebsocket.__doc__ or "", effect=Effect.RESTART)
    security: Security = row(Security, help=Security.__doc__ or "", effect=Effect.NEXT_CALL)
    sip_overload: SipOverload = row(SipOverload, help=SipOverload.__doc__ or "", effect=Effect.RESTART)
    sip_limits: tuple[SipLimit, ...] = row((), help=SipLimit.__doc__ or "", effect=Effect.RESTART)
    sip_accounting: SipAccounting = row(SipAccounting, help=SipAccounting.__doc__ or "", effect=Effect.RESTART)
    sip_nat: SipNat = row(SipNat, help=SipNat.__doc__ or "", effect=Effect.RESTART)
    sip_radius: SipRadius = row(SipRadius, help=SipRadius.__doc__ or "", effect=Effect.RESTART)
    sip_registrar: SipRegistrar = row(SipRegistrar, help=SipRegistrar.__doc__ or "", effect=Effect.RESTART)
    sip_register_block: SipRegisterBlock = row(
        SipRegisterBlock, help=SipRegisterBlock.__doc__ or "", effect=Effect.RESTART
    )
    sip_replication: SipReplication = row(SipReplication, help=SipReplication.__doc__ or "", effect=Effect.RESTART)
    sip_sanity: SipSanity = row(SipSanity, help=SipSanity.__doc__ or "", effect=Effect.RESTART)
    sip_auth: SipAuth = row(SipAuth, help=SipAuth.__doc__ or "", effect=Effect.RESTART)
    sip_flood: SipFlood = row(SipFlood, help=SipFlood.__doc__ or "", effect=Effect.RESTART)
    sip_dispatcher: SipDispatcher = row(SipDispatcher, help=SipDispatcher.__doc__ or "", effect=Effect.RESTART)
    destination_sets: tuple[DestinationSet, ...] = row((), help=DestinationSet.__doc__ or "", effect=Effect.RESTART)
    trunks: tuple[Trunk, ...] = row((), help=Trunk.__doc__ or "", effect=Effect.NEXT_CALL)
    routes: tuple[Route, ...] = row((), help=Route.__doc__ or "", effect=Effect.NEXT_CALL)
    sip_access: SipAccess = row(SipAccess, help=SipAccess.__doc__ or "", effect=Effect.RESTART)
    address_groups: tuple[AddressGroup, ...] = row((), help=AddressGroup.__doc__ or "", effect=Effect.RESTART)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @property
    def sip_run(self) -> Path:
        return self.sip.run or self.paths.run / "sip"

    def interface(self, name: str) -> Interface:
        """The interface of that name; "" is the default (first) one. KeyError when there is none."""
        if not name:
            return self.interfaces[0]
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)

    def ports_of(self, interface: Interface) -> PortRange:
        """Its media ports: its own, else those of all."""
        return interface.ports or self.media.ports
