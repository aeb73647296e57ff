# Up to the control process: datagrams that are not media, and news of ICE agents.
#
# The ring is shared by all flows of the worker and its reader is slow, so each flow has budgets: one for the source
# that it knows, and four, by a hash of the source, for everybody else (security-and-faults A3). Strangers leave half of
# the ring to the others. Whoever floods a port takes at most a quarter of the strangers' share of that one flow, now
# one, now another: a peer behind a NAT, whose address nobody has signalled, gets through when it repeats itself.
from libc.stdint cimport uint32_t

from kernels.control.records cimport IceNews
from kernels.flow.pipeline cimport Path
from kernels.wire.packet cimport Drop, Packet, Peer

cdef enum:
    BUDGET_KNOWN = 0            # the known source; signed messages
    BUDGET_ERRORS = 1           # error responses to checks
    BUDGET_STRANGERS = 2        # and the three that follow
    BUDGET_HELLOS = 6           # ClientHellos that are answered: of strangers, and behind it of the known source

# `known`: it comes from the flow's known source, or is signed.
cdef Drop punt(Path *path, const Packet *packet, bint known) noexcept nogil
# False: the ring has no room, or the flow no budget.
cdef bint punt_news(Path *path, uint32_t flow, const Peer *source, IceNews news) noexcept nogil
# One of a flow's budgets for one event. False: spent.
cdef bint budget_take(Path *path, uint32_t flow, uint32_t budget) noexcept nogil
