# One endpoint: what it sends, what it has sent, what it has heard.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.datagrams cimport sockaddr_in
from kernels.flow.table cimport FLOW_DROPS
from kernels.load.histogram cimport Histogram
from kernels.load.window cimport COPY_AGAIN, COPY_FIRST, COPY_LATE, Copy, window_note

cdef enum:
    RECENT = 4096                   # packets within which a duplicate is recognised
    NOBODY = 0xFFFFFFFF

cdef struct Tally:                  # of one run
    uint64_t written                # RTP, whether it left or not
    uint64_t sent
    uint64_t received               # first copies of intact payloads
    uint64_t duplicated
    uint64_t reordered
    uint64_t corrupted              # payload is not what was sent
    uint64_t header_changed         # PT, M, sequence number, timestamp or SSRC differ, or header grew
    uint64_t misrouted              # from another stream than expected
    uint64_t send_errors
    uint64_t rtcp_sent
    uint64_t rtcp_received
    uint64_t rtcp_corrupted
    uint64_t drops[FLOW_DROPS]      # by Drop: the engine of this endpoint, both directions

cdef struct Stream:
    uint32_t number                 # written into payloads
    uint32_t expected               # number of the stream that is heard here; NOBODY: the first one heard
    uint32_t ssrc
    uint32_t timestamp
    uint32_t timestamp_step
    uint32_t transmit               # crypto slots, NO_SLOT: plain
    uint32_t receive
    uint32_t payload_octets
    uint64_t interval_ns            # 0: sends nothing
    uint64_t rtcp_interval_ns
    uint64_t next_number            # packets sent since the beginning
    uint32_t rtcp_number
    uint16_t sequence
    uint8_t payload_type
    uint8_t can_send                # a remote address is known
    uint32_t hub                    # place of the shared socket, NOBODY: its own
    sockaddr_in remote              # with a shared socket only: else the socket is connected
    int rtp_fd
    int rtcp_fd                     # rtp_fd with rtcp-mux, -1: no RTCP
    uint64_t heard_highest          # number + 1 of the newest packet; 0: none
    uint64_t heard_first            # number of the first packet of this run
    uint32_t heard_ssrc
    uint16_t heard_sequence
    uint16_t reserved
    Tally tally
    Histogram latency
    uint64_t recent[64]             # RECENT bits, position = number mod RECENT

cdef inline bint stream_first_copy(Stream *stream, uint64_t number) noexcept nogil:
    """Record a packet number; False for a duplicate. Counts reordering."""
    cdef bint first = stream.heard_highest == 0
    cdef Copy copy = window_note(stream.recent, RECENT, &stream.heard_highest, number)
    if copy == COPY_AGAIN:
        return False
    if copy != COPY_FIRST:
        stream.tally.reordered += 1
    if first or (copy == COPY_LATE and number < stream.heard_first):
        stream.heard_first = number
    return True
