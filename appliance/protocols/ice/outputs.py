"""What an agent is told to do with: frozen values, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from appliance.protocols.stun.attributes import Endpoint


class Credentials(Protocol):
    """RFC 8445 section 5.3; `appliance.calls.media.IceCredentials` is one."""

    @property
    def ufrag(self) -> str: ...
    @property
    def pwd(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Base:
    """One of our ports: what a host candidate stands for."""

    component: int  # 1: RTP, 2: RTCP
    address: Endpoint


@dataclass(frozen=True, slots=True)
class Send:
    base: Base
    to: Endpoint
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Valid:
    """The first check of this component has succeeded: DTLS may start (RFC 8445 section 12.1.1, RFC 8842)."""

    base: Base
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class Selected:
    """Media goes this way from now on."""

    base: Base
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class Failed:
    """No pair of these components is valid, and none will be without a restart."""

    components: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConsentLost:
    """Nothing may be sent this way any more, DTLS and RTCP included (RFC 7675 section 5.1)."""

    base: Base
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class Dropped:
    """A datagram that changed nothing; to be counted."""

    reason: str


Output = Send | Valid | Selected | Failed | ConsentLost | Dropped
