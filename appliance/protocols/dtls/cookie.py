"""The stateless cookie before an association is made (RFC 6347 section 4.2.1): a source that ICE has not validated gets
nothing that is longer than what it sent, and takes no memory, until it has shown that it receives at its address.

In a gateway media workers answer the first ClientHello, and let no second one pass whose cookie is wrong
(kernels/flow/hello.pxd). It is asked for here once more: an association needs it, whoever stands before it."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from struct import Struct
from typing import Literal

from appliance.calls.media import Address
from appliance.protocols.dtls import records

EPOCH_S = 30  # a cookie is good for one to two of them
OCTETS = 16  # the answer, 44 octets, is shorter than any ClientHello


_said = Struct("!QB16sH").pack  # epoch, 4 or 6, address, port


class CookieFront:
    """`secret`: 32 random octets. Fronts of one secret and one clock accept each other's cookies."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

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
        address = ip_address(source.host)
        said = _said(epoch & 0xFFFF_FFFF_FFFF_FFFF, address.version, address.packed, source.port)
        return hmac.digest(self._secret, said, "sha1")[:OCTETS]
