from kernels.srtp.transform import Transform

def measure(
    transform: Transform, contexts: int, payload: int, packets: int, backend: str | None = None
) -> tuple[float, float]:
    """Nanoseconds per packet to protect and to unprotect: medians over passes of 1,024 packets of `payload` octets, in
    batches of 64, over at least `packets` packets. Each pass runs through the contexts in one pseudo-random order and
    through 1,024 frames; memory in 2-MiB pages where there are any. backend: name of a cipher back end, None: the
    selected one. RuntimeError: a packet failed, or the back end fails its self-test; ValueError: no such back end."""

def core_ghz() -> float:
    """Clock of this core now, in GHz, by a chain of dependent additions (the time stamp counter counts another clock):
    nanoseconds times this are core cycles."""
