"""The gRPC server: a Unix socket always, TCP with mutual TLS when configured."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_reflection.v1alpha import reflection

from appliance.api import edge_services
from appliance.api.call_servicer import CallServicer
from appliance.api.guard import Guard, Observe
from appliance.api.hardware_servicer import HardwareServicer
from appliance.api.health import Health
from appliance.api.session_servicer import SessionServicer
from appliance.api.system_servicer import SystemServicer
from appliance.machine.hardware import Hardware
from appliance.policy.options import MediaOptions
from appliance.sip_edge.management.parts import EdgeParts
from srtpgw.v1 import (
    calls_pb2,
    calls_pb2_grpc,
    hardware_pb2,
    hardware_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)

if TYPE_CHECKING:
    from appliance.calls.service import CallService
    from appliance.config.grpc import Grpc

SOCKET_MODE = 0o660
SERVICES: tuple[str, ...] = tuple(
    file.DESCRIPTOR.services_by_name[name].full_name
    for file, name in (
        (calls_pb2, "CallService"),
        (sessions_pb2, "SessionService"),
        (system_pb2, "SystemService"),
        (hardware_pb2, "HardwareService"),
        *edge_services.SERVICES,
    )
)

log = structlog.get_logger("srtpgw.api")


class AlreadyRunning(OSError):
    """Somebody answers on the socket that we were to open."""


class ApiServer:
    """Serves `srtpgw.v1`, health and reflection. `start`, then `stop`; once."""

    def __init__(
        self,
        calls: CallService,
        settings: Grpc,
        unix_socket: Path,
        observe: Observe | None = None,
        options: Callable[[], MediaOptions] = MediaOptions,
        hardware: Hardware | None = None,
        edge: EdgeParts | None = None,
    ) -> None:
        """`options` gives what lies under the wishes of an offer: the security settings. Built in is the strict one."""
        self._settings = settings
        self._unix_socket = unix_socket
        self.health = Health(SERVICES)
        self.port: int | None = None  # TCP port in use, once started
        self._server = grpc.aio.server(interceptors=[Guard(observe)], options=_limits(settings))
        calls_pb2_grpc.add_CallServiceServicer_to_server(CallServicer(calls, options), self._server)
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(SessionServicer(calls), self._server)
        system_pb2_grpc.add_SystemServiceServicer_to_server(SystemServicer(calls, self.health), self._server)
        servicer = HardwareServicer(hardware or Hardware())
        hardware_pb2_grpc.add_HardwareServiceServicer_to_server(servicer, self._server)
        if edge is not None:
            edge_services.add_to(self._server, edge)
        self.health.add_to(self._server)
        if settings.reflection:
            reflection.enable_server_reflection((*SERVICES, *_STANDARD), self._server)

    async def start(self) -> None:
        """Open the sockets and serve. AlreadyRunning, OSError (socket, certificate or key cannot be used)."""
        _make_way(self._unix_socket)
        before = os.umask(0o777 & ~SOCKET_MODE)  # never a moment with a wider mode
        try:
            self._bind(f"unix:{self._unix_socket}", None)
        finally:
            os.umask(before)
        if self._settings.listen is not None:
            self.port = self._bind(str(self._settings.listen), _credentials(self._settings))
        await self._server.start()
        await self.health.set(serving=True)
        log.info("api serving", socket=str(self._unix_socket), tcp=str(self._settings.listen or ""))

    async def stop(self, grace_s: float = 2.0) -> None:
        """NOT_SERVING, then let requests under way end within `grace_s`."""
        await self.health.stop()
        await self._server.stop(grace_s)
        self._unix_socket.unlink(missing_ok=True)

    def _bind(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from error


_STANDARD: Sequence[str] = ("grpc.health.v1.Health", reflection.SERVICE_NAME)


def _limits(settings: Grpc) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_octets),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.max_metadata_size", 16_384),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ]


def _make_way(path: Path) -> None:
    """Remove the socket that a dead gateway left behind; refuse to take one that is alive, or a file that is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} is there and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise AlreadyRunning(f"another gateway answers on {path}")


def _credentials(settings: Grpc) -> grpc.ServerCredentials:
    """Mutual TLS: who has no certificate of our authorities does not get as far as a request."""
    files = (settings.key, settings.certificate, settings.client_ca)
    if None in files:
        raise OSError("grpc.listen needs grpc.certificate, grpc.key and grpc.client_ca: TCP is mutual TLS only")
    key, certificate, authorities = (Path(str(file)).read_bytes() for file in files)
    return grpc.ssl_server_credentials([(key, certificate)], authorities, require_client_auth=True)
