"""Who may call what: default deny, and every method has a row."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from appliance.api import roles
from appliance.api.roles import METHODS, Role, allowed, caller

OURS = Path(roles.__file__).parent / "srtpgw" / "v1"
PROTOS = (
    *(f"srtpgw.v1.{proto.stem}_pb2" for proto in sorted(OURS.glob("*.proto"))),
    "grpc_health.v1.health_pb2",
    "grpc_reflection.v1alpha.reflection_pb2",
)
UNSERVED = {"/grpc.health.v1.Health/List"}  # the library's servicer does not have it


def _registered() -> set[str]:
    found = set()
    for module in PROTOS:
        for service in importlib.import_module(module).DESCRIPTOR.services_by_name.values():
            found |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    return found - UNSERVED


def test_every_registered_method_has_a_row() -> None:
    assert set(METHODS) == _registered()


def test_no_method_is_for_everybody() -> None:
    assert all(role > Role.NONE for role in METHODS.values())


def test_what_is_not_in_the_table_is_denied_to_all() -> None:
    assert not any(allowed(role, "/srtpgw.v1.CallService/New") for role in Role)


@pytest.mark.parametrize(
    ("peer", "names", "role"),
    [
        ("unix:", [], Role.ADMIN),
        ("ipv4:127.0.0.1:5", [], Role.NONE),
        ("ipv4:127.0.0.1:5", [b"gateway.example"], Role.NONE),
        ("ipv4:127.0.0.1:5", [b"spiffe://example/srtpgw/role/viewer"], Role.VIEWER),
        ("ipv4:127.0.0.1:5", [b"x", b"spiffe://example/role/operator"], Role.OPERATOR),
        ("ipv6:[::1]:5", [b"spiffe://example/role/admin"], Role.ADMIN),
        ("ipv6:[::1]:5", [b"spiffe://example/role/admin/x"], Role.NONE),
        ("ipv6:[::1]:5", [b"role/admin"], Role.NONE),
        ("ipv6:[::1]:5", [b"spiffe://example/role/root"], Role.NONE),
    ],
)
def test_role_of_a_client(peer: str, names: list[bytes], role: Role) -> None:
    assert caller(peer, {"x509_subject_alternative_name": names}) is role


def test_viewer_looks_and_nothing_else() -> None:
    may = {method for method in METHODS if allowed(Role.VIEWER, method)}
    verbs = {re.match(r"[A-Z][a-z]+", method.rpartition("/")[2])[0] for method in may}  # type: ignore[index]
    assert verbs == {"Get", "List", "Watch", "Why", "Check", "Server", "Test", "Choose", "Top"}  # Server...: reflection
    assert roles.METHODS["/srtpgw.v1.SystemService/Drain"] is Role.ADMIN
