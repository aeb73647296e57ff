"""Contradictions in what the SIP edges of a fleet tell each other."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config.finding import Finding, warning
from appliance.config.schema import Settings


def replication(settings: Settings) -> Iterator[Finding]:
    """[sip_replication]: a socket that is there, somebody to tell, something to tell."""
    ours = settings.sip_replication
    if ours.listen is None:
        if ours.peers:
            yield Finding(("sip_replication", "peers"), "are of no use without sip_replication.listen")
        return
    if ours.listen not in settings.sip.listen:
        yield Finding(("sip_replication", "listen"), f"{ours.listen} is not in sip.listen")
    if ours.listen.transport in ("ws", "wss"):
        yield Finding(("sip_replication", "listen"), "gateways talk to each other over udp, tcp or tls")
    if not ours.peers:
        yield Finding(("sip_replication", "peers"), "must be given with sip_replication.listen")
    if not (settings.sip_registrar.enabled and settings.sip_register_block.enabled):
        hint = "sip_registrar.enabled, sip_register_block.enabled"
        yield warning(("sip_replication",), "there is nothing to tell", hint)
