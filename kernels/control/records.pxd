# What travels in the rings between the control process and a worker. Fixed sizes, no pointers.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.hmac cimport HmacKey
from kernels.flow.routes_table cimport RoutesParameters
from kernels.srtp.context cimport CryptoParameters, MasterKey
from kernels.wire.packet cimport DATAGRAM, Peer

cpdef enum CommandKind:
    COMMAND_NONE = 0            # wiped
    COMMAND_INSTALL_CRYPTO = 1
    COMMAND_ADD_KEY = 2
    COMMAND_SELECT_KEY = 3
    COMMAND_REMOVE_CRYPTO = 4
    COMMAND_INSTALL_FLOW = 5
    COMMAND_REMOVE_FLOW = 6
    COMMAND_EXPORT = 7          # of a move (kernels/control/move.pxd); Command.slot is the transfer record
    COMMAND_IMPORT = 8
    COMMAND_DISCARD = 9
    COMMAND_REMOVE_KEY = 10
    COMMAND_INSTALL_ICE = 11
    COMMAND_INSTALL_ROUTES = 12

cpdef enum Latching:            # appliance.calls.media.Latching in numbers
    LATCH_OFF = 0               # only the signalled address
    LATCH_HOST = 1              # same host as signalled, any port; learnt once
    LATCH_ONCE = 2              # the first source within the learning window
    LATCH_AUTHENTICATED = 3     # any source whose packet authenticates

cdef enum:                      # FlowParameters.flags
    FLOW_RTP = 1                # RTP may arrive
    FLOW_RTCP = 2               # RTCP may arrive
    FLOW_SECURE = 4             # keys are required: without them nothing passes
    FLOW_MAY_SEND = 8           # media that arrives here is let in
    FLOW_MAY_RECEIVE = 16       # media may leave here
    FLOW_BLOCKED = 32           # what arrives goes no further
    FLOW_TAPPED = 64            # copies of what arrives go to the taps
    FLOW_TAP = 128              # gets copies, is heard by nobody; its partners are whose copies it gets
    FLOW_NO_FEEDBACK = 256      # RTCP feedback neither from nor to here
    FLOW_TYPES = 512            # RTP that leaves here: payload types by the rewrite table
    FLOW_EXTENSIONS = 1024      # RTP that leaves here: header extension ids by the rewrite table
    FLOW_ICE = 2048             # an ICE agent says from and to where
    FLOW_DTLS = 4096            # DTLS may arrive
    FLOW_OPAQUE = 8192          # what arrives is SRTP of others: behind its header nothing is looked at
    FLOW_MEMBER = 16384         # has no port: shares that of its carrier (kernels/flow/routes.pxd)
    FLOW_ROUTES = 32768         # is the carrier of several streams; the worker's own flag

cdef struct FlowParameters:     # desired state of one flow, as commanded
    uint32_t socket             # socket number (kernels/port/port.pxd)
    uint32_t rtp_partner        # flow that arriving RTP leaves by, or NO_SLOT
    uint32_t rtcp_partner
    uint32_t receive            # crypto slots, or NO_SLOT
    uint32_t send
    uint16_t flags
    uint8_t latching            # Latching
    uint8_t tos                 # of what leaves here
    uint32_t rtp_tap            # first flow that gets copies of arriving RTP; of a tap: the next one; or NO_SLOT
    uint32_t rtcp_tap
    Peer remote                 # family 0: not known yet

cdef enum:
    REWRITE_TYPES = 32
    REWRITE_EXTENSIONS = 30
    REWRITE_TO_ALAW = 128       # in type_to: the payload becomes A-law too (kernels/flow/g711.pxd)
    REWRITE_TO_ULAW = 128       # in type_from: mu-law

cdef struct FlowRewrite:        # of RTP that leaves by a flow: numbers of the leg it comes from, and of this one
    uint8_t types               # pairs in use
    uint8_t extensions
    uint8_t reserved[2]
    uint8_t type_from[REWRITE_TYPES]
    uint8_t type_to[REWRITE_TYPES]
    uint8_t extension_from[REWRITE_EXTENSIONS]
    uint8_t extension_to[REWRITE_EXTENSIONS]

cdef struct FlowCommand:
    FlowParameters want
    FlowRewrite rewrite

cdef enum:                      # IceParameters.flags
    ICE_LITE = 1                # the worker selects; else the control process
    ICE_PEER_KNOWN = 2          # `peer` is valid
    ICE_RESPONSES = 4           # `responses` is valid

cdef enum:
    ICE_UFRAG = 32              # of ours, octets (RFC 8839 section 5.4); the peer's may have 256

cdef struct IceCredential:      # of ours. The password is not here: key states are all that checks need
    HmacKey key
    uint8_t ufrag[ICE_UFRAG]
    uint8_t octets              # of `ufrag`; 0: none
    uint8_t reserved[3]

cdef struct IceParameters:      # desired state of an ICE agent, as commanded
    IceCredential local
    IceCredential earlier       # before a restart: still answered
    HmacKey responses           # what the peer signs its responses with: its password
    uint8_t peer[20]            # SHA-1 of its user fragment
    uint8_t flags               # ICE_*
    uint8_t reserved[3]

cdef struct CryptoCommand:
    CryptoParameters parameters
    MasterKey key

cdef enum:
    MOVE_SLOTS = 4              # flows of one stream
    MOVE_CRYPTOS = 8            # its cryptos: receive and send of each leg, and two more to receive with

cdef struct MoveCommand:
    uint64_t id                 # of the move, unique
    uint32_t to                 # worker that is to import
    uint32_t flows[MOVE_SLOTS]  # slots at the worker that is told, or NO_SLOT; the same place is the same flow at both
    uint32_t cryptos[MOVE_CRYPTOS]

cdef union CommandBody:
    CryptoCommand crypto
    MoveCommand move
    FlowCommand flow
    IceParameters ice
    RoutesParameters routes

cdef struct Command:
    uint32_t ticket
    uint32_t kind               # CommandKind
    uint32_t slot
    uint32_t after              # position in the ring of injected datagrams: those before it leave first
    CommandBody body

cdef struct ReplyRecord:
    uint32_t ticket
    int32_t error               # 0 or a positive errno

cdef enum IceNews:
    NEWS_NONE = 0
    NEWS_VALID = 1
    NEWS_NOMINATED = 2
    NEWS_EXPIRED = 3

cdef struct Punt:               # a datagram that is not media, on its way up
    uint32_t flow
    uint32_t length
    uint64_t received_ns        # CLOCK_MONOTONIC
    Peer source
    uint8_t kind                # kernels.wire.packet.Kind
    uint8_t news                # IceNews of `source`; kind and data are then of no meaning
    uint8_t reserved[2]
    uint8_t data[DATAGRAM]

cdef struct Inject:             # a datagram of the control process, to be sent from a flow's socket
    uint32_t flow
    uint32_t length
    Peer to
    uint8_t data[DATAGRAM]

cdef struct Handoff:            # a datagram that arrived at another worker than the one that serves its socket
    uint32_t socket
    uint32_t length
    uint64_t received_ns
    Peer source
    uint8_t data[DATAGRAM]

cdef enum:                      # ring sizes: slots (powers of two) and octets of a record
    COMMAND_SLOTS = 1024
    COMMAND_OCTETS = 576
    REPLY_SLOTS = 2048
    REPLY_OCTETS = 64
    PUNT_SLOTS = 256
    PUNT_OCTETS = 2048
    INJECT_SLOTS = 64
    INJECT_OCTETS = 2048
    HANDOFF_SLOTS = 64
    HANDOFF_OCTETS = 2048
