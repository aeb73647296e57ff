"""An NG dictionary to MediaOptions: every spelling rtpengine takes ("transport-protocol", "transport protocol", flag words in
`flags` and, of newer Kamailios, in the one string `rtpp-flags`). Words not understood are collected in `unknown`."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.policy.options import MediaOptions
from appliance.protocols.ng.codec import Value


def read(body: Mapping[str, Value], defaults: MediaOptions | None = None) -> MediaOptions:
    """The wishes of an offer or answer laid over `defaults`. Never raises."""
    raise NotImplementedError
