"""What lies under every request's wishes: the settings that no face may loosen by accident. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from appliance.policy.options import MediaOptions, SdesOptions, Vbr
from appliance.policy.suites import weak_suites


class SecuritySettings(Protocol):
    """What is read of `config.schema.Security`."""

    @property
    def sdes_requires_tls(self) -> bool: ...
    @property
    def vbr(self) -> str: ...
    @property
    def allow_null_auth(self) -> bool: ...
    @property
    def allow_null_cipher(self) -> bool: ...
    @property
    def allow_gcm_8(self) -> bool: ...


def media_options(security: SecuritySettings, *, window: int, ssrc_limit: int) -> MediaOptions:
    """`window`: replay window in packets; `ssrc_limit`: sources per receiving context."""
    weak = (security.allow_null_auth, security.allow_null_cipher, security.allow_gcm_8)
    return _options(security.sdes_requires_tls, security.vbr, weak, window, ssrc_limit)


@lru_cache(maxsize=8)
def _options(
    sdes_requires_tls: bool, vbr: str, weak: tuple[bool, bool, bool], window: int, ssrc_limit: int
) -> MediaOptions:
    """The same value for the same settings: every request asks."""
    allowed = weak_suites(null_auth=weak[0], null_cipher=weak[1], gcm_8=weak[2])
    sdes = SdesOptions(window=window, max_window=max(window, 1024), ssrc_limit=ssrc_limit, allow_weak=allowed)
    return MediaOptions(sdes_requires_tls=sdes_requires_tls, sdes=sdes, vbr=Vbr(vbr))
