# AF_XDP through libxdp (xdp/xsk.h): UMEM, sockets, and the verbs of the four rings, which are inline.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<linux/if_xdp.h>" nogil:
    cdef struct xdp_desc:
        uint64_t addr
        uint32_t len
        uint32_t options
    cdef struct xdp_statistics:
        uint64_t rx_dropped
        uint64_t rx_invalid_descs
        uint64_t tx_invalid_descs
        uint64_t rx_ring_full
        uint64_t rx_fill_ring_empty_descs
        uint64_t tx_ring_empty_descs
    cdef enum:
        XDP_COPY
        XDP_ZEROCOPY
        XDP_USE_NEED_WAKEUP
        XDP_UMEM_UNALIGNED_CHUNK_FLAG
        XDP_STATISTICS
        XSK_UNALIGNED_BUF_OFFSET_SHIFT
    uint64_t XSK_UNALIGNED_BUF_ADDR_MASK

cdef extern from "<sys/socket.h>" nogil:
    cdef enum:
        SOL_XDP
        SO_BUSY_POLL

cdef extern from "<xdp/xsk.h>" nogil:
    """
    #ifndef SO_PREFER_BUSY_POLL
    #define SO_PREFER_BUSY_POLL 69
    #define SO_BUSY_POLL_BUDGET 70
    #endif
    #ifndef XDP_MAX_TX_SKB_BUDGET
    #define XDP_MAX_TX_SKB_BUDGET 9     /* Linux 6.18: packets of one sendto in copy mode */
    #endif
    """
    cdef enum:
        SO_PREFER_BUSY_POLL
        SO_BUSY_POLL_BUDGET
        XDP_MAX_TX_SKB_BUDGET
        XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD
    cdef struct xsk_umem:
        pass
    cdef struct xsk_socket:
        pass
    cdef struct xsk_ring_prod:
        uint32_t cached_prod
        uint32_t cached_cons
        uint32_t size
        uint32_t *producer
        uint32_t *consumer
    cdef struct xsk_ring_cons:
        uint32_t cached_prod
        uint32_t cached_cons
        uint32_t size
        uint32_t *producer
        uint32_t *consumer
    cdef struct xsk_umem_config:
        uint32_t fill_size
        uint32_t comp_size
        uint32_t frame_size
        uint32_t frame_headroom
        uint32_t flags
    cdef struct xsk_socket_config:
        uint32_t rx_size
        uint32_t tx_size
        uint32_t libxdp_flags
        uint32_t xdp_flags
        uint16_t bind_flags
    uint64_t *xsk_ring_prod__fill_addr(xsk_ring_prod *ring, uint32_t index)
    const uint64_t *xsk_ring_cons__comp_addr(const xsk_ring_cons *ring, uint32_t index)
    xdp_desc *xsk_ring_prod__tx_desc(xsk_ring_prod *ring, uint32_t index)
    const xdp_desc *xsk_ring_cons__rx_desc(const xsk_ring_cons *ring, uint32_t index)
    bint xsk_ring_prod__needs_wakeup(const xsk_ring_prod *ring)
    uint32_t xsk_prod_nb_free(xsk_ring_prod *ring, uint32_t wanted)
    uint32_t xsk_ring_prod__reserve(xsk_ring_prod *ring, uint32_t count, uint32_t *index)
    void xsk_ring_prod__submit(xsk_ring_prod *ring, uint32_t count)
    uint32_t xsk_ring_cons__peek(xsk_ring_cons *ring, uint32_t count, uint32_t *index)
    void xsk_ring_cons__release(xsk_ring_cons *ring, uint32_t count)
    int xsk_umem__create(xsk_umem **umem, void *area, uint64_t octets, xsk_ring_prod *fill, xsk_ring_cons *comp,
                         const xsk_umem_config *config)
    int xsk_umem__delete(xsk_umem *umem)
    int xsk_socket__create_shared(xsk_socket **socket, const char *name, uint32_t queue, xsk_umem *umem,
                                  xsk_ring_cons *rx, xsk_ring_prod *tx, xsk_ring_prod *fill, xsk_ring_cons *comp,
                                  const xsk_socket_config *config)
    void xsk_socket__delete(xsk_socket *socket)
    int xsk_socket__fd(const xsk_socket *socket)
