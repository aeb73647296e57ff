# Contract between the SRTP engine and everybody who installs or uses contexts (worker, load generator, tests).
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.wire.packet cimport Packet

cdef enum:
    MAX_KEY = 32
    MAX_SALT = 14
    MAX_MKI = 128

cpdef enum CipherKind:
    CIPHER_NULL = 0
    CIPHER_AES_CM = 1           # RFC 3711 section 4.1.1, RFC 6188
    CIPHER_AES_F8 = 2           # RFC 3711 section 4.1.2
    CIPHER_AES_GCM = 3          # RFC 7714

cpdef enum AuthKind:
    AUTH_NONE = 0               # nothing, or inside the AEAD cipher
    AUTH_HMAC_SHA1 = 1

cdef enum:                      # CryptoParameters.flags
    CRYPTO_SEND = 1             # context protects; otherwise it unprotects
    CRYPTO_PLAIN_RTP = 2        # UNENCRYPTED_SRTP (RFC 4568 section 6.3.2)
    CRYPTO_PLAIN_RTCP = 4       # UNENCRYPTED_SRTCP: E bit 0
    CRYPTO_UNAUTHENTICATED_RTP = 8   # UNAUTHENTICATED_SRTP (RFC 4568 section 6.3.3)
    CRYPTO_LEGACY_192 = 16      # AES-192 session keys as libsrtp 2.2 to 2.7 derive them (FreeSWITCH); not RFC 6188
    CRYPTO_ROC_RESET = 32       # ROC policy of the peer (row C13). Neither: 0 with a new key, then by trial
    CRYPTO_ROC_KEEP = 64        # the ROC of an SSRC goes on under a new key

cdef struct CryptoParameters:   # one direction of one stream of one leg; the suite spelt out as numbers
    uint8_t cipher              # CipherKind
    uint8_t auth                # AuthKind
    uint8_t key_octets          # 16, 24, 32
    uint8_t salt_octets         # 14, GCM 12
    uint8_t rtp_tag             # octets: 0, 4, 8, 10, 16
    uint8_t rtcp_tag
    uint8_t mki_octets          # 0: no MKI on the wire
    uint8_t kdr_log2            # key derivation rate 2^n; 255: rate 0, derive once (RFC 3711 section 4.3.1)
    uint16_t window             # replay window, packets: 64..1024
    uint16_t flags
    uint32_t ssrc_limit         # most SSRCs on this context
    uint32_t initial_roc        # ROC of an SSRC's first packet (MIKEY ROC_i); SDES and DTLS: 0
    uint32_t also               # receiver: crypto + 1 that is tried for what this one does not take; 0: none

cdef struct MasterKey:
    uint8_t key[MAX_KEY]
    uint8_t salt[MAX_SALT]
    uint8_t mki[MAX_MKI]        # mki_octets of them count, network order
    uint64_t rtp_lifetime       # packets under this key; 0: the maximum, 2^48
    uint64_t rtcp_lifetime      # 0: the maximum, 2^31

cdef struct EngineSizes:        # how many slots of each table
    uint32_t cryptos
    uint32_t keys
    uint32_t streams            # one per SSRC and context

# The engine's tables live in memory that the caller gives (the arena), addressed by slot number and
# offset only; process-local state of the cipher back end (OpenSSL contexts) is held beside them and
# rebuilt at attach. One owner: nobody else touches the memory while the engine runs (crypto_status of
# status.pxd reads beside it). cdef struct Engine is in tables.pxd and may be cimported from engine.pxd.
# Described here for the reader; declared in kernels/srtp/engine.pxd (all noexcept nogil):
#   uint64_t engine_footprint(const EngineSizes *sizes)
#   int      engine_attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh)
#            0, or negative errno. fresh: zero and format; else adopt what a dead owner left (rebuild the
#            free lists and the back end's state, never set an index back).
#   void     engine_detach(Engine *engine)
#   int      engine_install(Engine *engine, uint32_t crypto, const CryptoParameters *p, const MasterKey *key)
#            idempotent; with the same parameters and key an existing context continues (RFC 3711: ROC kept),
#            with another key all SSRC state restarts at initial_roc, or as the ROC policy says. The SRTCP index of a
#            sender never resets. `also` must be installed before, and ends with whichever of the two is removed.
#   int      engine_add_key(Engine *engine, uint32_t crypto, const MasterKey *key)     further key (MKI)
#   int      engine_select_key(Engine *engine, uint32_t crypto, const uint8_t *mki)    sender switches
#   int      engine_remove_key(Engine *engine, uint32_t crypto, const uint8_t *mki)    wipes one of several
#   int      engine_remove(Engine *engine, uint32_t crypto)        wipes; absent is no error
#   void     engine_open(Engine *engine, Packet **packets, uint32_t count)
#   void     engine_seal(Engine *engine, Packet **packets, uint32_t count)
#            take those with .drop == DROP_NONE and .crypto != NO_SLOT and .kind RTP or RTCP; in place;
#            set .length or .drop. Order of one SSRC is kept; two copies in a batch: exactly one passes.
