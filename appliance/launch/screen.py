"""What `srtpgw up` says: what is missing, what listens where, how to place a call. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from appliance.config.schema import Settings
from appliance.launch.missing import Need


def lacking(needs: Iterable[Need]) -> list[str]:
    return [f"missing: {need.name} - {need.cost}" for need in needs]


def listening(settings: Settings, *, sip: bool) -> list[str]:
    """One line per face of the gateway."""
    media = [f"{settings.ports_of(one)} on {one.address} ({one.name})" for one in settings.interfaces]
    rows = [
        ("SIP", ", ".join(map(str, settings.sip.listen)) if sip else "off"),
        ("NG", ", ".join(map(str, settings.ng.listen)) or "off"),
        ("gRPC", ", ".join(filter(None, (f"unix:{settings.paths.control_socket}", str(settings.grpc.listen or ""))))),
        ("metrics", f"http://{settings.http.listen}/metrics" if settings.http.listen else "off"),
        ("media", f"udp {', '.join(media)}"),
    ]
    return ["listening:", *(f"  {name:<8} {where}" for name, where in rows)]


def how_to_call(settings: Settings, *, sip: bool) -> list[str]:
    """Routes of the trunks in words, and the commands to look with."""
    lines = ["to place a call:"]
    if sip and settings.sip.listen:
        target = settings.sip.listen[0].at
        for trunk in settings.trunks:
            if trunk.destination:
                source = ", ".join(map(str, trunk.match))
                lines.append(f"  call sip:<number>@{target} from {source}: it is sent on to {trunk.destination}")
    lines.append("  srtpgw demo            one call with RTP on one side and SRTP on the other, verified at both ends")
    lines.append("to look:  srtpgw status    srtpgw calls list")
    return lines


def logs(folder: Path | None, names: Sequence[str]) -> list[str]:
    return [] if folder is None else [f"logs: {folder}/{{{','.join(names)}}}.log"]
