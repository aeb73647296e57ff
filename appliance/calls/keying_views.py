"""What can be seen of a leg's association and ICE agent. Never a key or a password."""

from __future__ import annotations

import time
from collections import Counter

from appliance.calls.keyed import Seat
from appliance.calls.media import Address, LegMedia
from appliance.calls.registry import Branch
from appliance.calls.views import DtlsView, IceState, IceView
from kernels.control.status import FlowStatus, IceStatus

_ROLES = {None: "", True: "client", False: "server"}
_NO_CHECKS = ("unexpected", "unanswered")  # of what agents refuse: no checks, or counted by their reason already


def dtls_view(branch: Branch, line: int, side: str, leg: LegMedia) -> DtlsView | None:
    """None: no DTLS there."""
    if leg.dtls is None:
        return None
    rtp, rtcp = Seat(line, side, "rtp"), Seat(line, side, "rtcp")
    state = branch.handshakes.get(rtp, "")
    keys = branch.keyed.get(rtp)
    if keys is None:
        return DtlsView(_ROLES[leg.dtls.active], state, branch.handshakes.get(rtcp, ""))
    return DtlsView(
        role=_ROLES[keys.active],
        state=state,
        rtcp_state=branch.handshakes.get(rtcp, ""),
        suite=keys.receive.suite,
        fingerprint_hash=keys.peer.hash,
        fingerprint=keys.peer.value.hex(":").upper(),
        age_s=max(0.0, time.time() - keys.since),
    )


def ice_view(leg: LegMedia, rtp: FlowStatus | None, rtcp: FlowStatus | None) -> IceView | None:
    """None: no ICE there. Without readings of its flows only what was wanted."""
    if leg.ice is None:
        return None
    agents = [flow.ice for flow in (rtp, rtcp) if flow is not None and flow.ice is not None]
    consents = [agent.consent_ns for agent in agents if agent.consent_ns]
    refused: Counter[str] = Counter()
    for agent in agents:
        refused.update({reason: number for reason, number in agent.refused.items() if reason not in _NO_CHECKS})
    return IceView(
        lite=leg.ice.lite,
        pair_rtp=_pair(rtp),
        pair_rtcp=_pair(rtcp),
        consent=bool(agents) and all(agent.consent for agent in agents),
        consent_age_s=max(0.0, (time.monotonic_ns() - min(consents)) / 1e9) if consents else None,
        checks_answered=sum(agent.answered for agent in agents),
        checks_refused=sum(refused.values()),
        controlling=leg.ice.controlling,
        state=_state(None if rtp is None else rtp.ice),
        refused=refused,
    )


def _state(agent: IceStatus | None) -> IceState:
    if agent is None:
        return IceState.NO_CHECKS
    if agent.selected is not None and agent.consent:
        return IceState.CONNECTED
    if agent.selected is not None or agent.consent_ns:
        return IceState.CONSENT_LOST
    if agent.answered:
        return IceState.CHECKED
    return IceState.REFUSED if agent.refused.get("user") or agent.refused.get("integrity") else IceState.NO_CHECKS


def _pair(flow: FlowStatus | None) -> Address | None:
    agent = None if flow is None else flow.ice
    return None if agent is None or agent.selected is None else Address(*agent.selected)
