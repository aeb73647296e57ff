# What commands and moves do alike to the slots of a worker.
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from kernels.control.records cimport FLOW_MEMBER
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.flow.handoff cimport home_owner, home_set
from kernels.flow.ice cimport ice_wipe
from kernels.flow.routes cimport routes_wipe
from kernels.flow.pipeline cimport MARK_INSTALLED, MARK_RTCP_AUTHENTIC, MARK_RTP_AUTHENTIC, Path, PuntBudget
from kernels.flow.samples cimport samples_forget
from kernels.flow.table cimport Flow
from kernels.srtp.context cimport CRYPTO_UNAUTHENTICATED_RTP, CryptoParameters
from kernels.wire.packet cimport NO_SLOT

cdef inline uint8_t crypto_marks(const CryptoParameters *parameters) noexcept nogil:
    """MARK_* of a crypto with these parameters."""
    cdef uint8_t marks = MARK_INSTALLED
    if parameters.rtp_tag and not parameters.flags & CRYPTO_UNAUTHENTICATED_RTP:
        marks |= MARK_RTP_AUTHENTIC
    if parameters.rtcp_tag:
        marks |= MARK_RTCP_AUTHENTIC
    return marks

cdef inline void flow_vacate(Path *path, Flow *flow) noexcept nogil:
    """Back to an empty slot; only its sequence number goes on. A socket that a moved call brought here goes home."""
    cdef uint32_t socket = flow.want.socket
    cdef bint member = flow.want.flags & FLOW_MEMBER != 0
    samples_forget(path.samples, <uint32_t>(flow - path.flows))  # first: what is cut off is done again while `used`
    routes_wipe(path, <uint32_t>(flow - path.flows))
    ice_wipe(path, <uint32_t>(flow - path.flows))
    memset(&path.budgets[flow - path.flows], 0, sizeof(PuntBudget))
    if socket < path.socket_count and not member:
        path.sockets[socket] = NO_SLOT
        if path.handoffs.homes[socket] == path.handoffs.me and home_owner(&path.handoffs, socket) != path.handoffs.me:
            home_set(&path.handoffs, socket, home_owner(&path.handoffs, socket))
    sequence_begin(&flow.sequence)
    flow.used = 0
    memset(<uint8_t *>flow + sizeof(uint32_t), 0, sizeof(Flow) - sizeof(uint32_t))
    sequence_end(&flow.sequence)
