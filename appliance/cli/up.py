"""`srtpgw up`: the whole gateway on this host, in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import sdnotify
import typer

from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.launch import screen
from appliance.launch.child import environment
from appliance.launch.edge_process import EdgeProcess
from appliance.launch.missing import missing
from appliance.launch.paths import load_usable
from appliance.launch.programs import CONTROL, programs, sip_edge_possible
from appliance.launch.supervisor import StartFailed, Supervisor
from appliance.reloads import Reloads
from appliance.sip_edge.management.certificates import kept_fresh

Config = Annotated[list[Path] | None, typer.Option("--config", "-c", help="Configuration file; repeat for several.")]


def register(app: typer.Typer) -> None:
    app.command("up")(up)


def up(
    config: Config = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Place the demonstration call once when everything is up.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Logs on this screen, not in files.")] = False,
) -> None:
    """Start media, control and SIP edge here and keep them running; Ctrl-C stops all of them."""
    files = [path.resolve() for path in config or []]
    settings = load_usable(files)
    folder = None if verbose else _log_folder(settings)
    try:
        with _alone(settings):
            asyncio.run(_run(settings, files, folder, demo=demo))
    except (StartFailed, OSError) as error:
        typer.echo(f"srtpgw up: {error}", err=True)
        raise typer.Exit(1) from error


async def _run(settings: Settings, files: list[Path], folder: Path | None, *, demo: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _say(screen.lacking(missing()))
    sip = sip_edge_possible(settings)
    edge = EdgeProcess(settings, settings.sip_run)
    children = [*programs(settings, files), *([edge.program] if sip else [])]
    supervisor = Supervisor(children, lambda line: _say([line]), folder)

    def reload() -> str:
        """Control takes over what it can by itself, and logs it."""
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(supervisor.pids()[CONTROL], signal.SIGHUP)
        return edge.reload(lambda: load(files)) if sip else "control was told to reload"

    reloads = Reloads(reload, lambda line: _say([line]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloads.wanted)

    def ready() -> None:
        _say(screen.listening(settings, sip=sip))
        _say(screen.how_to_call(settings, sip=sip))
        _say(screen.logs(folder, [child.name for child in children]))
        _say(["ready; Ctrl-C stops"])
        sdnotify.SystemdNotifier().notify("READY=1")
        if demo:
            demonstration.append(asyncio.create_task(_demonstrate(files), name="demo"))

    demonstration: list[asyncio.Task[None]] = []
    try:
        async with kept_fresh(settings, settings.sip_run):
            await supervisor.run(stop, ready)
    finally:
        for task in demonstration:
            task.cancel()
        await asyncio.gather(*demonstration, return_exceptions=True)
    _say(["stopped"])


async def _demonstrate(files: list[Path]) -> None:
    """`srtpgw demo` as a process of its own: its failure is shown and stops nothing."""
    words = [word for path in files for word in ("--config", str(path))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance.cli.main", "demo", *words, env=environment(), stdin=asyncio.subprocess.DEVNULL
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _log_folder(settings: Settings) -> Path:
    folder = settings.paths.run / "log"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        old.unlink()
    return folder


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One gateway per run directory. OSError when another one holds it."""
    path = settings.paths.run / "up.pid"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.lockf(handle, os.F_TLOCK, 0)
    except OSError as error:
        owner = os.read(handle, 20).decode().strip()
        os.close(handle)
        raise OSError(f"already running in {settings.paths.run} (pid {owner})") from error
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        os.close(handle)
