# cython: language_level=3
"""One crypto of the engine with memory of its own, for tests, benchmarks, the load generator and the demonstration."""
import os

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset

from kernels.clib.openssl cimport OPENSSL_cleanse
from kernels.srtp.context cimport (
    CRYPTO_LEGACY_192, CRYPTO_PLAIN_RTCP, CRYPTO_PLAIN_RTP, CRYPTO_ROC_KEEP, CRYPTO_ROC_RESET, CRYPTO_SEND,
    CRYPTO_UNAUTHENTICATED_RTP, CryptoParameters, EngineSizes, MAX_KEY, MAX_MKI, MAX_SALT, MasterKey,
)
from kernels.srtp.engine cimport (
    engine_add_key, engine_attach, engine_detach, engine_footprint, engine_install, engine_open, engine_remove,
    engine_remove_key, engine_seal, engine_select_key,
)
from kernels.srtp.kdf cimport DERIVE_ONCE
from kernels.srtp.status cimport CryptoStatus, crypto_status, view
from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport (
    BATCH, DROP_NONE, DROP_TOO_LONG, FRAME, HEADROOM, KIND_RTCP, KIND_RTP, Packet,
)

from kernels.wire.packet import Drop as _Drop

ROC = {"auto": 0, "reset": CRYPTO_ROC_RESET, "keep": CRYPTO_ROC_KEEP}

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size) noexcept


cdef class Session:
    """One direction of one stream of one leg.

    transform: kernels.srtp.transform.Transform; key, salt: master key and salt of exactly its lengths; send: protects,
    otherwise unprotects. mki: identifier of the key, its length is that of every key (0..128 octets). window: packets,
    64..1024. kdr_log2: key derivation rate 2^n (0..24), None: rate 0. rtp_lifetime, rtcp_lifetime: packets, 0: the
    maximum. memory: 64-aligned writable buffer of Session.footprint(...) octets that outlives the session (its own when
    None); fresh=False adopts what a dead session left there, and then key may be None: nothing is installed.
    lane=False sends every packet the long way (kernels/srtp/lane.pxd), which must make no difference.
    roc: "auto", "reset" or "keep" (CRYPTO_ROC_*). contexts: cryptos there is room for, packets go to number `slot`.

    OSError carries the engine's errno (EINVAL: parameters that do not belong together); ValueError: wrong lengths.
    Not thread-safe.
    """

    cdef Engine engine
    cdef EngineSizes sizes
    cdef CryptoParameters parameters
    cdef void *owned
    cdef void *base
    cdef bint attached
    cdef bint lane
    cdef object memory
    cdef uint8_t *frames
    cdef public unsigned long long now_ns       # Packet.received_ns of what comes next
    cdef public unsigned int slot               # crypto that packets come for

    def __cinit__(self, transform, key, salt, *, bint send, bytes mki=b"", int window=128, kdr_log2=None,
                  bint plain_rtp=False, bint plain_rtcp=False, bint unauthenticated_rtp=False,
                  bint legacy_192=False, int ssrc_limit=16, unsigned int initial_roc=0,
                  unsigned long long rtp_lifetime=0, unsigned long long rtcp_lifetime=0,
                  int keys=8, memory=None, bint fresh=True, bint lane=True, str roc="auto", int contexts=1):
        self.sizes.cryptos, self.sizes.keys = contexts, keys
        self.sizes.streams = contexts * max(1, min(ssrc_limit, 256))
        self.frames = <uint8_t *>aligned_alloc(64, BATCH * FRAME)
        if self.frames == NULL:
            raise MemoryError
        self._take_memory(memory)
        self.lane = lane
        self._attach(fresh)
        self._describe(transform, send, len(mki), window, kdr_log2, ssrc_limit, initial_roc)
        self.parameters.flags |= CRYPTO_PLAIN_RTP if plain_rtp else 0
        self.parameters.flags |= CRYPTO_PLAIN_RTCP if plain_rtcp else 0
        self.parameters.flags |= CRYPTO_UNAUTHENTICATED_RTP if unauthenticated_rtp else 0
        self.parameters.flags |= CRYPTO_LEGACY_192 if legacy_192 else 0
        self.parameters.flags |= ROC[roc]
        if key is not None:
            self.install(key, salt, mki=mki, rtp_lifetime=rtp_lifetime, rtcp_lifetime=rtcp_lifetime)

    def __dealloc__(self):
        if self.attached:
            engine_detach(&self.engine)
        if self.owned != NULL:
            OPENSSL_cleanse(self.owned, engine_footprint(&self.sizes))
            free(self.owned)
        if self.frames != NULL:
            OPENSSL_cleanse(self.frames, BATCH * FRAME)
            free(self.frames)

    @staticmethod
    def footprint(*, int keys=8, int ssrc_limit=16):
        """Octets of memory a session of these sizes wants."""
        cdef EngineSizes sizes
        sizes.cryptos, sizes.keys, sizes.streams = 1, keys, max(1, min(ssrc_limit, 256))
        return engine_footprint(&sizes)

    # --- packets ---

    def protect_rtp(self, const uint8_t[::1] packet not None):
        """RTP in, SRTP out; or the Drop that says why not."""
        return self._one(packet, KIND_RTP, True)

    def protect_rtcp(self, const uint8_t[::1] packet not None):
        return self._one(packet, KIND_RTCP, True)

    def unprotect_rtp(self, const uint8_t[::1] packet not None):
        """SRTP in, RTP out; or the Drop that says why not."""
        return self._one(packet, KIND_RTP, False)

    def unprotect_rtcp(self, const uint8_t[::1] packet not None):
        return self._one(packet, KIND_RTCP, False)

    def protect_rtp_many(self, packets):
        """A list of datagrams, worked off as batches of up to 64; a list of bytes or Drop in the same order."""
        return self._many(packets, KIND_RTP, True)

    def protect_rtcp_many(self, packets):
        return self._many(packets, KIND_RTCP, True)

    def unprotect_rtp_many(self, packets):
        return self._many(packets, KIND_RTP, False)

    def unprotect_rtcp_many(self, packets):
        return self._many(packets, KIND_RTCP, False)

    def mixed(self, packets):
        """A list of (datagram, whether it is RTCP), worked off as batches of up to 64 of both kinds; as the others."""
        return self._many(packets, None, self.parameters.flags & CRYPTO_SEND)

    def in_place(self, uint8_t[::1] frame not None, int length, *, bint rtcp=False):
        """Work on a datagram of `length` octets at the start of the caller's frame, whose size is the capacity (a test
        puts the frame against memory that must not be touched). The new length, or the Drop that says why not."""
        cdef Packet packet
        cdef Packet *packets = &packet
        if not 0 <= length <= frame.shape[0] or frame.shape[0] == 0:
            raise ValueError("the datagram is longer than its frame, or there is no frame")
        memset(&packet, 0, sizeof(Packet))
        packet.data, packet.length, packet.capacity = &frame[0], <uint32_t>length, <uint32_t>frame.shape[0]
        packet.kind = KIND_RTCP if rtcp else KIND_RTP
        packet.received_ns, packet.crypto = self.now_ns, self.slot
        with nogil:
            if self.parameters.flags & CRYPTO_SEND:
                engine_seal(&self.engine, &packets, 1)
            else:
                engine_open(&self.engine, &packets, 1)
        return packet.length if packet.drop == DROP_NONE else _Drop(packet.drop)

    # --- keys ---

    def install(self, const uint8_t[::1] key not None, const uint8_t[::1] salt not None, *, bytes mki=b"",
                unsigned long long rtp_lifetime=0, unsigned long long rtcp_lifetime=0):
        """Install again: the same key continues, another one restarts every SSRC at initial_roc."""
        cdef MasterKey master
        self._master(&master, key, salt, mki, rtp_lifetime, rtcp_lifetime)
        cdef int error = engine_install(&self.engine, 0, &self.parameters, &master)
        OPENSSL_cleanse(&master, sizeof(master))
        _check(error)

    def add_key(self, const uint8_t[::1] key not None, const uint8_t[::1] salt not None, bytes mki not None, *,
                unsigned long long rtp_lifetime=0, unsigned long long rtcp_lifetime=0):
        """A further master key under its own MKI."""
        cdef MasterKey master
        self._master(&master, key, salt, mki, rtp_lifetime, rtcp_lifetime)
        cdef int error = engine_add_key(&self.engine, 0, &master)
        OPENSSL_cleanse(&master, sizeof(master))
        _check(error)

    def select_key(self, bytes mki not None):
        """Protect with the key of this MKI from now on. OSError ENOENT: there is none."""
        if len(mki) != self.parameters.mki_octets:
            raise ValueError("MKI of another length")
        _check(engine_select_key(&self.engine, 0, <const uint8_t *>mki))

    def remove_key(self, bytes mki not None):
        """Wipe one of several keys. OSError EBUSY: it protects, or is the only one."""
        if len(mki) != self.parameters.mki_octets:
            raise ValueError("MKI of another length")
        _check(engine_remove_key(&self.engine, 0, <const uint8_t *>mki))

    def place(self, unsigned int slot, transform, const uint8_t[::1] key not None, const uint8_t[::1] salt not None, *,
              bytes mki=b"", also=None, roc=None, bint unauthenticated_rtp=False, unsigned long long rtp_lifetime=0):
        """Install another crypto of the same direction. also: number of the one that is asked for what this does not
        take."""
        cdef CryptoParameters kept = self.parameters
        cdef MasterKey master
        cdef int error
        try:
            self._describe(transform, kept.flags & CRYPTO_SEND, len(mki), kept.window, None, kept.ssrc_limit, 0)
            self.parameters.flags |= ROC[roc] if roc else kept.flags & (CRYPTO_ROC_KEEP | CRYPTO_ROC_RESET)
            self.parameters.flags |= CRYPTO_UNAUTHENTICATED_RTP if unauthenticated_rtp else 0
            self.parameters.also = 0 if also is None else also + 1
            self._master(&master, key, salt, mki, rtp_lifetime, 0)
            error = engine_install(&self.engine, slot, &self.parameters, &master)
            OPENSSL_cleanse(&master, sizeof(master))
            _check(error)
        finally:
            self.parameters = kept

    def remove(self, unsigned int slot=0):
        """Wipe keys and state; packets are DROP_NOT_KEYED from now on."""
        _check(engine_remove(&self.engine, slot))

    def reattach(self):
        """What a replaced worker does: forget everything process-local and adopt the memory as it stands."""
        engine_detach(&self.engine)
        self.attached = False
        self._attach(False)

    def status(self, slot=None):
        """CryptoView (ROC, newest indices, counters; never keys), None when nothing is installed."""
        cdef CryptoStatus status
        cdef uint32_t which = self.slot if slot is None else slot
        cdef int error = crypto_status(self.base, &self.sizes, which, &status)
        return view(&status) if error == 0 else None

    @property
    def in_lane(self):
        """Whether RTP has taken the short way since the last packet that had to take the long one."""
        return self.engine.lanes[self.slot].credit != 0

    def __repr__(self):
        return f"<Session {'send' if self.parameters.flags & CRYPTO_SEND else 'receive'}>"

    # --- helpers ---

    cdef int _attach(self, bint fresh) except -1:
        _check(engine_attach(&self.engine, self.base, &self.sizes, fresh))
        self.attached = True
        if not self.lane:
            self.engine.lane_open = self.engine.lane_seal = 255     # of no crypto
        return 0

    cdef int _take_memory(self, memory) except -1:
        cdef uint8_t[::1] given
        cdef uint64_t octets = engine_footprint(&self.sizes)
        if memory is None:
            self.owned = self.base = aligned_alloc(64, octets)
            if self.owned == NULL:
                raise MemoryError
            memset(self.owned, 0, octets)
            return 0
        given = memory
        if <uint64_t>given.shape[0] < octets:
            raise ValueError(f"memory of {given.shape[0]} octets, {octets} wanted")
        self.memory = given
        self.base = &given[0]
        return 0

    cdef int _describe(self, transform, bint send, int mki_octets, int window, kdr_log2, int ssrc_limit,
                       unsigned int initial_roc) except -1:
        cdef CryptoParameters *p = &self.parameters
        if mki_octets > MAX_MKI:
            raise ValueError("MKI of more than 128 octets")
        if not 0 <= window <= 65535 or ssrc_limit < 0 or (kdr_log2 is not None and not 0 <= kdr_log2 <= 24):
            raise ValueError("window, SSRC limit or key derivation rate out of range")
        p.cipher, p.auth = transform.cipher_kind, transform.auth_kind
        p.key_octets, p.salt_octets = transform.key_octets, transform.salt_octets
        p.rtp_tag, p.rtcp_tag = transform.rtp_tag, transform.rtcp_tag
        p.mki_octets = <uint8_t>mki_octets
        p.kdr_log2 = DERIVE_ONCE if kdr_log2 is None else kdr_log2
        p.window = <uint16_t>window
        p.flags = CRYPTO_SEND if send else 0
        p.ssrc_limit = ssrc_limit
        p.initial_roc = initial_roc
        p.also = 0
        return 0

    cdef int _master(self, MasterKey *master, const uint8_t[::1] key, const uint8_t[::1] salt, bytes mki,
                     uint64_t rtp_lifetime, uint64_t rtcp_lifetime) except -1:
        if key.shape[0] != self.parameters.key_octets or salt.shape[0] != self.parameters.salt_octets:
            raise ValueError("master key or salt of another length than the transform's")
        if key.shape[0] > MAX_KEY or salt.shape[0] > MAX_SALT or not key.shape[0] or not salt.shape[0]:
            raise ValueError("master key or salt of an impossible length")
        if len(mki) != self.parameters.mki_octets:
            raise ValueError("MKI of another length")
        memset(master, 0, sizeof(MasterKey))
        memcpy(master.key, &key[0], key.shape[0])
        memcpy(master.salt, &salt[0], salt.shape[0])
        memcpy(master.mki, <const uint8_t *>mki, len(mki))
        master.rtp_lifetime, master.rtcp_lifetime = rtp_lifetime, rtcp_lifetime
        return 0

    cdef object _one(self, const uint8_t[::1] data, uint8_t kind, bint seal):
        cdef Packet packet
        cdef Packet *packets = &packet
        self._frame(&packet, BATCH - 1, data, kind)
        if not seal:                        # flush with the end of the allocation: a sanitizer sees one octet too many
            self._flush(&packet)
        with nogil:
            if seal:
                engine_seal(&self.engine, &packets, 1)
            else:
                engine_open(&self.engine, &packets, 1)
        return _result(&packet)

    cdef object _many(self, packets, kind, bint seal):
        cdef Packet batch[BATCH]
        cdef Packet *order[BATCH]
        cdef uint32_t count, i
        cdef const uint8_t[::1] data
        out = []
        for start in range(0, len(packets), BATCH):
            count = 0
            for packet in packets[start:start + BATCH]:
                data = packet if kind is not None else packet[0]
                this_kind = kind if kind is not None else KIND_RTCP if packet[1] else KIND_RTP
                self._frame(&batch[count], count, data, this_kind)
                order[count] = &batch[count]
                count += 1
            with nogil:
                if seal:
                    engine_seal(&self.engine, order, count)
                else:
                    engine_open(&self.engine, order, count)
            for i in range(count):
                out.append(_result(&batch[i]))
        return out

    cdef void _frame(self, Packet *packet, uint32_t at, const uint8_t[::1] data, uint8_t kind):
        memset(packet, 0, sizeof(Packet))
        packet.data = self.frames + at * FRAME + HEADROOM
        packet.capacity = FRAME - HEADROOM
        packet.kind = kind
        packet.received_ns, packet.crypto = self.now_ns, self.slot
        if data.shape[0] > FRAME - HEADROOM:
            packet.drop = DROP_TOO_LONG
            return
        packet.length = <uint32_t>data.shape[0]
        if data.shape[0]:
            memcpy(packet.data, &data[0], data.shape[0])

    cdef void _flush(self, Packet *packet):
        cdef uint8_t *end = self.frames + BATCH * FRAME
        memmove(end - packet.length, packet.data, packet.length)
        packet.data, packet.capacity = end - packet.length, packet.length


cdef object _result(const Packet *packet):
    if packet.drop != DROP_NONE:
        return _Drop(packet.drop)
    return (<const char *>packet.data)[:packet.length]

cdef int _check(int error) except -1:
    if error:
        raise OSError(-error, os.strerror(-error))
    return 0
