from collections.abc import Sequence
from typing import NamedTuple

from kernels.srtp.transform import Transform

class Outcome(NamedTuple):
    sealed: int  # packets that were protected
    arrived: int  # packets that were judged
    forged: int  # of these, tampered with or cut
    copies: int  # of these, further ones of a packet in the same batch
    wraps: int  # of sequence numbers
    verdicts: dict[str, int]  # of what arrived, by name of Drop
    forged_passed: int  # where there is a tag: must be none
    passed_twice: int  # the same

def contest(
    backends: Sequence[str], transforms: Sequence[Transform], seed: int, packets: int, *, fault: int = 0
) -> Outcome:
    """The same impaired traffic through an engine for each back end: `packets` protected, about as many judged, in
    batches of 1 to 64 that mix suites, lengths, RTP and RTCP. RuntimeError: they differ in an octet, a verdict or, at
    the end, in the engines' memory; the text says where. fault: in this batch (from 1) the last rival gets an octet
    wrong, which must be noticed."""
