"""What the media of a branch want of keying. Pure."""

from __future__ import annotations

from appliance.calls.keyed import Seat, seats
from appliance.calls.keying_transport import Transport
from appliance.calls.media import DtlsMedia, LegMedia
from appliance.calls.registry import Branch
from appliance.protocols.dtls.outputs import Reason


def wanted(branch: Branch) -> dict[Seat, tuple[int, int, LegMedia]]:
    """Worker, flow slot and leg of each component that has to do with DTLS or ICE."""
    found: dict[Seat, tuple[int, int, LegMedia]] = {}
    if branch.placement is None:
        return found
    for line, media in branch.media.items():
        for side, leg in (("a", media.a), ("b", media.b)):
            if leg.dtls is None and leg.ice is None:
                continue
            placed = branch.placement.streams.get(line)
            for seat in seats(side, line, leg):
                slot = placed.flows.get(f"{side}_{seat.component}") if placed else None
                if slot is not None:
                    found[seat] = (branch.placement.worker, slot, leg)
    return found


def continues(was: DtlsMedia, wish: DtlsMedia) -> bool:
    """Whether an association that was opened for `was` will do: no other one is wanted, and what is known now fits the
    role that it has."""
    return (
        (was.association, was.certificate, was.suites, was.legacy)
        == (wish.association, wish.certificate, wish.suites, wish.legacy)
        and bool(was.active) == bool(wish.active)
        and (not was.fingerprints or was.fingerprints == wish.fingerprints)
    )


def silence(transport: Transport) -> str:
    """Why nobody has come."""
    if transport.ice is not None and transport.pair is None:
        return f"{Reason.TIMEOUT}: ICE has no valid pair"
    if transport.started:
        return f"{Reason.TIMEOUT}: no answer to our ClientHello"
    return f"{Reason.TIMEOUT}: no ClientHello has come" if not transport.begun else str(Reason.TIMEOUT)
