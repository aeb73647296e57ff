"""A suite spelt out as numbers: what the engine needs to know of it, and no name."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.srtp.context import AuthKind, CipherKind


@dataclass(frozen=True, slots=True)
class Transform:
    """cipher, auth: names of CipherKind and AuthKind without prefix ("AES_CM", "HMAC_SHA1"); lengths in octets.

    ValueError when a name is unknown; the engine refuses lengths that do not belong together.
    """

    cipher: str
    auth: str
    key_octets: int
    salt_octets: int
    rtp_tag: int
    rtcp_tag: int

    def __post_init__(self) -> None:
        if f"CIPHER_{self.cipher}" not in CipherKind.__members__ or f"AUTH_{self.auth}" not in AuthKind.__members__:
            raise ValueError(f"unknown transform {self.cipher}/{self.auth}")

    @property
    def cipher_kind(self) -> CipherKind:
        return CipherKind[f"CIPHER_{self.cipher}"]

    @property
    def auth_kind(self) -> AuthKind:
        return AuthKind[f"AUTH_{self.auth}"]
