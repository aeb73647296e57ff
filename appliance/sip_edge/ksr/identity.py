"""Who calls, as the callee is told (row I06): in the branch, so that each destination gets what its trunk wants."""

from __future__ import annotations

from collections.abc import Callable

import KSR

from appliance.sip_edge.ksr import read
from appliance.sip_edge.ksr.routing import Trunk
from appliance.sip_edge.ksr.rules import identity


def answered(answerer: Trunk, offerer: Trunk, clean: Callable[[str], str]) -> None:
    """The same of a reply: who answered (RFC 3325 section 5)."""
    pai = read.text(f"$hdr({identity.PAI})")
    for name in (identity.PAI, identity.RPID, identity.PPI):
        KSR.hdr.remove(name)
    told = identity.Told(pai, "", read.text(f"$hdr({identity.PRIVACY})"))
    if offerer.send_identity == "pai" and (line := identity.header(told, trusted=answerer.trust_identity, form="pai")):
        KSR.hdr.append(f"{clean(line)}\r\n")


def tell(caller: Trunk, callee: Trunk, clean: Callable[[str], str] = str) -> None:
    """Replace what the caller's side said by what the callee may know; `clean`: without addresses that are hidden."""
    pai, rpid, privacy = (read.text(f"$hdr({name})") for name in (identity.PAI, identity.RPID, identity.PRIVACY))
    for name in (identity.PAI, identity.RPID, identity.PPI):
        KSR.hdr.remove(name)
    told = identity.Told(pai, rpid, privacy)
    line = identity.header(told, trusted=caller.trust_identity, form=callee.send_identity)
    if line:
        KSR.hdr.append(f"{clean(line)}\r\n")
