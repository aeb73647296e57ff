"""The media holder: `python -m kernels.control.holder CONFIG.json`.

Owns what must outlive workers and control: arena, media sockets, doorbells. Single-threaded, takes no
per-call decision. In order: read, open (privileged), drop privileges, fork workers, watch until told to end.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import pwd
import resource
import select
import signal
import socket
import sys
import time

import sdnotify

from kernels.cipher import select as cipher
from kernels.control.arena import Arena, footprint, forbid_dumps
from kernels.control.bans import open_bans
from kernels.control.configuration import Configuration, ConfigurationError, read_configuration
from kernels.control.confine import keep_through_change, limit_capabilities, name_process
from kernels.control.door import Door
from kernels.control.journal import Journal
from kernels.control.pages import huge_pages, memory_file
from kernels.control.ring_choice import choose_rings
from kernels.control.sockets import MediaSockets, open_media
from kernels.control.team import Place, Team, ignore_signals
from kernels.port.port import AnyPort
from kernels.port.udp import keep

TICK_MS = 250
STOP_S = 2.0
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
KEPT = (12, 39)  # CAP_NET_ADMIN, CAP_BPF: to attach programs again, to end connections of banned sources
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class Holder:
    """Everything that is held, and the loop that watches over it."""

    def __init__(self, configuration: Configuration, journal: Journal) -> None:
        self._configuration, self._journal = configuration, journal
        self._ending = False
        choose_cipher(configuration.cipher)
        self._huge_pages = ""
        self._media = open_media(configuration)
        if self._media.shrunk:
            journal.write("warning", "port range shrunk", why=self._media.shrunk)
        for interface, ports in self._media.busy.items():
            journal.write("warning", "ports held by others", interface=interface, count=len(ports), first=ports[0])
        self._rings, self._why = choose_rings(configuration, self._media, journal)
        self._bans = open_bans(self._rings, journal)
        self._memory = make_arena_memory(configuration, self._media)
        self._arena = Arena(self._memory)
        self._arena.format(
            len(configuration.cores), calls_per_worker(configuration), self._media.share * len(self._media.interfaces)
        )
        self._doorbells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in configuration.cores]
        self._news = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._door = Door(configuration.socket)
        self._wakeup, self._signalled = socket.socketpair()
        self._notifier = sdnotify.SystemdNotifier()
        self._watched = "WATCHDOG_USEC" in os.environ
        sockets = [fd for fds in self._media.fds for fd in fds]
        own = self._media.share * len(self._media.interfaces)
        kept = keep(len(configuration.cores), len(sockets))
        places = [
            Place(i, core, sockets, range(i * own, (i + 1) * own), self._doorbells[i], self._media.wildcard(i), kept[i])
            for i, core in enumerate(configuration.cores)
        ]
        self._team = Team(
            self._arena, places, self._news, configuration.learning_ms, journal, self._door.tell, self._enter_child,
            self._with_rings,
        )  # fmt: skip

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then workers stop and the arena is wiped."""
        self._confine()
        self._catch_signals()
        self._team.start_due()
        self._journal.write("info", "media holder ready", socket=self._configuration.socket, **self._facts())
        self._notifier.notify("READY=1")
        try:
            while not self._ending:
                self._wait()
                self._team.reap()
                self._team.replace_hung()
                self._team.start_due()
                self._look_after_rings()
                self._bans.tick(time.monotonic())
                self._notify()
        finally:
            self._end()

    def describe(self) -> dict[str, object]:
        """What a control process is told when it attaches."""
        return {
            "version": product_version(),
            "port_kind": self._port_kind(),
            "cipher": cipher.selected(),
            "why": self._plane_why(),
            "cores": list(self._configuration.cores),
            "huge_pages": self._huge_pages,
            "interfaces": self._interfaces(),
            "bans": self._bans.describe(),
        }

    # -- the loop ----------------------------------------------------------------------------------------

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._door, select.POLLIN)
        poll.register(self._signalled, select.POLLIN)
        if self._door.control_fd is not None:
            poll.register(self._door.control_fd, select.POLLIN | select.POLLRDHUP)
        if self._rings is not None:
            poll.register(self._rings.events, select.POLLIN)
        due = self._team.next_start_ns()
        for fd, _ in poll.poll(TICK_MS if due is None else min(TICK_MS, due / 1e6 + 1)):
            if fd == self._door.fileno():
                outcome = self._door.admit(self.describe(), [self._memory, self._news, *self._doorbells])
                self._journal.write("info", "control", outcome=outcome)
            elif fd == self._signalled.fileno():
                self._signalled.recv(64)
            elif self._rings is not None and fd == self._rings.events.fileno():
                continue  # `_look_after_rings` comes next
            else:
                self._hear_control()

    def _hear_control(self) -> None:
        for message in self._door.messages():
            self._door.tell(self._bans.obey(message, time.monotonic()))
        if not self._door.control_present():
            self._journal.write("info", "control", outcome="left")

    def _look_after_rings(self) -> None:
        for news in self._rings.check() if self._rings is not None else ():
            self._journal.write("warning", "port", **{key: value for key, value in news.items() if key != "event"})
            self._door.tell(news | {"port_kind": self._port_kind(), "plane_why": self._plane_why()})

    def _port_kind(self) -> str:
        best = self._rings.kind if self._rings is not None else "udp"
        return self._media.kind if best == "udp" else best

    def _plane_why(self) -> str:
        lost = f"{self._rings.lost}; " if self._rings is not None and self._rings.lost else ""
        return f"{lost}{self._why}; {cipher.selected()}: {cipher.why()}"

    def _interfaces(self) -> dict[str, dict[str, object]]:
        ports = self._rings.describe() if self._rings is not None else {}
        nothing = {"kind": self._media.kind, "why": self._why, "device": ""}
        return {name: entry | {"port": ports.get(name, nothing)} for name, entry in self._media.describe().items()}

    def _with_rings(self, worker: int, sockets: AnyPort) -> AnyPort:
        """In the worker: its port."""
        return self._rings.port(worker, sockets, self._arena.next_hops(worker)) if self._rings is not None else sockets

    def _notify(self) -> None:
        if self._watched:
            self._notifier.notify("WATCHDOG=1")
        total = len(self._configuration.cores)
        self._notifier.notify(f"STATUS={self._team.running()} of {total} workers run")

    def _end(self) -> None:
        self._notifier.notify("STOPPING=1")
        self._team.stop(STOP_S)
        self._bans.close()
        if self._rings is not None:
            self._rings.close()
        self._arena.wipe()
        self._door.close()
        self._journal.write("info", "media holder ended")

    # -- start -------------------------------------------------------------------------------------------

    def _confine(self) -> None:
        """Lock memory while we may, then give up what we need no more."""
        name_process("srtpgw-holder")
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        lacking = self._arena.protect()
        self._huge_pages = huge_pages(self._arena.mapping)
        if lacking:
            self._journal.write("warning", "arena not fully protected", lacking=lacking)
        if self._configuration.user:
            account = pwd.getpwnam(self._configuration.user)
            self._door.give_to(account.pw_uid, account.pw_gid)
            keep_through_change()
            drop_privileges(account)
        if os.geteuid() != 0:
            limit_capabilities(*(KEPT if self._rings is not None or self._bans.means else ()))
        forbid_dumps()

    def _catch_signals(self) -> None:
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_end)

    def _on_end(self, *_: object) -> None:
        self._ending = True

    def _enter_child(self) -> None:
        ignore_signals()
        self._door.close_in_child()
        self._bans.close_in_child()
        if self._rings is not None:
            self._rings.close_in_child()
        if os.geteuid() != 0:
            limit_capabilities()
        self._wakeup.close()
        self._signalled.close()

    def _facts(self) -> dict[str, object]:
        return {
            "workers": len(self._configuration.cores),
            "ports": self._media.count,
            "port_kind": self._port_kind(),
            "why": self._why,
            "arena_octets": self._arena.octets,
            "huge_pages": self._huge_pages,
            "cipher": cipher.selected(),
            "cipher_why": cipher.why(),
            "calls": self._configuration.calls,
        }


def choose_cipher(wanted: str) -> None:
    """For this process and the workers it will fork. ConfigurationError."""
    try:
        cipher.select(wanted)
    except RuntimeError as error:
        raise ConfigurationError(f"cipher: {error}") from error


def make_arena_memory(configuration: Configuration, media: MediaSockets) -> int:
    """A memory file of the right size that nobody can resize, in huge pages if there are any; its descriptor."""
    octets = footprint(len(configuration.cores), calls_per_worker(configuration), media.share * len(media.interfaces))
    return memory_file("srtpgw-arena", octets, SEALS)


def calls_per_worker(configuration: Configuration) -> int:
    """The worker's share, rounded up."""
    return -(-configuration.calls // len(configuration.cores))


def drop_privileges(account: pwd.struct_passwd) -> None:
    """Become this user for good. OSError."""
    if os.geteuid() == account.pw_uid:
        return
    os.initgroups(account.pw_name, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def product_version() -> str:
    """Of the installed package."""
    try:
        return importlib.metadata.version("srtpgw")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def main(arguments: list[str]) -> int:
    """0 ended as told, 1 could not start, 78 configuration."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kernels.control.holder CONFIG.json\n")
        return EXIT_CONFIGURATION
    journal = Journal("info")
    try:
        configuration = read_configuration(arguments[0])
        journal = Journal(configuration.log)
        Holder(configuration, journal).run()
    except ConfigurationError as error:
        journal.write("error", "configuration", error=str(error))
        return EXIT_CONFIGURATION
    except (OSError, KeyError) as error:
        journal.write("error", "media holder cannot run", error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
