# One endpoint of a fleet: what it sends and what it hears, on one socket of one port. Three cache lines: what is
# counted is counted by side, so that ten thousand of them stay cheap.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.wire.packet cimport Peer

cdef enum:
    TALKER_RECENT = 512             # packets within which a duplicate is recognised

cdef struct Talker:
    uint32_t number                 # written into payloads
    uint32_t expected               # number of the talker that is heard here
    uint32_t partner                # its place, NOBODY: it is not one of this fleet
    uint32_t socket                 # number of its local address and port at the port
    uint32_t ssrc
    uint32_t timestamp
    uint32_t transmit               # crypto slots, NO_SLOT: plain
    uint32_t receive
    uint64_t next_number            # packets written since the beginning
    uint64_t first_number           # of this run
    uint64_t expected_from          # first number of this run that may be heard: the partner's first_number
    uint16_t sequence
    uint16_t payload_octets
    uint16_t timestamp_step
    uint8_t payload_type
    uint8_t side
    Peer remote                     # where it sends to, and the only source it hears
    uint32_t refused                # packets of this run that were written but did not leave
    uint32_t heard                  # packets of this run, first copies
    uint64_t heard_highest
    uint64_t recent[8]              # TALKER_RECENT bits
