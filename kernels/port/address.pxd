# Socket addresses between the kernel's form, the packet path's (Peer) and Python's.
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from kernels.clib.linux cimport (
    AF_INET, AF_INET6, htons, ntohs, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t,
)
from kernels.wire.packet cimport Peer

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *out)
    const char *inet_ntop(int family, const void *address, char *out, socklen_t room)

cdef inline void peer_read(Peer *peer, const sockaddr_storage *name) noexcept nogil:
    """Kernel -> Peer; family 0 for anything but IP."""
    cdef const sockaddr_in *v4 = <const sockaddr_in *>name
    cdef const sockaddr_in6 *v6 = <const sockaddr_in6 *>name
    memset(peer, 0, sizeof(Peer))
    if name.ss_family == AF_INET:
        memcpy(peer.ip, &v4.sin_addr, 4)
        peer.port = ntohs(v4.sin_port)
        peer.family = 4
    elif name.ss_family == AF_INET6:
        memcpy(peer.ip, &v6.sin6_addr, 16)
        peer.port = ntohs(v6.sin6_port)
        peer.family = 6

cdef inline socklen_t peer_write(const Peer *peer, sockaddr_storage *name) noexcept nogil:
    """Peer -> kernel; returns the length of the name."""
    cdef sockaddr_in *v4 = <sockaddr_in *>name
    cdef sockaddr_in6 *v6 = <sockaddr_in6 *>name
    if peer.family == 4:
        v4.sin_family = AF_INET
        v4.sin_port = htons(peer.port)
        memcpy(&v4.sin_addr, peer.ip, 4)
        return sizeof(sockaddr_in)
    memset(v6, 0, sizeof(sockaddr_in6))
    v6.sin6_family = AF_INET6
    v6.sin6_port = htons(peer.port)
    memcpy(&v6.sin6_addr, peer.ip, 16)
    return sizeof(sockaddr_in6)

cdef inline Peer peer_parse(str host, int port) except *:
    """IP literal and UDP port -> Peer. ValueError."""
    cdef Peer peer
    cdef bytes text = host.encode("ascii", "replace")
    memset(&peer, 0, sizeof(Peer))
    if not 0 < port < 65536:
        raise ValueError(f"no UDP port: {port}")
    if inet_pton(AF_INET, text, peer.ip) == 1:
        peer.family = 4
    elif inet_pton(AF_INET6, text, peer.ip) == 1:
        peer.family = 6
    else:
        raise ValueError(f"no IP address: {host}")
    peer.port = <unsigned short>port
    return peer

cdef inline object peer_address(const Peer *peer):
    """Peer -> (host, port), None when there is none."""
    cdef char text[64]
    if peer.family == 0:
        return None
    inet_ntop(AF_INET if peer.family == 4 else AF_INET6, peer.ip, text, sizeof(text))
    return text.decode("ascii"), peer.port
