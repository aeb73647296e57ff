# cython: language_level=3
"""Opening AF_XDP sockets (the holder, privileged, before it forks). See xsk.pxd."""
import os

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from kernels.clib.libxdp cimport (
    SO_BUSY_POLL, SO_BUSY_POLL_BUDGET, SO_PREFER_BUSY_POLL, SOL_XDP, XDP_COPY, XDP_MAX_TX_SKB_BUDGET,
    XDP_UMEM_UNALIGNED_CHUNK_FLAG, XDP_USE_NEED_WAKEUP, XDP_ZEROCOPY, XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
    xsk_socket__create_shared, xsk_socket__delete, xsk_socket__fd, xsk_socket_config, xsk_umem__create,
    xsk_umem__delete, xsk_umem_config,
)
from kernels.clib.linux cimport (
    MADV_DONTDUMP, MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_HUGETLB, MAP_SHARED, PROT_READ, PROT_WRITE, SOL_SOCKET,
    madvise, mlock, mmap, munmap, setsockopt,
)
from kernels.port.xsk cimport CHUNK, LONGEST_FRAME, MOST_XSKS, PAGE_STRIDE, RING, STRIDE, Shared, Xsk

HUGE_PAGE = 2 << 20
BUDGET = 64                     # packets of one busy poll, one burst
SEND_BUDGET = 128               # packets of one sendto in copy mode: a burst and what was left of the last
LONGEST = LONGEST_FRAME
MOST = MOST_XSKS
if STRIDE != 2496 or PAGE_STRIDE != 4096:
    raise ImportError("strides: xsk.pxd and rings.pxd differ")


cdef class Rings:
    """One worker's sockets: `queues` are (device name, ifindex, device number, queue). OSError in words.

    zero_copy asks for it and fails where the driver has none. `aligned` forces one page per frame.
    """

    def __cinit__(self, list queues, bint zero_copy=False, bint aligned=False, int busy_poll_us=0):
        cdef Xsk *xsk
        if not 0 < len(queues) <= MOST_XSKS:
            raise OSError(f"AF_XDP: {len(queues)} queues for one worker, 1 to {MOST_XSKS} are possible")
        self.count, self.zero_copy = len(queues), zero_copy
        self.frames = 2 * RING * self.count
        self.map_memory(not aligned)
        for index, (name, ifindex, device, queue) in enumerate(queues):
            xsk = &self.xsks[index]
            xsk.ifindex, xsk.device, xsk.queue = ifindex, device, queue
            self.open_socket(index, name, queue, busy_poll_us)
            self.shared.usable[index] = 1

    cdef map_memory(self, bint unaligned):
        """Frames in huge pages when there are any; the table of owners; both locked, in no core file."""
        cdef uint64_t room
        self.unaligned = unaligned
        self.shared_octets = (sizeof(Shared) + self.frames * sizeof(uint64_t) + 4095) & ~<uint64_t>4095
        self.shared = <Shared *>mmap(NULL, self.shared_octets, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        if self.shared == <Shared *>MAP_FAILED:
            self.shared = NULL
            raise MemoryError
        self.owners = <uint64_t *>(<uint8_t *>self.shared + sizeof(Shared))
        room = <uint64_t>self.frames * (STRIDE if unaligned else PAGE_STRIDE)
        self.octets = (room + HUGE_PAGE - 1) // HUGE_PAGE * HUGE_PAGE
        self.area = <uint8_t *>mmap(NULL, self.octets, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)
        self.huge = self.area != <uint8_t *>MAP_FAILED
        if not self.huge:
            self.area = <uint8_t *>mmap(NULL, self.octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        if self.area == <uint8_t *>MAP_FAILED:
            self.area = NULL
            raise MemoryError
        if not self.huge:
            madvise(self.area, self.octets, MADV_HUGEPAGE)
        if self.zero_copy and not self.huge:
            self.unaligned = False                      # frames may not cross pages that do not lie side by side
            self.frames = <uint32_t>min(self.frames, self.octets // PAGE_STRIDE)
        madvise(self.area, self.octets, MADV_DONTDUMP)
        mlock(self.area, self.octets)                   # registering pins the pages anyway

    cdef open_socket(self, uint32_t index, str name, uint32_t queue, int busy_poll_us):
        cdef Xsk *xsk = &self.xsks[index]
        cdef xsk_socket_config config
        cdef int error, value
        if index == 0:
            self.register()
        memset(&config, 0, sizeof(config))
        config.rx_size = config.tx_size = RING
        config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD
        config.bind_flags = <uint16_t>(XDP_USE_NEED_WAKEUP | (XDP_ZEROCOPY if self.zero_copy else XDP_COPY))
        error = xsk_socket__create_shared(&xsk.socket, name.encode(), queue, self.umem, &xsk.rx, &xsk.tx, &xsk.fill,
                                          &xsk.comp, &config)
        if error != 0:
            xsk.socket = NULL
            raise OSError(-error, f"AF_XDP socket on queue {queue} of {name}: {os.strerror(-error)}")
        xsk.fd = xsk_socket__fd(xsk.socket)
        value = SEND_BUDGET
        setsockopt(xsk.fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &value, sizeof(value))       # older kernels: 32, we repeat
        if busy_poll_us:
            for option, amount in ((SO_PREFER_BUSY_POLL, 1), (SO_BUSY_POLL, busy_poll_us),
                                   (SO_BUSY_POLL_BUDGET, BUDGET)):
                value = amount
                if setsockopt(xsk.fd, SOL_SOCKET, option, &value, sizeof(value)) != 0:
                    raise OSError(errno, f"busy polling on {name}: {os.strerror(errno)}")

    def register(self):
        """Hand the memory to the kernel. OSError (EPERM without CAP_NET_RAW, ENOBUFS over the locked-memory limit)."""
        cdef xsk_umem_config config
        cdef int error
        memset(&config, 0, sizeof(config))
        config.fill_size = config.comp_size = RING
        config.frame_size = CHUNK if self.unaligned else PAGE_STRIDE
        config.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG if self.unaligned else 0
        error = xsk_umem__create(&self.umem, self.area, self.octets, &self.xsks[0].fill, &self.xsks[0].comp, &config)
        if error != 0:
            self.umem = NULL
            raise OSError(-error, f"AF_XDP memory of {self.octets >> 20} MiB: {os.strerror(-error)}")

    def sockets(self):
        """(device number, queue, descriptor) of each."""
        return [(self.xsks[i].device, self.xsks[i].queue, self.xsks[i].fd) for i in range(self.count)]

    def set_usable(self, uint16_t device, bint usable):
        """Holder: whether the rings of a device may send."""
        for i in range(self.count):
            if self.xsks[i].device == device:
                self.shared.usable[i] = usable

    def close(self):
        """Only when no worker uses them. Twice is no error."""
        for i in range(self.count):
            if self.xsks[i].socket != NULL:
                xsk_socket__delete(self.xsks[i].socket)
                self.xsks[i].socket = NULL
        if self.umem != NULL:
            xsk_umem__delete(self.umem)
            self.umem = NULL
        if self.area != NULL:
            munmap(self.area, self.octets)
            self.area = NULL
        if self.shared != NULL:
            munmap(self.shared, self.shared_octets)
            self.shared = NULL

    def __dealloc__(self):
        self.close()
