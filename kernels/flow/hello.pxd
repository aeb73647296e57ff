# ClientHellos of sources that no ICE check has validated: a stateless cookie before anything else (RFC 6347 section
# 4.2.1; security-and-faults D3). The worker answers the first one itself and lets the second pass only with its cookie,
# so that a flood of them reaches nobody who could be busy with it.
from kernels.flow.pipeline cimport Path
from kernels.wire.packet cimport Drop, Packet

# A DTLS datagram of a flow without ICE; `known`: from its known source. DROP_NONE and MARK_ANSWERED in its marks: it is
# the answer now. DROP_NONE alone: let it go up.
cdef Drop hello_receive(Path *path, Packet *packet, bint known) noexcept nogil
