"""The stateless cookie before an association is made (RFC 6347 section 4.2.1): a source that ICE has not validated gets
nothing that is longer than what it sent, and takes no memory, until it has shown that it receives at its address."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

from appliance.calls.media import Address
from appliance.protocols.dtls import records

EPOCH_S = 30.0  # a cookie is good for one to two of them
OCTETS = 16  # the answer, 44 octets, is shorter than any ClientHello


class CookieFront:
    """`secret`: 32 random octets. Fronts of one secret and one clock accept each other's cookies."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._keys: dict[int, bytes] = {}

    def hello(self, datagram: bytes, source: Address, now: float) -> bytes | Literal[True] | None:
        """True: a ClientHello with our cookie, make an association. Octets: send these to the source. None: nothing.

        A wrong cookie is as good as none (section 4.2.1)."""
        found = records.hello(datagram)
        if found is None:
            return None
        epoch = int(now // EPOCH_S)
        if found.message_sequence == 1:  # the second one; a cookie proves nothing in any other
            good = any(hmac.compare_digest(found.cookie, self._cookie(source, e)) for e in (epoch, epoch - 1))
            return True if good else None
        answer = records.verify_request(found, self._cookie(source, epoch))
        return answer if found.message_sequence == 0 and len(answer) <= len(datagram) else None

    def _cookie(self, source: Address, epoch: int) -> bytes:
        message = f"{source.host} {source.port}".encode()
        return hashlib.blake2b(message, key=self._key(epoch), digest_size=OCTETS).digest()

    def _key(self, epoch: int) -> bytes:
        """Rotated: the key of an epoch is derived from the secret, so nothing has to be told to anybody."""
        if epoch not in self._keys:
            self._keys = {e: key for e, key in self._keys.items() if e == epoch - 1}
            number = epoch.to_bytes(8, "big", signed=True)
            self._keys[epoch] = hashlib.blake2b(number, key=self._secret, digest_size=32).digest()
        return self._keys[epoch]
