"""Who asked, as the audit log writes it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.api.who import who


class Context:
    def __init__(self, peer: str, proved: dict[str, list[bytes]] | None = None, said: Any = ()) -> None:
        self._peer, self._proved, self._said = peer, proved or {}, said

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._proved

    def invocation_metadata(self) -> Any:
        return self._said


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), "local"), (None, "local"), ((("srtpgw-user", "alice"),), "local:alice"),
        ((("srtpgw-user", "alice\n{}"),), "local"), ((("srtpgw-user", "x" * 100),), "local"),
        ((("srtpgw-user", b"alice"),), "local"),
    ],
)  # fmt: skip
def test_unix_socket(said: Any, found: str) -> None:
    assert who(Context("unix:", said=said)) == found


def test_over_tcp_only_the_certificate_counts() -> None:
    said = (("srtpgw-user", "root"),)
    role = b"spiffe://example/role/admin"
    assert who(Context("ipv4:192.0.2.1:5", {"x509_common_name": [b"ops-1"]}, said)) == "cert:ops-1"
    assert who(Context("ipv4:192.0.2.1:5", {"x509_subject_alternative_name": [role]}, said)) == f"cert:{role.decode()}"
    assert who(Context("ipv4:192.0.2.1:5", {}, said)) == "unknown"
    assert who(Context("ipv4:192.0.2.1:5", {"x509_common_name": [b"\xff" * 500]})).startswith("cert:")
