"""SRTP in plain Python: slow, short, and meant to be read beside the RFCs. The oracle of the packet path.

1. A `Context` is one direction of one stream: a suite, its master keys, and a `Source` for each SSRC.
2. Receiving: MKI -> key -> estimate -> replay check -> authenticate -> commit -> plaintext (RFC 3711 section 3.3).
3. Sending: index -> never twice -> encrypt -> authenticate -> MKI (before an HMAC tag, after an AEAD one).
4. Nothing changes on the word of a packet that did not authenticate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hmac import compare_digest

from appliance.protocols.srtp import kdf
from appliance.protocols.srtp.index import TURN, estimate
from appliance.protocols.srtp.kdf import SessionKeys
from appliance.protocols.srtp.packet import SRTCP_WORD, Drop, Header, read_header
from appliance.protocols.srtp.replay import ReplayWindow
from appliance.protocols.srtp.suites import RTCP_INDEXES, RTP_INDEXES, Suite
from appliance.protocols.srtp.transform import (
    STREAM_CIPHERS,
    Place,
    authenticate,
    gcm_open,
    gcm_seal,
    srtcp_word,
)

RESYNC_TRIALS, RESYNC_EVERY = 64, 16


@dataclass(slots=True)
class Key:
    """One master key and how much of its life is used (RFC 3711 sections 3.2.1 and 9.2)."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    mki: bytes = b""
    rtp_lifetime: int = RTP_INDEXES  # packets
    rtcp_lifetime: int = RTCP_INDEXES
    rtp_used: int = 0
    rtcp_used: int = 0

    @property
    def expired(self) -> bool:
        """Either lifetime used up ends the key for both protocols: "whichever occurs first" (RFC 3711 section 9.2)."""
        return self.rtp_used >= self.rtp_lifetime or self.rtcp_used >= self.rtcp_lifetime

    def count(self, *, rtcp: bool) -> None:
        if rtcp:
            self.rtcp_used += 1
        else:
            self.rtp_used += 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """What both ends agreed on, next to the keys."""

    suite: Suite
    window: int = 128  # packets
    kdr_log2: int | None = None
    encrypt_rtp: bool = True  # False: UNENCRYPTED_SRTP
    encrypt_rtcp: bool = True
    authenticate_rtp: bool = True
    srtcp_tag_as_srtp: bool = False  # FreeSWITCH (mission.md trap 5)
    ssrc_limit: int = 16
    initial_roc: int = 0
    first_rtcp_index: int = 1  # RFC 3711 section 3.4 says 0, libsrtp sends 1, receivers take both (SR-13)

    def tag(self, *, rtcp: bool) -> int:
        """Octets of the authentication tag."""
        if rtcp and not self.srtcp_tag_as_srtp:
            return self.suite.rtcp_tag
        return self.suite.rtp_tag if self.authenticate_rtp or rtcp else 0

    def encrypts(self, *, rtcp: bool) -> bool:
        """Whether the payload is encrypted; for SRTCP this is the E flag (clear with the NULL cipher, as libsrtp's)."""
        return self.suite.cipher != "NULL" and (self.encrypt_rtcp if rtcp else self.encrypt_rtp)

    @property
    def aead(self) -> bool:
        return self.suite.auth == "NONE"


class Source:
    """What is known of one SSRC."""

    def __init__(self, parameters: Parameters) -> None:
        self.rtp = ReplayWindow(parameters.window)
        self.rtcp = ReplayWindow(parameters.window)
        self.next_rtcp_index = parameters.first_rtcp_index


class Context:
    """One direction of one stream. `protect` and `unprotect` return the packet, or why there is none."""

    def __init__(self, parameters: Parameters, *keys: Key) -> None:
        if len({len(key.mki) for key in keys}) != 1 or (len(keys) > 1 and not keys[0].mki):
            raise ValueError("at least one key; several keys need MKIs of one length (RFC 4568 section 6.1)")
        if parameters.aead and not parameters.authenticate_rtp:
            raise ValueError("an AEAD suite cannot leave authentication out")
        self.parameters = parameters
        self.keys = {key.mki: key for key in keys}
        self.sending = keys[0]
        self.sources: dict[int, Source] = {}
        self.failures = 0  # packets rejected since the last good one

    def select_key(self, mki: bytes) -> None:
        """Send under this key from now on. KeyError when there is none of that MKI."""
        self.sending = self.keys[mki]

    def protect(self, packet: bytes, *, rtcp: bool) -> bytes | Drop:
        """SRTP from RTP, SRTCP from RTCP."""
        if self.sending.expired:
            return Drop.KEY_EXPIRED
        header = read_header(packet, 0, rtcp=rtcp)
        if isinstance(header, Drop):
            return header
        source = self.sources.get(header.ssrc)
        if source is None and len(self.sources) >= self.parameters.ssrc_limit:
            return Drop.SSRC_LIMIT
        source = source or Source(self.parameters)
        key, window = self.sending, source.rtcp if rtcp else source.rtp
        index = source.next_rtcp_index if rtcp else self._estimate(source, header)
        if window.behind(index) or not window.fresh(index):
            return Drop.TX_REPLAY
        if index >= (RTCP_INDEXES if rtcp else RTP_INDEXES):
            return Drop.KEY_EXPIRED
        place = self._place(packet, header, index, rtcp=rtcp, encrypted=self.parameters.encrypts(rtcp=rtcp))
        sealed = self._seal(packet, header, place, key)
        self._commit(source, window, place, key)
        return sealed

    def unprotect(self, packet: bytes, *, rtcp: bool) -> bytes | Drop:
        """RTP from SRTP, RTCP from SRTCP."""
        header = read_header(packet, self._trailer(rtcp=rtcp), rtcp=rtcp)
        if isinstance(header, Drop):
            return header
        key = self.keys.get(self._mki(packet, rtcp=rtcp))
        if key is None:
            return Drop.UNKNOWN_MKI
        if key.expired:
            return Drop.KEY_EXPIRED
        source = self.sources.get(header.ssrc) or Source(self.parameters)
        window = source.rtcp if rtcp else source.rtp
        index, encrypted = self._index_received(source, packet, header, rtcp=rtcp)
        place = self._place(packet, header, index, rtcp=rtcp, encrypted=encrypted)
        plain = self._verify(packet, header, window, place, key)
        if isinstance(plain, Drop) and self._may_resync(rtcp=rtcp):
            further = replace(place, index=index + TURN)
            again = self._verify(packet, header, window, further, key)
            plain, place = (plain, place) if isinstance(again, Drop) else (again, further)
        if isinstance(plain, Drop):
            self.failures += 1
            return plain
        if encrypted != self.parameters.encrypts(rtcp=rtcp) and rtcp and self.parameters.suite.cipher != "NULL":
            return Drop.ENCRYPTION_FLAG
        if header.ssrc not in self.sources and len(self.sources) >= self.parameters.ssrc_limit:
            return Drop.SSRC_LIMIT
        self._commit(source, window, place, key)
        self.failures = 0
        return plain

    def _verify(self, packet: bytes, header: Header, window: ReplayWindow, place: Place, key: Key) -> bytes | Drop:
        """The plaintext if the packet is fresh and authentic at this place. Reads only."""
        if window.behind(place.index):
            return Drop.REPLAY_OLD
        if not window.fresh(place.index):
            return Drop.REPLAY
        if place.index >= RTP_INDEXES:
            return Drop.KEY_EXPIRED  # no sender may have used it
        plain = self._open(packet, header, place, key)
        return Drop.AUTH_FAIL if plain is None else plain

    def _may_resync(self, *, rtcp: bool) -> bool:
        """A rejected SRTP packet is tried one turn further, where it is after a gap of more than 2^15 (row A14). The
        tag decides, so there must be one; a flood of forgeries gets a trial for the first 64, then for every 16th."""
        if rtcp or self.parameters.tag(rtcp=False) == 0:
            return False
        return self.failures < RESYNC_TRIALS or self.failures % RESYNC_EVERY == 0

    # --- the packet itself ------------------------------------------------------------------------------------------

    def _seal(self, packet: bytes, header: Header, place: Place, key: Key) -> bytes:
        """Figures 1 and 2 of RFC 3711; for AEAD suites figures 1 to 3 of RFC 7714."""
        keys, tag = self._session_keys(key, place), self.parameters.tag(rtcp=place.rtcp)
        clear, secret = packet[: header.octets], packet[header.octets :]
        if not place.encrypted:
            clear, secret = packet, b""
        word = srtcp_word(place.index, encrypted=place.encrypted) if place.rtcp else b""
        if self.parameters.aead:
            return clear + gcm_seal(keys, place, clear + word, secret, tag) + word + key.mki
        covered = clear + STREAM_CIPHERS[self.parameters.suite.cipher](keys, place, secret) + word
        return covered + key.mki + authenticate(keys, place, covered, tag)

    def _open(self, packet: bytes, header: Header, place: Place, key: Key) -> bytes | None:
        """The inverse of `_seal`, encrypted or not as the packet says; None when the tag does not verify."""
        keys, tag = self._session_keys(key, place), self.parameters.tag(rtcp=place.rtcp)
        body = packet[: len(packet) - self._trailer(rtcp=place.rtcp)]
        word = srtcp_word(place.index, encrypted=place.encrypted) if place.rtcp else b""
        clear, secret = (body[: header.octets], body[header.octets :]) if place.encrypted else (body, b"")
        if self.parameters.aead:
            plain = gcm_open(keys, place, clear + word, secret + packet[len(body) :][:tag], tag)
            return None if plain is None else clear + plain
        if not compare_digest(authenticate(keys, place, body + word, tag), packet[len(packet) - tag :]):
            return None
        return clear + STREAM_CIPHERS[self.parameters.suite.cipher](keys, place, secret)

    def _trailer(self, *, rtcp: bool) -> int:
        """Octets that protection adds."""
        return self.parameters.tag(rtcp=rtcp) + len(self.sending.mki) + (SRTCP_WORD if rtcp else 0)

    def _mki(self, packet: bytes, *, rtcp: bool) -> bytes:
        """AEAD: the MKI is last; otherwise the tag comes after it (RFC 7714 section 8.2, RFC 3711 section 3.1)."""
        end = len(packet) - (0 if self.parameters.aead else self.parameters.tag(rtcp=rtcp))
        return packet[end - len(self.sending.mki) : end]

    # --- index and state --------------------------------------------------------------------------------------------

    def _index_received(self, source: Source, packet: bytes, header: Header, *, rtcp: bool) -> tuple[int, bool]:
        """The index, and the E flag for SRTCP."""
        if not rtcp:
            return self._estimate(source, header), self.parameters.encrypts(rtcp=False)
        after = len(packet) - len(self.sending.mki) - (0 if self.parameters.aead else self.parameters.tag(rtcp=True))
        word = int.from_bytes(packet[after - SRTCP_WORD : after], "big")
        return word & 0x7FFFFFFF, bool(word >> 31)

    def _estimate(self, source: Source, header: Header) -> int:
        if source.rtp.newest is None:
            return self.parameters.initial_roc << 16 | header.sequence
        return estimate(source.rtp.newest, header.sequence)

    def _place(self, packet: bytes, header: Header, index: int, *, rtcp: bool, encrypted: bool) -> Place:
        return Place(header.ssrc, index, packet[: 8 if rtcp else 12], rtcp, encrypted)

    def _session_keys(self, key: Key, place: Place) -> SessionKeys:
        period = kdf.period(place.index, self.parameters.kdr_log2)
        return kdf.session_keys(self.parameters.suite, key.key, key.salt, rtcp=place.rtcp, period=period)

    def _commit(self, source: Source, window: ReplayWindow, place: Place, key: Key) -> None:
        """The only writer of state."""
        self.sources[place.ssrc] = source
        window.commit(place.index)
        key.count(rtcp=place.rtcp)
        if place.rtcp:
            source.next_rtcp_index = place.index + 1
