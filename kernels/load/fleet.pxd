# A fleet: thousands of endpoints on a port or two, driven by one thread that never sleeps.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.load.histogram cimport Histogram
from kernels.load.stream cimport Tally
from kernels.load.talker cimport Talker
from kernels.port.port cimport Port
from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport Packet

cdef enum:
    MOST_SIDES = 2

cdef struct Side:                   # one port and the talkers on it
    Port *port
    uint32_t *by_socket             # socket number -> place of the talker, NOBODY
    uint32_t sockets
    uint32_t *places                # of its talkers, in the order they take turns
    uint32_t count
    uint32_t turn                   # whose packet is next
    uint64_t planned                # packets of this run that were due and are written or skipped
    double packets_per_ns
    Tally tally
    uint8_t *frames
    Packet packets[64]
    Packet *batch[64]               # what leaves
    Packet *heard[64]               # what arrived

cdef struct Pool:                   # everything the loop touches
    Side sides[2]
    uint32_t side_count
    Talker *talkers
    uint32_t count
    Engine *engine                  # NULL: every talker is plain
    uint64_t key                    # of payloads
    Histogram latency
    uint64_t packets_each           # of a talker, UINT64_MAX: no limit
    uint64_t started_ns
    uint64_t stop_ns                # of sending
    uint64_t ended_ns               # 0 while sending
    uint64_t end_ns                 # latest end of listening
    uint64_t settle_ns
    uint64_t quiet_since
    uint64_t behind_ns
    uint64_t skipped
    uint64_t cpu_ns
