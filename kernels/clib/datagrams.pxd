# Kernel calls of the load endpoints: UDP sockets in batches, epoll with a wait in nanoseconds, clocks.
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from posix.time cimport timespec

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_DONTWAIT
        AF_INET
    ctypedef unsigned int socklen_t
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    ssize_t send(int fd, const void *data, size_t octets, int flags)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, timespec *timeout)

cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLLIN
        EPOLL_CTL_ADD
        EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        uint32_t u32
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_pwait2(int epoll, epoll_event *events, int most, const timespec *timeout, const void *mask)

cdef extern from "<time.h>" nogil:
    enum:
        CLOCK_MONOTONIC
        CLOCK_REALTIME
        CLOCK_THREAD_CPUTIME_ID
    int clock_gettime(int clock, timespec *now)

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t value)
    uint32_t htonl(uint32_t value)
    uint16_t ntohs(uint16_t value)
    uint32_t ntohl(uint32_t value)
    int inet_pton(int family, const char *text, void *address)

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr

cdef inline uint64_t clock_ns(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec
