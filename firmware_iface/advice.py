"""What an operator should know about the machine, as sentences: what it costs, and what would help. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware_iface.ethtool import VLAN_STRIPPING
from firmware_iface.inventory import Machine
from firmware_iface.nic import Nic

HUGE_2M_KIB = 2048
XDP_KERNEL = (5, 10)


@dataclass(frozen=True, slots=True)
class Use:
    """What the gateway does with the machine: NICs that carry media, worker -> core."""

    nics: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()  # index: worker
    port_kind: str = ""


def lines(machine: Machine, use: Use) -> tuple[str, ...]:
    """For the operator's eyes, the weightiest first."""
    media = [found for name in use.nics if (found := machine.nic(name)) is not None]
    return tuple(
        line
        for part in (
            machine.faults,
            _privileges(machine),
            *(_nic(machine, found, use) for found in media),
            _cores(machine, use),
            _memory(machine),
            _rest(machine),
        )
        for line in part
    )


def _privileges(machine: Machine) -> Iterable[str]:
    have = machine.privileges
    missing = [name for name in ("NET_ADMIN", "NET_RAW", "BPF") if not have.may(name) and not have.may("SYS_ADMIN")]
    if missing:
        words = ", ".join(f"CAP_{name}" for name in missing)
        yield f"this process lacks {words}: from here neighbours are not probed and NICs not set up"
    if have.kernel_version < XDP_KERNEL:
        yield f"kernel {have.kernel} is older than {'.'.join(map(str, XDP_KERNEL))}: no AF_XDP as we use it"
    if not have.btf:
        yield "the kernel has no BTF (/sys/kernel/btf/vmlinux): the XDP program does not load"
    if have.jit is False:
        yield "the BPF JIT is off (sysctl net.core.bpf_jit_enable=1): XDP is slow"


def _nic(machine: Machine, nic: Nic, use: Use) -> Iterable[str]:
    driver = nic.driver.name or "no driver"
    if nic.link.vlan is not None and (below := machine.below(nic.name)) is not None and not nic.unsuitable:
        yield f"{nic.name} is VLAN {nic.link.vlan} on {below.name}: XDP and queues are those of {below.name}"
        if VLAN_STRIPPING in below.offloads and below.xdp.native:
            yield f"{below.name} takes VLAN tags off before XDP sees them (ethtool -K {below.name} rxvlan off)"
        yield from _nic(machine, below, use)
        return
    if nic.unsuitable:
        yield f"no XDP on {nic.name}: {nic.unsuitable}"
        return
    if not nic.link.up or not nic.link.carrier:
        yield f"{nic.name} is down" if not nic.link.up else f"{nic.name} has no link"
    if not nic.xdp.native:
        yield f"{nic.name} ({driver}) has no native XDP: generic mode, a copy and an allocation per packet"
    elif not nic.xdp.zero_copy:
        yield f"{nic.name} ({driver}) has no zero-copy: packets are copied once"
    workers = len(use.cores)
    if workers > 1:
        yield from _queues(nic, driver, workers)
    yield from _places(machine, nic, use)


def _queues(nic: Nic, driver: str, workers: int) -> Iterable[str]:
    if nic.queues < workers:
        most = max(nic.channels.combined_max, nic.channels.rx_max)
        more = f" (it has {most}: ethtool -L {nic.name} combined {min(most, workers)})" if most > nic.queues else ""
        yield f"{nic.name} has {nic.queues} queues for {workers} workers{more}: some get their packets handed over"
    if not nic.steering.ntuple:
        yield f"no ntuple on {nic.name} ({driver}): packets that arrive on the wrong queue are handed over, counted"
    elif not nic.steering.active:
        yield f"flow rules are off on {nic.name} (ethtool -K {nic.name} ntuple on)"


def _places(machine: Machine, nic: Nic, use: Use) -> Iterable[str]:
    nodes = {core.index: core.node for core in machine.cpu.cores}
    far = [core for core in use.cores if nodes.get(core, nic.node) != nic.node]
    if far:
        yield f"cores {_list(far)} are not on node {nic.node}, where {nic.name} is: every packet crosses sockets"
    for queue, core in enumerate(use.cores[: nic.queues]):
        found = nic.interrupt(queue)
        if found is not None and found.cores and found.cores != (core,):
            yield (
                f"interrupt {found.number} of {nic.name} queue {queue} may fire on cores {_list(found.cores)}, "
                f"its worker is on {core}"
            )


def _cores(machine: Machine, use: Use) -> Iterable[str]:
    apart = machine.isolation
    loud = [core for core in use.cores if core not in apart.isolated]
    if loud:
        yield (
            f"cores {_list(loud)} carry media and are not isolated (kernel: isolcpus=, nohz_full=, rcu_nocbs=): "
            "other work delays packets"
        )
    ticking = [core for core in use.cores if core in apart.isolated and core not in apart.tickless]
    if ticking:
        yield f"cores {_list(ticking)} have the timer tick (kernel: nohz_full=)"
    slow = {core: name for core in use.cores if (name := apart.governor(core)) not in ("", "performance")}
    if slow:
        names = "/".join(sorted(set(slow.values())))
        yield f"cores {_list(slow)} run under the governor {names}: performance keeps the clock up"
    if apart.irqbalance and use.cores:
        yield "irqbalance runs: it moves interrupts away from where they were put (systemctl disable --now irqbalance)"
    siblings = {core.index: core.siblings for core in machine.cpu.cores}
    shared = [core for core in use.cores if set(siblings.get(core, ())) & set(use.cores) - {core}]
    if shared:
        yield f"cores {_list(shared)} are SMT siblings of each other: two workers share one core's units"


def _memory(machine: Machine) -> Iterable[str]:
    have = machine.memory
    if not any(pool.total for pool in have.huge_pages):
        yield "no huge pages (sysctl vm.nr_hugepages=512): contexts of many calls cost more cache and TLB misses"
    elif not have.free_huge_kib(HUGE_2M_KIB) and not have.free_huge_kib(1 << 20):
        yield "every huge page is taken"
    if have.lock_limit_octets is not None and not machine.privileges.may("IPC_LOCK"):
        yield f"{have.lock_limit_octets >> 20} MiB may be locked (RLIMIT_MEMLOCK): too little for many calls' keys"


def _rest(machine: Machine) -> Iterable[str]:
    clock = machine.isolation.clocksource
    if clock and clock not in ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"):
        yield f"the clock source is {clock}: reading the time costs a system call"
    for found in machine.accelerators:
        yield f"{found.name} at {found.bus}: there is no cipher code for it yet, the processor does the work"


def _list(cores: Iterable[int]) -> str:
    """1, 2, 3, 7 -> "1-3,7"."""
    parts: list[list[int]] = []
    for core in sorted(set(cores)):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
