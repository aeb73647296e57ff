# The engine's tables as they stand in the arena: slot numbers, no pointers. All slots are 64-aligned and a multiple
# of 64.
#
#   EngineHeader | Crypto x cryptos | KeySlot x keys | Stream x streams | Lane x cryptos | Ring x 2 streams
#
# What every packet touches stands close together (a Lane, a Stream: 64 to a page of 4 KiB), what few packets touch
# stands elsewhere: at 10,000 calls the pages in use outnumber the entries of the TLB before anything else runs out.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.backend cimport Backend
from kernels.cipher.job cimport SessionKeys
from kernels.srtp.context cimport CryptoParameters, EngineSizes
from kernels.srtp.kdf cimport Deriver

cdef enum:
    LAYOUT_VERSION = 3
    LAYOUT_MAGIC = 0x53525450       # "SRTP"
    MOST_WINDOW = 1024              # packets
    MOST_KEYS = 16                  # master keys on one crypto
    MOST_SSRCS = 256                # CryptoParameters.ssrc_limit
    MOST_DROPS = 30                 # room for DROP_CRYPTO_COUNT
    MOST_ALSO = 2                   # further cryptos that are tried for one leg (CryptoParameters.also)

cdef enum CryptoState:
    CRYPTO_FREE = 0
    CRYPTO_SUSPENDED = 1            # a command on it did not finish (its owner died): no traffic until installed again
    CRYPTO_READY = 2

cdef enum LaneKind:                 # what of its RTP may take the short way (lane.pxd)
    LANE_CLOSED = 0
    LANE_OPEN = 1
    LANE_SEAL = 2

cdef enum KeySet:                   # KeySlot.sets: two epochs of each protocol, one without a rate
    SET_RTP = 0
    SET_RTCP = 2
    SETS = 4

cdef struct EngineHeader:           # 64 octets
    uint32_t magic
    uint32_t version
    uint32_t cryptos
    uint32_t keys
    uint32_t streams
    uint32_t crypto_octets          # sizeof of the slots: two builds that differ refuse each other
    uint32_t key_octets
    uint32_t stream_octets
    uint32_t lane_octets
    uint32_t ring_octets
    uint8_t reserved[24]

cdef struct Crypto:                 # 192 octets: one direction of one stream of one leg
    uint32_t generation             # odd while a command changes the slot (crypto_status reads beside the owner)
    uint32_t state                  # CryptoState
    uint32_t first_key              # chain of KeySlot.next
    uint32_t send_key               # the one that protects
    uint32_t first_stream           # chain of Stream.next
    uint32_t streams
    uint32_t rtcp_floor             # sender: SRTCP index before a new SSRC's first; survives re-keying (RFC 3711 3.4)
    uint8_t rtp_tag                 # as it is on the wire (0 with UNAUTHENTICATED_SRTP)
    uint8_t rtcp_encrypts           # 1: E bit set
    uint8_t reserved[2]
    CryptoParameters parameters     # 24 octets
    uint64_t resyncs                # ROC found by trial
    uint32_t linked_by              # crypto + 1 whose `also` this one is: a link counts when both ends say so
    uint32_t reserved_too
    uint32_t drops[30]              # by Drop, those below DROP_CRYPTO_COUNT

cdef struct Lane:                   # 64 octets: all that a packet of the common case reads and writes of its crypto
    uint8_t salt[16]                # of the RTP session keys, while open
    uint64_t packets
    uint64_t octets                 # of the protected datagrams
    uint8_t kind                    # LaneKind
    uint8_t tag                     # Crypto.rtp_tag
    uint8_t aead                    # the cipher authenticates
    uint8_t reserved
    uint32_t key                    # master key; its RTP session keys are set SET_RTP
    uint32_t stream                 # where the newest packet went; NO_SLOT: unknown
    uint32_t ssrc                   # of that stream
    uint32_t credit                 # packets that KeySlot.rtp_packets has counted in advance
    uint32_t failures               # rejected since the last authentic packet: budget of resync trials
    uint32_t reserved_too[2]

cdef struct KeySlot:                # 768 octets: one master key of one crypto
    uint32_t next
    uint32_t owner                  # crypto + 1; 0: free (wiped memory belongs to nobody)
    uint8_t current[2]              # which set of the pair was used last: RTP, RTCP
    uint8_t reserved[6]
    uint64_t rtp_packets            # secured or accepted under this key (RFC 3711 section 9.2)
    uint64_t rtcp_packets
    uint64_t rtp_lifetime
    uint64_t rtcp_lifetime
    uint8_t padding[16]
    SessionKeys sets[4]
    uint8_t key[32]
    uint8_t salt[16]
    uint8_t mki[128]
    uint8_t tail[16]

# Replay state of one index space (RFC 3711 section 3.3.2), with its Ring. With no packet yet, `newest` of RTP is where
# the SSRC stood under the key before, or 0.
cdef struct Window:
    uint64_t newest                 # highest index accepted; sender: highest used, stored before it is used
    uint64_t recent                 # bits of the 64 indices (aligned) that hold the newest; 0: no packet yet

cdef struct Ring:                   # 128 octets: two for each stream, RTP and RTCP
    uint64_t seen[16]               # bits of the 1,024 indices before Window.recent: word = index / 64 mod 16

cdef struct Stream:                 # 64 octets: one SSRC of one crypto
    uint32_t ssrc
    uint32_t next
    uint32_t owner                  # crypto + 1; 0: free
    # sending, of a source that proves nothing (probation in seal.pyx):
    uint16_t shift                  # what is added to its sequence numbers since it began anew
    uint16_t expected               # the number that ends its probation; 0: it is on none
    uint64_t last_ns                # Packet.received_ns of the newest packet
    uint64_t packets
    Window rtp
    Window rtcp

cdef struct Engine:                 # process-local; nothing of it is in the arena
    EngineHeader *header
    Crypto *cryptos
    KeySlot *keys
    Stream *streams
    Lane *lanes                     # by crypto
    Ring *rings                     # 2 x stream + (1: RTCP)
    uint32_t free_key               # chains through .next, rebuilt at attach
    uint32_t free_stream
    uint32_t streams_free           # length of that chain
    uint32_t cryptos_served         # cryptos that have a stream; one slot is kept for each of the others
    const Backend *backend
    void *backend_state
    const uint8_t *slot_memory      # Backend.slot_memory; NULL: none to fetch
    uint32_t slot_stride
    uint8_t lane_open               # LANE_OPEN, LANE_SEAL; another value: all take the long way (tests compare)
    uint8_t lane_seal
    void *pending                   # Round of job.pxd
    Deriver *deriver

cdef inline uint32_t backend_slot(const Engine *engine, uint32_t key, uint32_t which) noexcept nogil:
    """Back end's slot of a set of session keys. All of one kind stand together: the second epochs' part of its memory
    is never touched without a key derivation rate."""
    return which * engine.header.keys + key

cdef inline uint64_t tables_octets(const EngineSizes *sizes) noexcept nogil:
    return (sizeof(EngineHeader) + <uint64_t>sizes.cryptos * (sizeof(Crypto) + sizeof(Lane))
            + <uint64_t>sizes.keys * sizeof(KeySlot) + <uint64_t>sizes.streams * (sizeof(Stream) + 2 * sizeof(Ring)))

cdef inline void tables_place(Engine *engine, void *memory, const EngineSizes *sizes) noexcept nogil:
    """Point at the tables of an engine's memory."""
    engine.header = <EngineHeader *>memory
    engine.cryptos = <Crypto *>(engine.header + 1)
    engine.keys = <KeySlot *>(engine.cryptos + sizes.cryptos)
    engine.streams = <Stream *>(engine.keys + sizes.keys)
    engine.lanes = <Lane *>(engine.streams + sizes.streams)
    engine.rings = <Ring *>(engine.lanes + sizes.cryptos)
