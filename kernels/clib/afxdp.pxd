# AF_XDP by system calls alone, for the load generator: one socket on one queue with its own UMEM, and the program that
# steers IPv4 UDP to it (everything else goes to the kernel). The product's port is kernels/port/xdp; this one stays
# apart from it so that the two check each other.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <linux/bpf.h>
    #include <linux/if_link.h>
    #include <linux/if_xdp.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    typedef struct { uint32_t *producer, *consumer; void *entries; uint32_t mask; } af_ring;

    static int af_ring_map(int fd, int option, uint64_t page, const struct xdp_ring_offset *at, uint32_t size,
                           uint64_t entry, af_ring *ring) {
        if (option && setsockopt(fd, SOL_XDP, option, &size, sizeof size)) return -errno;
        char *base = mmap(NULL, at->desc + size * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
        if (base == MAP_FAILED) return -errno;
        ring->producer = (uint32_t *)(base + at->producer);
        ring->consumer = (uint32_t *)(base + at->consumer);
        ring->entries = base + at->desc;
        ring->mask = size - 1;
        return 0;
    }

    /* rings: receive, transmit, fill, completion. The descriptor, or negative errno. */
    static int af_open(void *area, uint64_t octets, uint32_t chunk, uint32_t size, af_ring rings[4]) {
        struct xdp_umem_reg reg;
        struct xdp_mmap_offsets at;
        socklen_t length = sizeof at;
        uint32_t most = 64;
        int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), error;
        if (fd < 0) return -errno;
        memset(&reg, 0, sizeof reg);
        reg.addr = (uintptr_t)area, reg.len = octets, reg.chunk_size = chunk;
        if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof reg)) goto failed;
        setsockopt(fd, SOL_XDP, 9 /* XDP_MAX_TX_SKB_BUDGET, Linux 6.17 */, &most, sizeof most);
        {
            static const int options[4] = {XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING};
            for (int n = 0; n < 4; n++)
                if (setsockopt(fd, SOL_XDP, options[n], &size, sizeof size)) goto failed;
        }
        if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length)) goto failed;
        error = af_ring_map(fd, 0, XDP_PGOFF_RX_RING, &at.rx, size, sizeof(struct xdp_desc), &rings[0]);
        if (!error) error = af_ring_map(fd, 0, XDP_PGOFF_TX_RING, &at.tx, size, sizeof(struct xdp_desc), &rings[1]);
        if (!error) error = af_ring_map(fd, 0, XDP_UMEM_PGOFF_FILL_RING, &at.fr, size, 8, &rings[2]);
        if (!error) error = af_ring_map(fd, 0, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, size, 8, &rings[3]);
        if (!error) return fd;
        close(fd);
        return error;
    failed:
        error = -errno;
        close(fd);
        return error;
    }

    static int af_bind(int fd, uint32_t ifindex, uint32_t queue) {
        struct sockaddr_xdp name;
        memset(&name, 0, sizeof name);
        name.sxdp_family = AF_XDP, name.sxdp_ifindex = ifindex, name.sxdp_queue_id = queue;
        name.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
        return bind(fd, (struct sockaddr *)&name, sizeof name) ? -errno : 0;
    }

    static int af_bpf(int command, union bpf_attr *attr) {
        int done = (int)syscall(SYS_bpf, command, attr, sizeof *attr);
        return done < 0 ? -errno : done;
    }

    /* Map of sockets by queue with this one in it, program, link: three descriptors that keep it attached. */
    static int af_attach(int fd, uint32_t ifindex, uint32_t queue, int generic, int held[3]) {
        union bpf_attr attr;
        int map, program, link;
        memset(&attr, 0, sizeof attr);
        attr.map_type = BPF_MAP_TYPE_XSKMAP, attr.key_size = 4, attr.value_size = 4, attr.max_entries = 64;
        if ((map = af_bpf(BPF_MAP_CREATE, &attr)) < 0) return map;
        held[0] = map;
        memset(&attr, 0, sizeof attr);
        attr.map_fd = map, attr.key = (uintptr_t)&queue, attr.value = (uintptr_t)&fd;
        if ((link = af_bpf(BPF_MAP_UPDATE_ELEM, &attr)) < 0) return link;
    #define I(code, dst, src, off, imm) {(code), (dst), (src), (off), (imm)}
        const struct bpf_insn code[] = {
            I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
            I(BPF_LDX | BPF_W | BPF_MEM, 2, 1, 0, 0),               /* data */
            I(BPF_LDX | BPF_W | BPF_MEM, 3, 1, 4, 0),               /* data_end */
            I(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
            I(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 42),
            I(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 10, 0),
            I(BPF_LDX | BPF_H | BPF_MEM, 5, 2, 12, 0),              /* EtherType */
            I(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 8, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0x0008 : 0x0800),
            I(BPF_LDX | BPF_B | BPF_MEM, 5, 2, 23, 0),              /* protocol */
            I(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 6, 17),
            I(BPF_LDX | BPF_W | BPF_MEM, 2, 6, 16, 0),              /* rx_queue_index */
            I(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
            I(0, 0, 0, 0, 0),
            I(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS),
            I(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
            I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
            I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
            I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
        };
    #undef I
        memset(&attr, 0, sizeof attr);
        attr.prog_type = BPF_PROG_TYPE_XDP, attr.insn_cnt = sizeof code / sizeof *code, attr.insns = (uintptr_t)code;
        attr.license = (uintptr_t) "Apache-2.0";
        if ((program = af_bpf(BPF_PROG_LOAD, &attr)) < 0) return program;
        held[1] = program;
        memset(&attr, 0, sizeof attr);
        attr.link_create.prog_fd = program, attr.link_create.target_ifindex = ifindex;
        attr.link_create.attach_type = BPF_XDP;
        attr.link_create.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
        if ((link = af_bpf(BPF_LINK_CREATE, &attr)) < 0) return link;
        held[2] = link;
        return 0;
    }

    /* The kernel takes a limited number of descriptors a call in copy mode: ask again until the ring is empty. */
    static void af_kick(int fd, const af_ring *tx) {
        for (int tries = 0; tries < 64; tries++) {
            int done = sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
            if (done < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS) return;
            if (__atomic_load_n(tx->consumer, __ATOMIC_ACQUIRE) == *tx->producer) return;
        }
    }
    """
    ctypedef struct af_ring:
        uint32_t *producer
        uint32_t *consumer
        void *entries
        uint32_t mask
    struct xdp_desc:
        uint64_t addr
        uint32_t len
        uint32_t options
    int af_open(void *area, uint64_t octets, uint32_t chunk, uint32_t size, af_ring *rings)
    int af_bind(int fd, uint32_t ifindex, uint32_t queue)
    int af_attach(int fd, uint32_t ifindex, uint32_t queue, int generic, int *held)
    void af_kick(int fd, const af_ring *tx)
