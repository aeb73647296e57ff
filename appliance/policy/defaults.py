"""What lies under every request's wishes: the settings that no face may loosen by accident. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from appliance.policy.options import MediaOptions, SdesOptions
from appliance.protocols.srtp import suites


class SecuritySettings(Protocol):
    """What is read of `config.schema.Security`."""

    @property
    def sdes_requires_tls(self) -> bool: ...
    @property
    def allow_null_auth(self) -> bool: ...
    @property
    def allow_null_cipher(self) -> bool: ...
    @property
    def allow_gcm_8(self) -> bool: ...


def media_options(security: SecuritySettings, *, window: int, ssrc_limit: int) -> MediaOptions:
    """`window`: replay window in packets; `ssrc_limit`: sources per receiving context."""
    sdes = SdesOptions(
        window=window, max_window=max(window, 1024), ssrc_limit=ssrc_limit, allow_weak=allowed_weak(security)
    )
    return MediaOptions(sdes_requires_tls=security.sdes_requires_tls, sdes=sdes)


def allowed_weak(security: SecuritySettings) -> frozenset[str]:
    """Names of the weak suites that the settings allow everywhere (B10: none unless named). A suite that is weak in
    several ways needs every one of them allowed."""
    reasons: tuple[tuple[bool, Callable[[suites.Suite], bool]], ...] = (
        (security.allow_null_auth, lambda suite: suite.rtp_tag == 0),
        (security.allow_null_cipher, lambda suite: suite.cipher == "NULL"),
        (security.allow_gcm_8, lambda suite: suite.cipher == "AES_GCM" and suite.rtp_tag == 8),
    )
    allowed = set()
    for suite in suites.SUITES:
        verdicts = [permitted for permitted, applies in reasons if applies(suite)]
        if suite.weak and verdicts and all(verdicts):
            allowed.add(suite.name)
    return frozenset(allowed)
