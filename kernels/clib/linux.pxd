# The Linux calls of the data plane, C names kept; nothing that we do not use.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<sys/socket.h>" nogil:
    ctypedef uint32_t socklen_t
    ctypedef uint16_t sa_family_t
    cdef struct sockaddr:
        sa_family_t sa_family
    cdef struct sockaddr_storage:
        sa_family_t ss_family
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    cdef struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    cdef struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    cdef struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cdef enum:
        AF_INET
        AF_INET6
        MSG_DONTWAIT
        MSG_TRUNC
        SOCK_CLOEXEC
        SOCK_DGRAM
        SOCK_NONBLOCK
        SOL_SOCKET
        SO_RXQ_OVFL
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    cmsghdr *CMSG_NXTHDR(msghdr *message, cmsghdr *header)
    void *CMSG_DATA(cmsghdr *header)
    size_t CMSG_SPACE(size_t octets)
    size_t CMSG_LEN(size_t octets)
    int socket(int family, int kind, int protocol)
    int bind(int fd, const sockaddr *name, socklen_t size)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
    ssize_t recvfrom(int fd, void *data, size_t room, int flags, sockaddr *source, socklen_t *size)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, void *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
    ssize_t sendto(int fd, const void *data, size_t length, int flags, const sockaddr *to, socklen_t size)

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr_in:
        sa_family_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        sa_family_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    cdef enum:
        IPPROTO_IP
        IPPROTO_IPV6
        IPPROTO_UDP
        IPV6_V6ONLY
        IP_ORIGDSTADDR
        IP_TOS
        IPV6_TCLASS
        IPV6_ORIGDSTADDR
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)

cdef extern from "<linux/udp.h>" nogil:
    cdef enum:
        UDP_SEGMENT             # a message is cut into datagrams of so many octets, the last may be shorter

cdef extern from "<sys/epoll.h>" nogil:
    cdef union epoll_data:
        uint32_t u32
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data data
    cdef enum:
        EPOLLET
        EPOLLIN
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int room, int timeout_ms)

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *data, size_t length)
    ssize_t write(int fd, const void *data, size_t length)
    int close(int fd)

cdef extern from "<sys/mman.h>" nogil:
    cdef enum:
        MADV_DONTDUMP
        MADV_HUGEPAGE
        MAP_ANONYMOUS
        MAP_HUGETLB
        MAP_SHARED
        PROT_READ
        PROT_WRITE
    void *MAP_FAILED
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int mlock(const void *address, size_t length)
    int madvise(void *address, size_t length, int advice)

cdef extern from "<sys/prctl.h>" nogil:
    cdef enum:
        PR_SET_DUMPABLE
        PR_SET_PDEATHSIG
        PR_SET_KEEPCAPS
        PR_SET_NAME
    int prctl(int option, ...)

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    cdef enum:
        CLOCK_MONOTONIC
        CLOCK_THREAD_CPUTIME_ID
    int clock_gettime(int clock, timespec *now)

cdef inline uint64_t clock_ns(int clock) noexcept nogil:
    """Nanoseconds of a clock; CLOCK_MONOTONIC costs no system call (vDSO)."""
    cdef timespec now
    clock_gettime(clock, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec

# explicit_bzero is glibc's: a wipe that the compiler may not drop.
cdef extern from "<string.h>" nogil:
    void explicit_bzero(void *memory, size_t octets)

# Capabilities of this process (linux/capability.h; glibc has no wrapper). Ambient ones follow the inheritable set.
cdef extern from * nogil:
    """
    #include <linux/capability.h>
    #include <stdint.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static int keep_only(uint64_t wanted) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct sets[2];
        int i;
        if (syscall(SYS_capget, &header, sets) != 0) return -1;
        for (i = 0; i < 2; i++) {
            sets[i].permitted &= (uint32_t)(wanted >> (32 * i));
            sets[i].effective = sets[i].permitted;
            sets[i].inheritable = 0;
        }
        return (int)syscall(SYS_capset, &header, sets);
    }
    """
    int keep_only(uint64_t wanted)
