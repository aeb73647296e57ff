# ICE on a flow: who is validated, which pair is selected, and whether it still consents (RFC 8445, RFC 7675).
#
#   ice_receive   a STUN message: checked, answered where it lies, sources validated, a pair selected
#   ice_admits    media or DTLS from here?              reads only
#   ice_consents  may anything be sent to the selected pair?
#
# Nothing but a signed message changes anything here (security-and-faults D8). A flow's `current` is the far end of the
# selected pair, family 0 until there is one: so whatever else reads it needs to know nothing of ICE.
from libc.stdint cimport uint32_t

from kernels.flow.ice_table cimport ICE_CONSENT_NS, ICE_NONE, ICE_SOURCES, IceAgent
from kernels.flow.pipeline cimport Path
from kernels.flow.table cimport peer_equal
from kernels.control.records cimport ICE_LITE, ICE_RESPONSES, IceParameters
from kernels.wire.packet cimport Drop, Packet, Peer

# What became of a STUN message: DROP_NONE and in its marks MARK_ANSWERED (with MARK_REFUSED: an error response) or
# MARK_PUNTED.
cdef Drop ice_receive(Path *path, Packet *packet) noexcept nogil
# Create or update the agent of a flow that is installed. 0 or a positive errno.
cdef int ice_install(Path *path, uint32_t flow, const IceParameters *want) noexcept nogil
# `current` of an ICE flow again: the pair that is selected. Selected anew it consents.
cdef void ice_follow(Path *path, uint32_t flow) noexcept nogil
# The same for a worker that takes over: `current` may be torn, and proves nothing new.
cdef void ice_adopt(Path *path, uint32_t flow) noexcept nogil
# The agent back to an empty slot, without a trace of its keys.
cdef void ice_wipe(Path *path, uint32_t flow) noexcept nogil
# Tell the control process once that the selected pair has not been heard.
cdef void ice_tell_expiry(Path *path, uint32_t flow) noexcept nogil
# May the control process send this to there? STUN to anybody; everything else to a validated source that consents.
cdef bint ice_may_inject(Path *path, uint32_t flow, const Peer *to, int first_octet) noexcept nogil
# Of a lite agent whose checks stopped: does its peer never ask for consent, and did media of it come lately?
cdef bint ice_hears(Path *path, uint32_t flow) noexcept nogil

cdef inline uint32_t ice_find(const IceAgent *agent, const Peer *source) noexcept nogil:
    """Index of a validated source, or ICE_NONE."""
    cdef uint32_t i
    for i in range(ICE_SOURCES):
        if agent.sources[i].peer.family and peer_equal(&agent.sources[i].peer, source):
            return i
    return ICE_NONE

cdef inline bint ice_admits(const Path *path, uint32_t flow, const Peer *source) noexcept nogil:
    """Is media from here let in? Once a pair is selected: from it, and from any other source that was validated."""
    if peer_equal(source, &path.flows[flow].current):
        return True
    return path.flows[flow].current.family != 0 and ice_find(&path.ices[flow], source) != ICE_NONE

cdef inline bint ice_judges(const IceAgent *agent) noexcept nogil:
    """Whether consent shows here: checks come to a lite agent, a full one knows the password of its responses."""
    return agent.want.flags & (ICE_LITE | ICE_RESPONSES) != 0

cdef inline bint ice_consents(Path *path, uint32_t flow) noexcept nogil:
    """Was the far end of the selected pair heard in the last 30 s (spec ICE-7, ICE-8)?"""
    return (path.now < path.ices[flow].consent_ns + ICE_CONSENT_NS or not ice_judges(&path.ices[flow])
            or ice_hears(path, flow))
