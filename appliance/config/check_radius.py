"""Contradictions in [sip_radius]."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config.finding import Finding, warning
from appliance.config.schema import Settings
from appliance.config.types import HostPort


def radius(settings: Settings) -> Iterator[Finding]:
    """A server needs a secret; who is far away should not be asked over the open network."""
    ours = settings.sip_radius
    if not (ours.servers or ours.accounting):
        if ours.secret_file is not None:
            yield Finding(("sip_radius", "secret_file"), "is of no use without servers or accounting")
        return
    if ours.secret_file is None:
        yield Finding(("sip_radius", "secret_file"), "must be given with sip_radius.servers or accounting")
    elif not ours.secret_file.is_file():
        yield Finding(("sip_radius", "secret_file"), f"there is no file {ours.secret_file}")
    far = [name for name in (*ours.servers, *ours.accounting) if not HostPort.parse(name).loopback]
    if far:
        why = f"{far[0]} is asked in the clear: RADIUS proves replies with MD5 and hides nothing but passwords"
        yield warning(("sip_radius",), why, "only over a network of your own, or a tunnel")
    if ours.servers and "MD5" not in settings.sip_auth.algorithms:
        yield Finding(("sip_auth", "algorithms"), "RADIUS servers know MD5 alone", "add MD5, or use the database")
