"""`[sip_sanity]`: which messages no route ever sees. Names are those of Kamailio's module sanity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Words

CHECKS: Mapping[str, int] = {
    "ruri_sip_version": 1, "ruri_scheme": 2, "required_headers": 4, "via_sip_version": 8, "via_protocol": 16,
    "cseq_method": 32, "cseq_value": 64, "cl": 128, "expires_value": 256, "proxy_require": 512, "parse_uris": 1024,
    "digest": 2048, "duptags": 4096, "authorization": 8192, "via1_header": 16384,
}  # fmt: skip
URIS: Mapping[str, int] = {"ruri": 1, "from": 2, "to": 4, "contact": 8}


def _mask(bits: Mapping[str, int]) -> BeforeValidator:
    """A number, or the names of its bits."""

    def read(value: Any) -> Any:
        if isinstance(value, str) and not value.strip().isdecimal():
            value = [word for word in value.replace(",", " ").split() if word]
        if isinstance(value, list | tuple):
            unknown = [word for word in value if word not in bits]
            if unknown:
                raise ValueError(f"no such check: {', '.join(map(str, unknown))}; there are {', '.join(bits)}")
            return sum({bits[word] for word in value})
        return value

    return BeforeValidator(read)


Checks = Annotated[int, _mask(CHECKS)]
Uris = Annotated[int, _mask(URIS)]


class SipSanity(Table):
    """Sanity checks of incoming SIP: what is malformed, too long or sent by a known scanner is refused or dropped
    before any look-up. Checks are given as a number or as a list of their names."""

    default_checks: Checks = row(
        17895, help=f"Checks of requests: {', '.join(CHECKS)}.", unit="bits", effect=Effect.RESTART, ge=0, le=32767
    )
    uri_checks: Uris = row(
        7, help=f"URIs of requests that parse_uris looks at: {', '.join(URIS)}.", unit="bits", effect=Effect.RESTART,
        ge=0, le=15,
    )  # fmt: skip
    reply_checks: Checks = row(
        17604, help="Checks of replies; one that fails is dropped.", unit="bits", effect=Effect.RESTART, ge=0, le=32767
    )
    reply_uri_checks: Uris = row(
        6, help="URIs of replies that parse_uris looks at.", unit="bits", effect=Effect.RESTART, ge=0, le=15
    )
    message_size: int = row(
        16_384, help="Longest message; a longer one is answered 513.", unit="octets", effect=Effect.RESTART,
        ge=1300, le=65_535,
    )  # fmt: skip
    headers_size: int = row(
        8192, help="Longest sum of all headers; 513.", unit="octets", effect=Effect.RESTART, ge=1000, le=65_535
    )
    body_size: int = row(
        8192, help="Longest body; 413. A browser's offer with video needs about 6,000.", unit="octets",
        effect=Effect.RESTART, ge=1000, le=65_535,
    )  # fmt: skip
    header_size: int = row(
        2048, help="Longest single header; 400.", unit="octets", effect=Effect.RESTART, ge=200, le=65_535
    )
    method_size: int = row(32, help="Longest method; 400.", unit="octets", effect=Effect.RESTART, ge=9, le=256)
    uri_size: int = row(
        256, help="Longest URI in the request line (414), From and To (400).", unit="octets",
        effect=Effect.RESTART, ge=64, le=8192,
    )  # fmt: skip
    scanners: Words = row(
        ("friendly-scanner", "friendly-request", "sipcli", "sipvicious", "sip-scan", "sipsak", "sundayddr", "iwar",
         "csipsimple", "sivus", "gulp", "sipv", "smap", "voipbuster", "vaxsipuseragent", "pplsip"),
        help="Requests whose User-Agent contains one of these words are dropped without a reply.",
        effect=Effect.RESTART,
    )  # fmt: skip
