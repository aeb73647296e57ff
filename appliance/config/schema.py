"""Every setting of the gateway: the tables, which have a file each, one row for a setting. Files, environment, command
line, `srtpgw check`, the reference in docs/ and the plan of a reload are all made from these rows.
"""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from appliance.config.dtls import Dtls
from appliance.config.grpc import Grpc
from appliance.config.http import Http
from appliance.config.interfaces import Interface
from appliance.config.log import Log
from appliance.config.media import Media
from appliance.config.ng import Ng
from appliance.config.paths import Paths
from appliance.config.routes import Route
from appliance.config.rows import Effect, row
from appliance.config.security import Security
from appliance.config.sip import Sip
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
from appliance.config.trunks import Trunk
from appliance.config.types import PortRange

ENVIRONMENT_PREFIX = "SRTPGW_"


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
