# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Keeping a few failed datagrams (samples.pxd says which, and for whom)."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.clib.linux cimport explicit_bzero
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.wire.packet cimport Packet


cdef void sample_take(Samples *samples, const Packet *packet, uint32_t flow, uint32_t octets) noexcept nogil:
    cdef uint32_t at = place(samples, flow + 1, packet.drop)
    cdef Sample *sample = &samples.rows[at]
    octets = min(octets, packet.length, <uint32_t>SAMPLE_OCTETS)
    sequence_begin(&sample.sequence)
    sample.owner = flow + 1
    sample.received_ns = packet.received_ns
    sample.source = packet.peer
    sample.length = packet.length
    sample.kept = <uint16_t>octets
    sample.drop = <uint8_t>packet.drop
    sample.kind = packet.kind
    memcpy(sample.data, packet.data, octets)
    memset(sample.data + octets, 0, SAMPLE_OCTETS - octets)
    sequence_end(&sample.sequence)
    samples.taken += 1
    samples.ages[at] = samples.taken


cdef uint32_t place(const Samples *samples, uint32_t owner, uint32_t drop) noexcept nogil:
    """Which one gives way: the flow's own of this reason, its own of another, an empty one, the oldest."""
    cdef uint32_t same = 0, own = 0, i, oldest = 0, oldest_own = SAMPLES, oldest_same = SAMPLES
    cdef const Sample *sample
    for i in range(<uint32_t>SAMPLES):
        sample = &samples.rows[i]
        if samples.ages[i] < samples.ages[oldest]:
            oldest = i
        if sample.owner != owner:
            continue
        own += 1
        if oldest_own == SAMPLES or samples.ages[i] < samples.ages[oldest_own]:
            oldest_own = i
        if sample.drop == drop:
            same += 1
            if oldest_same == SAMPLES or samples.ages[i] < samples.ages[oldest_same]:
                oldest_same = i
    if same >= SAMPLES_A_REASON:
        return oldest_same
    return oldest_own if own >= SAMPLES_A_FLOW else oldest


cdef void samples_forget(Samples *samples, uint32_t flow) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>SAMPLES):
        if samples.rows[i].owner == flow + 1:
            wipe(samples, i)


cdef void samples_adopt(Samples *samples, bint fresh) noexcept nogil:
    cdef uint32_t i
    if fresh:
        memset(samples, 0, sizeof(Samples))
        return
    for i in range(<uint32_t>SAMPLES):
        if samples.rows[i].sequence & 1:
            wipe(samples, i)


cdef void wipe(Samples *samples, uint32_t at) noexcept nogil:
    """Empty, and the first to be taken again; only its sequence number goes on."""
    cdef Sample *sample = &samples.rows[at]
    sequence_begin(&sample.sequence)
    explicit_bzero(<uint8_t *>sample + sizeof(uint32_t), sizeof(Sample) - sizeof(uint32_t))
    sequence_end(&sample.sequence)
    samples.ages[at] = 0
