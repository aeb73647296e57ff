"""What lies under every request's wishes: the settings that no face may loosen by accident. Pure."""

from __future__ import annotations

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
    weak = weak_suites(
        null_auth=security.allow_null_auth, null_cipher=security.allow_null_cipher, gcm_8=security.allow_gcm_8
    )
    sdes = SdesOptions(window=window, max_window=max(window, 1024), ssrc_limit=ssrc_limit, allow_weak=weak)
    return MediaOptions(sdes_requires_tls=security.sdes_requires_tls, sdes=sdes, vbr=Vbr(security.vbr))
