"""Who may call what: one row per method, default deny.

On the Unix socket whoever may open it (file mode 0660) is admin. Over TCP the client certificate says the role, in a
URI of its subject alternative names that ends in /role/viewer, /role/operator or /role/admin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum

_ROLE_URI = re.compile(rb"^[a-z][a-z0-9+.-]*://[^\s]+/role/(viewer|operator|admin)$")


class Role(IntEnum):
    """Each may do what the ones below it may."""

    NONE = 0
    VIEWER = 1  # look
    OPERATOR = 2  # make, change and end calls
    ADMIN = 3  # the gateway itself


METHODS: Mapping[str, Role] = {
    "/srtpgw.v1.CallService/Offer": Role.OPERATOR,
    "/srtpgw.v1.CallService/Answer": Role.OPERATOR,
    "/srtpgw.v1.CallService/Trickle": Role.OPERATOR,
    "/srtpgw.v1.CallService/Delete": Role.OPERATOR,
    "/srtpgw.v1.CallService/Get": Role.VIEWER,
    "/srtpgw.v1.CallService/List": Role.VIEWER,
    "/srtpgw.v1.CallService/Watch": Role.VIEWER,
    "/srtpgw.v1.CallService/Why": Role.VIEWER,
    "/srtpgw.v1.CallService/Move": Role.ADMIN,
    "/srtpgw.v1.CallService/SwitchKey": Role.OPERATOR,
    "/srtpgw.v1.CallService/Block": Role.OPERATOR,
    "/srtpgw.v1.CallService/Unblock": Role.OPERATOR,
    "/srtpgw.v1.CallService/StartEcho": Role.OPERATOR,
    "/srtpgw.v1.CallService/StopEcho": Role.OPERATOR,
    "/srtpgw.v1.CallService/Subscribe": Role.OPERATOR,
    "/srtpgw.v1.CallService/AnswerSubscription": Role.OPERATOR,
    "/srtpgw.v1.CallService/Unsubscribe": Role.OPERATOR,
    "/srtpgw.v1.SessionService/CreateSession": Role.OPERATOR,
    "/srtpgw.v1.SessionService/UpdateSession": Role.OPERATOR,
    "/srtpgw.v1.SessionService/DeleteSession": Role.OPERATOR,
    "/srtpgw.v1.SystemService/GetStatus": Role.VIEWER,
    "/srtpgw.v1.SystemService/Drain": Role.ADMIN,
    "/srtpgw.v1.SystemService/Resume": Role.ADMIN,
    "/srtpgw.v1.SystemService/DrainWorker": Role.ADMIN,
    "/srtpgw.v1.SystemService/UndrainWorker": Role.ADMIN,
    "/srtpgw.v1.HardwareService/GetHardware": Role.VIEWER,
    "/srtpgw.v1.EdgeService/GetStatus": Role.VIEWER,
    "/srtpgw.v1.EdgeService/Watch": Role.VIEWER,
    "/srtpgw.v1.EdgeService/ListAudit": Role.OPERATOR,
    "/srtpgw.v1.AccessService/ListAddresses": Role.VIEWER,
    "/srtpgw.v1.AccessService/AddAddresses": Role.ADMIN,
    "/srtpgw.v1.AccessService/ReplaceAddresses": Role.ADMIN,
    "/srtpgw.v1.AccessService/RemoveAddresses": Role.ADMIN,
    "/srtpgw.v1.AccessService/ListTrusted": Role.VIEWER,
    "/srtpgw.v1.AccessService/AddTrusted": Role.ADMIN,
    "/srtpgw.v1.AccessService/RemoveTrusted": Role.ADMIN,
    "/srtpgw.v1.AccessService/ListMembers": Role.VIEWER,
    "/srtpgw.v1.AccessService/AddMembers": Role.ADMIN,
    "/srtpgw.v1.AccessService/RemoveMembers": Role.ADMIN,
    "/srtpgw.v1.AccessService/Import": Role.ADMIN,
    "/srtpgw.v1.AccessService/ListPermissionFiles": Role.VIEWER,
    "/srtpgw.v1.AccessService/GetPermissionFile": Role.VIEWER,
    "/srtpgw.v1.AccessService/ReplacePermissionFile": Role.ADMIN,
    "/srtpgw.v1.AccessService/Reload": Role.ADMIN,
    "/srtpgw.v1.AccessService/Test": Role.VIEWER,
    "/srtpgw.v1.DestinationService/List": Role.VIEWER,
    "/srtpgw.v1.DestinationService/Choose": Role.VIEWER,
    "/srtpgw.v1.DestinationService/Add": Role.ADMIN,
    "/srtpgw.v1.DestinationService/Update": Role.ADMIN,
    "/srtpgw.v1.DestinationService/Remove": Role.ADMIN,
    "/srtpgw.v1.DestinationService/SetState": Role.OPERATOR,
    "/srtpgw.v1.DestinationService/Replace": Role.ADMIN,
    "/srtpgw.v1.DestinationService/Reload": Role.ADMIN,
    "/srtpgw.v1.DestinationService/Ping": Role.ADMIN,
    "/srtpgw.v1.CertificateService/ListCertificates": Role.VIEWER,
    "/srtpgw.v1.CertificateService/ReloadCertificates": Role.ADMIN,
    "/srtpgw.v1.CertificateService/ListCiphers": Role.VIEWER,
    "/srtpgw.v1.BanService/List": Role.VIEWER,
    "/srtpgw.v1.BanService/TopTalkers": Role.VIEWER,
    "/srtpgw.v1.BanService/Ban": Role.OPERATOR,
    "/srtpgw.v1.BanService/Unban": Role.OPERATOR,
    "/srtpgw.v1.SubscriberService/List": Role.VIEWER,
    "/srtpgw.v1.SubscriberService/Add": Role.ADMIN,
    "/srtpgw.v1.SubscriberService/SetPassword": Role.ADMIN,
    "/srtpgw.v1.SubscriberService/Remove": Role.ADMIN,
    "/srtpgw.v1.SubscriberService/Import": Role.ADMIN,
    "/srtpgw.v1.SubscriberService/ListContacts": Role.VIEWER,
    "/srtpgw.v1.SubscriberService/Deregister": Role.ADMIN,
    "/srtpgw.v1.SubscriberService/ListBlocks": Role.VIEWER,
    "/srtpgw.v1.SubscriberService/Unblock": Role.OPERATOR,
    "/grpc.health.v1.Health/Check": Role.VIEWER,
    "/grpc.health.v1.Health/Watch": Role.VIEWER,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.VIEWER,
}


def caller(peer: str, auth_context: Mapping[str, Iterable[bytes]]) -> Role:
    """The role of whoever is at the other end. `peer` is gRPC's name of it, `auth_context` what TLS proved."""
    if peer.startswith("unix:"):
        return Role.ADMIN
    found = (_ROLE_URI.match(name) for name in auth_context.get("x509_subject_alternative_name", ()))
    return max((Role[match[1].decode().upper()] for match in found if match), default=Role.NONE)


def allowed(role: Role, method: str) -> bool:
    needed = METHODS.get(method)
    return needed is not None and role >= needed
