# The ICE agent of a flow, in the slot of its number. In the arena: the worker alone writes it, the control process
# takes snapshots under `sequence`. A worker that dies leaves no half of a source (ice.pyx, source_put).
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.control.records cimport IceParameters
from kernels.wire.packet cimport Peer

cdef enum:
    ICE_SOURCES = 7             # validated ones of a flow: the longest silent gives way
    ICE_NONE = 255              # of IceAgent.selected
    ICE_CONFLICTS = 3           # so often a peer that does not control a lite agent is told to
    ICE_CONSENT_NS = 30000000000    # RFC 7675 section 5.1
    ICE_ASKS_NS = 3000000000    # a check of the selected pair so long after it was selected: the peer asks for consent
    # a selected pair that a peer who asks has not checked for so long: it is elsewhere (RFC 7675 asks every 5 s; ice4j
    # checks all of its pairs every 15 s)
    ICE_FORSAKEN_NS = 20000000000
    ICE_TOGETHER_NS = 1000000000    # nominations so close together are one: the pair of the highest priority is meant

cdef enum IceRefusal:           # IceAgent.refused; named in mailbox.pyx
    REFUSAL_MALFORMED = 0       # structure, fingerprint, or what a check must carry
    REFUSAL_USER = 1            # user fragments are not those of this agent
    REFUSAL_INTEGRITY = 2       # right user, wrong password
    REFUSAL_ATTRIBUTE = 3       # one that we would have to understand, or ICE-CONTROLLED to a lite agent
    REFUSAL_UNEXPECTED = 4      # indications; responses to a lite agent, which asked nothing
    REFUSAL_UNANSWERED = 5      # of the first three, without an error response: too many of them, or no ICE message
    REFUSALS = 6

cdef enum:                      # IceAgent.flags
    ICE_NOMINATION_TOLD = 1     # the control process knows of the selected pair
    ICE_EXPIRY_TOLD = 2         # and that consent for it has ended
    ICE_ASKS = 4                # the peer checks the selected pair again and again (RFC 7675): its checks are consent

cdef struct IceSource:
    Peer peer                   # family 0: empty
    uint32_t under              # mark of the credentials it was last validated under (ice_mark)
    uint64_t heard_ns           # CLOCK_MONOTONIC

cdef struct IceAgent:
    uint32_t sequence           # odd: being changed
    uint8_t used
    uint8_t selected            # index into `sources`, or ICE_NONE
    uint8_t told                # bit i: the control process knows that source i is valid
    uint8_t flags
    uint64_t consent_ns         # CLOCK_MONOTONIC: when the selected pair last gave it
    uint32_t answered
    uint32_t nominations
    uint32_t refused[REFUSALS]
    uint32_t under              # mark of the credentials that the pair was selected under
    IceParameters want
    uint32_t priority           # PRIORITY of the check that nominated the selected pair
    IceSource sources[ICE_SOURCES]
    uint64_t selected_ns        # CLOCK_MONOTONIC: since when the selected pair is that
    uint64_t nominated_ns       # and when a check last nominated it
