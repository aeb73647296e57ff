"""`srtpgw demo`: one call through the running gateway, RTP on one side and SRTP on the other, verified at both ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from appliance.config.schema import Settings
from appliance.config.types import HostPort
from appliance.demo import cost, media, ng_call, result, route, sip_call
from appliance.demo.established import CallFailed, Established
from appliance.launch.paths import load_usable
from appliance.launch.programs import reachable, sip_edge_possible
from appliance.protocols.srtp import suites
from appliance.sip_edge import sipp

Config = Annotated[list[Path] | None, typer.Option("--config", "-c", help="The running gateway's configuration file.")]
STRONGEST = suites.SUITES[0].name


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    config: Config = None,
    suite: Annotated[str, typer.Option(help="SRTP suite that the callee answers with.")] = STRONGEST,
    seconds: Annotated[float, typer.Option(help="How long media flows.", min=0.5, max=3600)] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Place one call through the running gateway and verify both ends. Status 1 when anything was lost or changed."""
    row = suites.find(suite)
    if row is None:
        raise typer.BadParameter(f"unknown suite {suite!r}; one of {', '.join(one.name for one in suites.SUITES)}")
    settings = load_usable([path.resolve() for path in config or []])
    try:
        shown = perform(settings, row, seconds)
    except (CallFailed, OSError) as error:
        typer.echo(f"srtpgw demo: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(shown.record(), indent=1))
    else:
        Console().print(result.table(shown))
    if not shown.passed:
        raise typer.Exit(1)


def perform(settings: Settings, suite: suites.Suite, seconds: float) -> result.Result:
    """The whole demonstration. CallFailed, OSError."""
    way = route.find(settings)
    caller, callee = media.free_ports(way.caller), media.free_ports(way.callee.host)
    over_sip = sipp.available() and sip_edge_possible(settings)
    with (
        contextlib.closing(media.endpoints(caller, callee)) as ends,
        _call(settings, way, suite, caller, callee, seconds, over_sip) as established,
    ):
        media.join(ends, established)
        before = cost.measure(settings)
        reports = media.talk(ends, seconds)
        after = cost.measure(settings)
    return result.Result(
        suite.name, "SIP" if over_sip else "NG (no SIPp or no Kamailio here)", way.trunk, established.setup_ms, seconds,
        result.directions(reports), cost.per_packet(before, after),
    )  # fmt: skip


@contextlib.contextmanager
def _call(
    settings: Settings, way: route.Route, suite: suites.Suite, caller: media.LocalPorts, callee: media.LocalPorts,
    seconds: float, over_sip: bool,
) -> Iterator[Established]:  # fmt: skip
    if over_sip:
        with sip_call.place(way, suite, caller, callee, seconds) as established:
            yield established
        return
    if not settings.ng.listen:
        raise CallFailed("neither SIP nor NG is served here")
    at = HostPort(reachable(settings.ng.listen[0]), settings.ng.listen[0].port)
    with ng_call.place(at, suite, caller, callee) as established:
        yield established
