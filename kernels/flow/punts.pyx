# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Budgets and the ring towards the control process; see punts.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.control.records cimport NEWS_NONE, PUNT_SLOTS, Punt
from kernels.control.ring cimport ring_reserve, ring_submit
from kernels.wire.atomics cimport load_acquire_u32
from kernels.wire.octets cimport load_be32
from kernels.wire.packet cimport DROP_NONE, DROP_PUNT_FULL, DROP_PUNT_RATE

cdef enum:                      # an even pace, and how many may come at once
    KNOWN_GAP_NS = 2500000      # 400 in a second: a handshake, and checks of a full agent
    KNOWN_BURST = 64
    STRANGER_GAP_NS = 10000000  # 100 in a second, each quarter
    STRANGER_BURST = 16
    TERM_BITS = 28              # every 268 ms strangers are mixed anew: whoever shares with a flood repeats himself
    ERROR_GAP_NS = 100000000
    ERROR_BURST = 10
    HELLO_GAP_NS = 500000       # 2,000 in a second: to answer is cheap, and shorter than what was sent
    HELLO_BURST = 64


cdef Drop punt(Path *path, const Packet *packet, bint known) noexcept nogil:
    """Copy a datagram into the ring."""
    cdef Punt *record
    if not known and path.punts.head - load_acquire_u32(&path.punts.tail) >= PUNT_SLOTS // 2:
        return DROP_PUNT_FULL
    if not budget_take(path, packet.flow, BUDGET_KNOWN if known else quarter(path, &packet.peer)):
        return DROP_PUNT_RATE
    record = <Punt *>ring_reserve(path.punts)
    if record == NULL:
        return DROP_PUNT_FULL
    record.flow = packet.flow
    record.length = packet.length
    record.received_ns = packet.received_ns
    record.source = packet.peer
    record.kind = packet.kind
    record.news = NEWS_NONE
    memcpy(record.data, packet.data, packet.length)
    ring_submit(path.punts)
    path.punted += 1
    return DROP_NONE


cdef bint punt_news(Path *path, uint32_t flow, const Peer *source, IceNews news) noexcept nogil:
    cdef Punt *record = <Punt *>ring_reserve(path.punts)
    if record == NULL or not budget_take(path, flow, BUDGET_KNOWN):
        return False
    record.flow = flow
    record.length = 0
    record.received_ns = path.now
    record.source = source[0]
    record.kind = 0
    record.news = news
    ring_submit(path.punts)
    path.punted += 1
    return True


cdef bint budget_take(Path *path, uint32_t flow, uint32_t budget) noexcept nogil:
    """A leaky bucket in one number (GCRA): so far ahead of the pace that a burst is used up is too far."""
    cdef uint64_t *due = &path.budgets[flow].due[budget]
    cdef uint64_t gap = STRANGER_GAP_NS, burst = STRANGER_BURST
    cdef uint64_t start = max(due[0], path.now)
    if budget == BUDGET_KNOWN:
        gap, burst = KNOWN_GAP_NS, KNOWN_BURST
    elif budget == BUDGET_ERRORS:
        gap, burst = ERROR_GAP_NS, ERROR_BURST
    elif budget >= BUDGET_HELLOS:
        gap, burst = HELLO_GAP_NS, HELLO_BURST
    if start - path.now > gap * (burst - 1):
        return False
    due[0] = start + gap
    return True


cdef inline uint32_t quarter(const Path *path, const Peer *source) noexcept nogil:
    """Which of the strangers' budgets: nobody outside can tell whose he shares, and not for long."""
    cdef uint32_t mixed = path.secret + <uint32_t>(path.now >> TERM_BITS), i
    for i in range(0, 16, 4):
        mixed = (mixed ^ load_be32(source.ip + i)) * <uint32_t>0x9E3779B1
        mixed ^= mixed >> 15
    mixed = (mixed ^ source.port) * <uint32_t>0x85EBCA6B
    return BUDGET_STRANGERS + (mixed >> 30)
