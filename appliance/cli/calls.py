"""`srtpgw calls list|show|why|delete|move|switch-key`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.client import TIMEOUT_S, connected
from appliance.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption
from appliance.cli.output import print_json, print_table, tree
from appliance.cli.paging import listed

CallArgument = Annotated[str, typer.Argument(metavar="CALL-ID", help="As `calls list` prints it.")]


def register(app: typer.Typer) -> None:
    calls = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(calls, name="calls", help="Calls and low-level sessions.")
    calls.command("list")(list_)
    calls.command("show")(show)
    calls.command("why")(why)
    calls.command("delete")(delete)
    calls.command("move")(move)
    calls.command("switch-key")(switch_key)


def list_(
    limit: Annotated[int, typer.Option(help="At most this many; 0: all.", min=0)] = 100,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Calls in order of their call-id."""
    with connected(socket) as channel:
        found = list(_pages(channel, limit))
    if as_json:
        print_json([tree(call) for call in found])
        return
    columns = ("call-id", "state", ">age", ">worker", ">streams", "leg a", "leg b", "label")
    print_table(columns, [_row(call) for call in found])


def show(call_id: CallArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """One call: legs, suites, addresses, packets each way, drops."""
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    with connected(socket) as channel:
        call = calls_pb2_grpc.CallServiceStub(channel).Get(calls_pb2.GetCallRequest(call_id=call_id), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(call))
    else:
        _print(call)


def why(call_id: CallArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """Why is there no audio? Likely causes, worst first, with the evidence and what to do."""
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    with connected(socket) as channel:
        reply = calls_pb2_grpc.CallServiceStub(channel).Why(calls_pb2.WhyRequest(call_id=call_id), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(reply))
        return
    for number, finding in enumerate(reply.findings, 1):
        _print_finding(number, finding)


def delete(call_id: CallArgument, socket: SocketOption = Path(DEFAULT_SOCKET), as_json: JsonOption = False) -> None:
    """End a call and show its last counters."""
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    with connected(socket) as channel:
        stub = calls_pb2_grpc.CallServiceStub(channel)
        call = stub.Delete(calls_pb2.DeleteCallRequest(call_id=call_id), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(call))
    else:
        _print(call)


def move(
    call_id: CallArgument,
    worker: Annotated[int, typer.Option(help="Number of the worker that is to carry it.", min=0)],
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Move a call to another worker while its media flows."""
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    with connected(socket) as channel:
        stub = calls_pb2_grpc.CallServiceStub(channel)
        call = stub.Move(calls_pb2.MoveCallRequest(call_id=call_id, worker=worker), timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(call))
    else:
        _print(call)


def switch_key(
    call_id: CallArgument,
    mki: Annotated[int, typer.Option(help="Value of the MKI of the key to use.", min=1)],
    leg: Annotated[str, typer.Option(help="The leg that is sent to: a or b.")],
    stream: Annotated[int, typer.Option(help="Number of the stream, as `calls show` prints it.", min=0)] = 0,
    socket: SocketOption = Path(DEFAULT_SOCKET),
    as_json: JsonOption = False,
) -> None:
    """Encrypt towards a leg with another of its master keys."""
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    with connected(socket) as channel:
        request = calls_pb2.SwitchKeyRequest(call_id=call_id, stream=stream, leg=leg, mki=mki)
        call = calls_pb2_grpc.CallServiceStub(channel).SwitchKey(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(tree(call))
    else:
        _print(call)


def _print_finding(number: int, finding: Any) -> None:
    """A paragraph: what and where, how sure, what speaks for it, what to do."""
    cause = type(finding).Cause.Name(finding.cause).lower().replace("_", "-")
    sure = type(finding).Confidence.Name(finding.confidence).lower()
    place = [f"stream {finding.stream}"] if finding.HasField("stream") else []
    place += [f"leg {finding.leg}"] if finding.leg else []
    place += [f"branch {finding.via_branch}"] if finding.via_branch else []
    typer.echo(f"{number}. {cause} ({', '.join([*place, sure])})")
    typer.echo(f"   {finding.sentence}")
    if finding.evidence:
        typer.echo("   seen: " + ", ".join(f"{item.name} {item.value}" for item in finding.evidence))
    typer.echo(f"   do:   {finding.advice}")


def _pages(channel: Any, limit: int) -> Iterator[Any]:
    from srtpgw.v1 import calls_pb2, calls_pb2_grpc

    return listed(calls_pb2_grpc.CallServiceStub(channel).List, calls_pb2.ListCallsRequest(), "calls", limit)


def _row(call: Any) -> tuple[object, ...]:
    age = datetime.now(UTC) - call.create_time.ToDatetime(UTC)
    return (
        call.call_id,
        _state(call),
        timedelta(seconds=int(age.total_seconds())),
        call.worker,
        len(call.streams),
        ", ".join(dict.fromkeys(_media(stream.a) for stream in call.streams)),
        ", ".join(dict.fromkeys(_media(stream.b) for stream in call.streams)),
        call.label,
    )


def _print(call: Any) -> None:
    typer.echo(f"{call.call_id}  {_state(call)}  worker {call.worker}  revision {call.revision}  {call.label}".rstrip())
    columns = (
        "stream", "leg", "media", "ours", "theirs", "seen", ">from it", ">to it", ">rtcp from/to", ">last", "drops",
    )  # fmt: skip
    rows = [_leg_row(stream, side) for stream in call.streams for side in ("a", "b")]
    copies = [(stream, side) for stream in call.copies for side in ("a", "b") if getattr(stream, side).interface]
    print_table(columns, [*rows, *(_copy_row(stream, side) for stream, side in copies)])
    paths = [_path_row(stream, side) for stream in call.streams for side in ("a", "b") if _has_path(stream, side)]
    if paths:
        typer.echo("")
        print_table(PATH_COLUMNS, paths)
    reports = [_report_row(stream, side) for stream in call.streams for side in ("a", "b") if _reports(stream, side)]
    if reports:
        typer.echo("")
        print_table(REPORT_COLUMNS, reports)
    contexts = [row for stream in call.streams for side in ("a", "b") for row in _context_rows(stream, side)]
    if contexts:
        typer.echo("")
        print_table(CONTEXT_COLUMNS, contexts)


def _copy_row(stream: Any, side: str) -> tuple[object, ...]:
    """Of a subscriber to a leg."""
    _, leg, *rest = _leg_row(stream, side)
    return (f"{stream.copies_of} copied to {stream.subscriber}", leg, *rest)


PATH_COLUMNS = (
    "stream", "leg", "keys by", "role", "state", "profile", "peer's certificate", "ICE", "pair", ">consent",
    ">checks ok/refused",
)  # fmt: skip


def _has_path(stream: Any, side: str) -> bool:
    leg = getattr(stream, side)
    return bool(leg.HasField("dtls") or leg.HasField("ice"))


def _path_row(stream: Any, side: str) -> tuple[object, ...]:
    """How a leg was keyed on the media path, and by which pair it is reached."""
    leg = getattr(stream, side)
    dtls, ice = leg.dtls, leg.ice
    state = f"{dtls.state}; RTCP {dtls.rtcp_state}" if dtls.rtcp_state else dtls.state
    pairs = [_endpoint(ice, field) for field in ("pair_rtp", "pair_rtcp") if ice.HasField(field)]
    consent = f"{ice.consent_age_s:.0f} s" if ice.HasField("consent_age_s") else "-"
    return (
        f"{stream.index} {stream.kind}",
        side,
        type(leg).KeyMethod.Name(leg.key_method).lower(),
        dtls.role or "-",
        state or "-",
        dtls.suite or "-",
        f"{dtls.fingerprint_hash} {dtls.fingerprint[:11]}..." if dtls.fingerprint else "-",
        f"{'lite' if ice.lite else 'full'}, {ice.state}" if leg.HasField("ice") else "-",
        ", ".join(pairs) or "-",
        consent + ("" if ice.consent or consent == "-" else ", lost"),
        f"{ice.checks_answered}/{ice.checks_refused}{_reasons(ice.refused)}",
    )


def _reasons(refused: Any) -> str:
    """Of checks that were refused."""
    return f" ({', '.join(f'{reason} {number}' for reason, number in sorted(refused.items()))})" if refused else ""


REPORT_COLUMNS = (
    "stream", "reports of", ">age", ">lost %", ">lost", ">jitter", ">round trip", ">MOS listening/talking", ">R",
    ">discarded %",
)  # fmt: skip


def _reports(stream: Any, side: str) -> bool:
    leg = getattr(stream, side)
    return bool(leg.HasField("report") or leg.HasField("voip_metrics"))


def _report_row(stream: Any, side: str) -> tuple[object, ...]:
    """What the peer says about what it gets: its RTCP report, and the metrics of its phone."""
    leg = getattr(stream, side)
    said, phone = leg.report, leg.voip_metrics
    heard, metrics = leg.HasField("report"), leg.HasField("voip_metrics")
    trip = f"{said.round_trip_ms:.0f} ms" if said.HasField("round_trip_ms") else "-"
    names = ("mos_listening", "mos_conversational")
    scores = [f"{getattr(phone, name):.1f}" if phone.HasField(name) else "-" for name in names]
    return (
        f"{stream.index} {stream.kind}",
        side,
        f"{said.age_s:.0f} s" if heard else "-",
        f"{100 * said.fraction_lost:.1f}" if heard else "-",
        said.lost_packets if heard else "-",
        said.jitter if heard else "-",
        trip,
        "/".join(scores),
        phone.r_factor if phone.HasField("r_factor") else "-",
        f"{100 * phone.discard_rate:.1f}" if metrics else "-",
    )


CONTEXT_COLUMNS = (
    "stream", "context", "suite", ">roc", ">s_l", ">srtcp", "mki", ">packets", ">left", ">failed", ">resyncs",
)  # fmt: skip


def _context_rows(stream: Any, side: str) -> Iterator[tuple[object, ...]]:
    """A row for each key of each context of a leg: the one in use is marked."""
    leg = getattr(stream, side)
    named = [("receive", leg.receive), ("send", leg.send), *(("receive also", also) for also in leg.receive_also)]
    named += [("RTCP receive", leg.rtcp_receive), ("RTCP send", leg.rtcp_send)]
    for name, context in named:
        for key in context.each_key if context.suite else ():
            yield (
                f"{stream.index} {stream.kind}",
                f"{side} {name}",
                context.suite,
                context.roc,
                context.highest_sequence,
                context.newest_rtcp_index,
                (key.mki.hex() or "-") + ("*" if key.in_use else ""),
                f"{key.rtp_packets}/{key.rtcp_packets}",
                f"{key.rtp_left}/{key.rtcp_left}",
                context.failures,
                context.resyncs,
            )


def _leg_row(stream: Any, side: str) -> tuple[object, ...]:
    leg = getattr(stream, side)
    last = f"{leg.last_packet_age_s:.1f} s" if leg.HasField("last_packet_age_s") else "never"
    media = f"{_media(leg)}, {leg.transcoding}" if leg.transcoding else _media(leg)
    return (
        f"{stream.index} {stream.kind}",
        f"{side} {leg.interface}",
        media,
        _endpoint(leg, "local_rtp"),
        _endpoint(leg, "remote_rtp"),
        _endpoint(leg, "learnt_rtp"),
        leg.rtp.received_packets,
        leg.rtp.sent_packets,
        f"{leg.rtcp.received_packets}/{leg.rtcp.sent_packets}",
        last,
        ", ".join(f"{name} {number}" for name, number in sorted(leg.drops.items())),
    )


def _state(call: Any) -> str:
    return str(type(call).State.Name(call.state)).lower()


def _media(leg: Any) -> str:
    """What secures it: the suite (both, when they differ), or plain."""
    if not leg.secure:
        return "plain"
    suites = dict.fromkeys(context.suite for context in (leg.receive, leg.send) if context.suite)
    return "/".join(suites) or "secure, no keys yet"


def _endpoint(leg: Any, field: str) -> str:
    if not leg.HasField(field):
        return "-"
    found = getattr(leg, field)
    return f"[{found.host}]:{found.port}" if ":" in found.host else f"{found.host}:{found.port}"
