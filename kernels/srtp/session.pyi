from collections.abc import Sequence

from kernels.srtp.status import CryptoView
from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop

_Octets = bytes | bytearray | memoryview

class Session:
    now_ns: int
    slot: int  # crypto that packets come for
    def __init__(
        self,
        transform: Transform,
        key: _Octets | None,
        salt: _Octets | None,
        *,
        send: bool,
        mki: bytes = b"",
        window: int = 128,
        kdr_log2: int | None = None,
        plain_rtp: bool = False,
        plain_rtcp: bool = False,
        unauthenticated_rtp: bool = False,
        legacy_192: bool = False,
        ssrc_limit: int = 16,
        initial_roc: int = 0,
        rtp_lifetime: int = 0,
        rtcp_lifetime: int = 0,
        keys: int = 8,
        memory: object | None = None,
        fresh: bool = True,
        lane: bool = True,
        roc: str = "auto",
        contexts: int = 1,
    ) -> None: ...
    @staticmethod
    def footprint(*, keys: int = 8, ssrc_limit: int = 16) -> int: ...
    def protect_rtp(self, packet: _Octets) -> bytes | Drop: ...
    def protect_rtcp(self, packet: _Octets) -> bytes | Drop: ...
    def unprotect_rtp(self, packet: _Octets) -> bytes | Drop: ...
    def unprotect_rtcp(self, packet: _Octets) -> bytes | Drop: ...
    def protect_rtp_many(self, packets: Sequence[_Octets]) -> list[bytes | Drop]: ...
    def protect_rtcp_many(self, packets: Sequence[_Octets]) -> list[bytes | Drop]: ...
    def unprotect_rtp_many(self, packets: Sequence[_Octets]) -> list[bytes | Drop]: ...
    def unprotect_rtcp_many(self, packets: Sequence[_Octets]) -> list[bytes | Drop]: ...
    def mixed(self, packets: Sequence[tuple[_Octets, bool]]) -> list[bytes | Drop]:
        """(datagram, whether it is RTCP) of both kinds in one batch."""
    def in_place(self, frame: bytearray | memoryview, length: int, *, rtcp: bool = False) -> int | Drop:
        """Work on a datagram at the start of the caller's frame, its size is the capacity; new length or why not."""
    def install(
        self, key: _Octets, salt: _Octets, *, mki: bytes = b"", rtp_lifetime: int = 0, rtcp_lifetime: int = 0
    ) -> None: ...
    def add_key(
        self, key: _Octets, salt: _Octets, mki: bytes, *, rtp_lifetime: int = 0, rtcp_lifetime: int = 0
    ) -> None: ...
    def select_key(self, mki: bytes) -> None: ...
    def remove_key(self, mki: bytes) -> None: ...
    def place(
        self,
        slot: int,
        transform: Transform,
        key: _Octets,
        salt: _Octets,
        *,
        mki: bytes = b"",
        also: int | None = None,
        roc: str | None = None,
        unauthenticated_rtp: bool = False,
        rtp_lifetime: int = 0,
    ) -> None:
        """Install another crypto of the same direction; `also` is asked for what this one does not take."""
    def remove(self, slot: int = 0) -> None: ...
    def reattach(self) -> None: ...
    def status(self, slot: int | None = None) -> CryptoView | None: ...
    @property
    def in_lane(self) -> bool:
        """Whether RTP has taken the short way since the last packet that had to take the long one."""
