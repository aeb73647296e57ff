"""`[media]`: the media plane."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Ports


def _window(value: int) -> int:
    if value & (value - 1):
        raise ValueError("must be a power of two")
    return value


class Media(Table):
    """The media plane: workers, ports, and how packets are judged."""

    cores: Literal["auto"] | tuple[int, ...] = row(
        "auto", help='Processor cores that carry media, one worker each, such as [1, 2]; "auto": all but the first.',
        effect=Effect.RESTART,
    )  # fmt: skip
    ports: Ports = row("30000-39999", help="UDP ports for media on every interface.", effect=Effect.RESTART)
    calls: int = row(
        2500,
        help="Calls that memory is set aside for; each takes four ports of an interface that carries both legs.",
        unit="calls",
        effect=Effect.RESTART,
        ge=1,
        le=1_000_000,
    )
    backend: Literal["auto", "udp", "udp-sockets", "udp-wildcard", "xdp"] = row(
        "auto",
        help="How packets reach the workers; auto: the fastest that works here; udp: the better of the two kinds of"
        " kernel sockets.",
        effect=Effect.RESTART,
    )
    xdp_mode: Literal["auto", "zerocopy", "native", "generic"] = row(
        "auto", help="How AF_XDP is attached; auto: zero copy, else native, else generic.", effect=Effect.RESTART
    )
    busy_poll_us: int = row(
        0, help="Workers drive the NIC's queue themselves, so long at a time; 0: interrupts do.", unit="microseconds",
        effect=Effect.RESTART, ge=0, le=1000,
    )  # fmt: skip
    cipher: Literal["auto", "multibuffer", "vaes", "ipsec-mb", "openssl"] = row(
        "auto",
        help="Which cipher code is used; multibuffer: the fastest, as measured at start, of vaes (own code, AVX-512) "
        "and ipsec-mb; auto: the same, or openssl where neither runs. What cannot run here keeps media from starting.",
        effect=Effect.RESTART,
    )
    admit_below: float = row(
        0.9,
        help="Share of its core from which on a worker takes no new calls; all above it: new calls are refused.",
        unit="share",
        effect=Effect.NEXT_CALL, gt=0, le=1,
    )  # fmt: skip
    placement: Literal["call-load", "round-robin", "relative-weight"] = row(
        "call-load",
        help="Which worker takes a new call, by the algorithms of destination sets: the least loaded, each in turn, or "
        "by the share of its core that is left.",
        effect=Effect.NEXT_CALL,
    )
    rebalance: bool = row(
        False, help="Move calls off a worker that is much busier than another for ten seconds.", effect=Effect.AT_ONCE
    )
    learning_s: float = row(
        3.0, help="How long after set-up a plain leg's address may still be learnt from packets.", unit="seconds",
        effect=Effect.RESTART, ge=0, le=60,
    )  # fmt: skip
    silence_timeout_s: float = row(
        60.0, help="End a call that no media came for in this time; 0: never.", unit="seconds",
        effect=Effect.NEXT_CALL, ge=0, le=86400,
    )  # fmt: skip
    offer_timeout_s: float = row(
        300.0, help="End a call whose offer nobody answered in this time; 0: never.", unit="seconds",
        effect=Effect.NEXT_CALL, ge=0, le=86400,
    )  # fmt: skip
    replay_window: Annotated[int, AfterValidator(_window)] = row(
        128, help="Replay window of receiving contexts; a power of two.", unit="packets",
        effect=Effect.NEXT_CALL, ge=64, le=1024,
    )  # fmt: skip
    ssrc_limit: int = row(
        16, help="Sources (SSRC) that one receiving context takes.", unit="SSRCs", effect=Effect.NEXT_CALL, ge=1, le=16
    )
    rekey_grace_s: float = row(
        5.0, help="How long a peer's keys before a re-key are taken, after the first packet under its new key.",
        unit="seconds", effect=Effect.AT_ONCE, ge=0, le=300,
    )  # fmt: skip
    key_expiring_at: float = row(
        0.9, help="From which used share of a master key's lifetime on the event key_expiring is told.",
        unit="share", effect=Effect.AT_ONCE, gt=0, le=1,
    )  # fmt: skip
    set_up_nics: bool = row(
        True, help="Before the media plane starts, tell NICs which queue takes which ports (flow rules) and move their "
        "interrupts to the workers' cores; takes root.", effect=Effect.RESTART,
    )  # fmt: skip
    user: str = row("", help="Account the media holder drops to once its sockets are open.", effect=Effect.RESTART)
