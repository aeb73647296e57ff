"""The services that manage the SIP edge, joined to a server: one line per noun. Without a SIP edge they are
UNIMPLEMENTED."""

from __future__ import annotations

from typing import Any

from appliance.api.access_servicer import AccessServicer
from appliance.api.ban_servicer import BanServicer
from appliance.api.certificate_servicer import CertificateServicer
from appliance.api.destination_servicer import DestinationServicer
from appliance.api.edge_servicer import EdgeServicer
from appliance.api.subscriber_servicer import SubscriberServicer
from appliance.sip_edge.management.parts import EdgeParts
from srtpgw.v1 import (
    access_pb2,
    access_pb2_grpc,
    bans_pb2,
    bans_pb2_grpc,
    certificates_pb2,
    certificates_pb2_grpc,
    destinations_pb2,
    destinations_pb2_grpc,
    edge_pb2,
    edge_pb2_grpc,
    subscribers_pb2,
    subscribers_pb2_grpc,
)

SERVICES = (
    (edge_pb2, "EdgeService"),
    (access_pb2, "AccessService"),
    (destinations_pb2, "DestinationService"),
    (certificates_pb2, "CertificateService"),
    (bans_pb2, "BanService"),
    (subscribers_pb2, "SubscriberService"),
)  # fmt: skip


def add_to(server: Any, parts: EdgeParts) -> None:
    edge_pb2_grpc.add_EdgeServiceServicer_to_server(EdgeServicer(parts.edge), server)
    access_pb2_grpc.add_AccessServiceServicer_to_server(AccessServicer(parts.edge, lambda: parts.settings), server)
    destinations_pb2_grpc.add_DestinationServiceServicer_to_server(DestinationServicer(parts.destinations), server)
    certificates_pb2_grpc.add_CertificateServiceServicer_to_server(CertificateServicer(parts.certificates), server)
    users = SubscriberServicer(parts.subscribers, parts.phones)
    subscribers_pb2_grpc.add_SubscriberServiceServicer_to_server(users, server)
    if parts.bans is not None:  # without a media plane there is nobody to ban in the kernel
        bans_pb2_grpc.add_BanServiceServicer_to_server(BanServicer(parts.bans, parts.phones), server)
