# cython: language_level=3
"""BPF objects for Python: open, size, load, attach, read and write maps. Errors are OSError with libbpf's words.

Everything here is the holder's, before and beside the packet path.
"""
import errno as numbers
import os

from libc.errno cimport ENOENT, errno
from libc.stdint cimport uint8_t, uint32_t

from kernels.clib.libbpf cimport (
    BPF_ANY, BPF_SK_LOOKUP, BPF_XDP, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, bpf_link_detach,
    bpf_link_get_fd_by_id, bpf_link_look, bpf_link_make, bpf_link_update, bpf_listen, bpf_map, bpf_map__fd,
    bpf_map__set_max_entries, bpf_map_delete_elem, bpf_map_get_next_key, bpf_map_lookup_elem,
    bpf_map_update_elem, bpf_object, bpf_object__close, bpf_object__find_map_by_name,
    bpf_object__find_program_by_name, bpf_object__load, bpf_open_memory, bpf_prog_get_fd_by_id, bpf_program,
    bpf_program__fd, bpf_program_id, bpf_said, bpf_test, libbpf_num_possible_cpus,
)

NATIVE, GENERIC = XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
XDP, SK_LOOKUP = BPF_XDP, BPF_SK_LOOKUP
MOST_OCTETS = 65536             # of a frame in a test run


cdef object failure(str what, int error):
    """OSError of a negative or positive errno, with the last line that libbpf or the verifier said."""
    said = bpf_said.decode("utf-8", "replace").strip().splitlines()
    error = abs(error)
    return OSError(error, f"{what}: {os.strerror(error)}" + (f" ({said[-1]})" if said else ""))


cdef class Program:
    """One loaded object: `data` is the ELF file's contents, `entries` resizes maps by name. OSError, KeyError."""
    cdef bpf_object *object

    def __cinit__(self, bytes data, str name, dict entries=None):
        cdef bpf_map *map
        cdef int error
        bpf_listen()
        self.object = bpf_open_memory(<const char *>data, len(data), name.encode())
        if self.object == NULL:
            raise failure(f"{name}: cannot be read", errno)
        for key, count in (entries or {}).items():
            map = self.map_named(key)
            error = bpf_map__set_max_entries(map, count)
            if error != 0:
                raise failure(f"{name}: map {key} with {count} entries", error)
        error = bpf_object__load(self.object)
        if error != 0:
            raise failure(f"{name}: the kernel does not load it", error)

    def __dealloc__(self):
        if self.object != NULL:
            bpf_object__close(self.object)

    cdef bpf_map *map_named(self, str name) except NULL:
        cdef bpf_map *map
        if self.object == NULL:
            raise ValueError("closed")
        map = bpf_object__find_map_by_name(self.object, name.encode())
        if map == NULL:
            raise KeyError(name)
        return map

    def map(self, str name):
        """Descriptor of a map; it stays this object's. KeyError."""
        return bpf_map__fd(self.map_named(name))

    def program(self, str name):
        """Descriptor of a program (its function's name); it stays this object's. KeyError."""
        cdef bpf_program *program
        if self.object == NULL:
            raise ValueError("closed")
        program = bpf_object__find_program_by_name(self.object, name.encode())
        if program == NULL:
            raise KeyError(name)
        return bpf_program__fd(program)

    def close(self):
        """Give back maps and programs; what is attached by a link stays until the link is closed. Twice is no error."""
        if self.object != NULL:
            bpf_object__close(self.object)
            self.object = NULL


def program_id(int program):
    """The kernel's number of a program. OSError."""
    cdef uint32_t id
    if bpf_program_id(program, &id) != 0:
        raise OSError(errno, "BPF program has no number")
    return id


def attach(int program, int target, int kind, uint32_t flags=0):
    """A link: descriptor that keeps `program` attached to an ifindex (XDP) or namespace (SK_LOOKUP). OSError."""
    bpf_listen()
    cdef int link = bpf_link_make(program, target, kind, flags)
    if link < 0:
        raise OSError(errno, f"BPF program cannot be attached: {os.strerror(errno)}")
    return link


def attached(int link):
    """(program number, ifindex) of a link; ifindex is 0 when an XDP link lost its device. OSError."""
    cdef uint32_t program, ifindex
    if bpf_link_look(link, &program, &ifindex) != 0:
        raise OSError(errno, "BPF link cannot be looked at")
    return program, ifindex


def detach(int link):
    """Take the program off although the link stays open. OSError."""
    if bpf_link_detach(link) != 0:
        raise OSError(errno, f"BPF link cannot be detached: {os.strerror(errno)}")


def open_program(uint32_t id):
    """A descriptor of a loaded program by its number. OSError."""
    cdef int program = bpf_prog_get_fd_by_id(id)
    if program < 0:
        raise OSError(errno, f"BPF program {id}: {os.strerror(errno)}")
    return program


def open_link(uint32_t id):
    """A descriptor of a link that exists (`link_id` of /proc/<pid>/fdinfo). OSError."""
    cdef int link = bpf_link_get_fd_by_id(id)
    if link < 0:
        raise OSError(errno, f"BPF link {id}: {os.strerror(errno)}")
    return link


def replace(int link, int program):
    """Let a link run another program. OSError."""
    if bpf_link_update(link, program, NULL) != 0:
        raise OSError(errno, f"BPF link cannot be updated: {os.strerror(errno)}")


def update(int map, bytes key, bytes value):
    """Write one entry; lengths must be the map's. OSError."""
    if bpf_map_update_elem(map, <const char *>key, <const char *>value, BPF_ANY) != 0:
        raise OSError(errno, f"BPF map: {os.strerror(errno)}")


def lookup(int map, bytes key, uint32_t octets):
    """One entry of `octets` octets, or None. Per-CPU maps: `octets` times `cpus()`. OSError."""
    cdef bytearray value = bytearray(octets)
    cdef uint8_t[::1] view = value
    if bpf_map_lookup_elem(map, <const char *>key, &view[0]) != 0:
        if errno == ENOENT:
            return None
        raise OSError(errno, f"BPF map: {os.strerror(errno)}")
    return bytes(value)


def remove(int map, bytes key):
    """Delete one entry; absent is no error. OSError."""
    if bpf_map_delete_elem(map, <const char *>key) != 0 and errno != ENOENT:
        raise OSError(errno, f"BPF map: {os.strerror(errno)}")


def keys(int map, uint32_t octets):
    """All keys, each of `octets` octets."""
    cdef bytearray following = bytearray(octets)
    cdef uint8_t[::1] view = following
    cdef bytes key
    found = []
    cdef int ended = bpf_map_get_next_key(map, NULL, &view[0])
    while ended == 0:
        key = bytes(following)
        found.append(key)
        ended = bpf_map_get_next_key(map, <const char *>key, &view[0])
    return found


def cpus():
    """How many values a per-CPU entry has."""
    return libbpf_num_possible_cpus()


def total(int map, uint32_t index):
    """Sum over the CPUs of one 64-bit counter of a per-CPU array. OSError."""
    value = lookup(map, index.to_bytes(4, "little"), 8 * cpus())
    return sum(int.from_bytes(value[i:i + 8], "little") for i in range(0, len(value), 8))


def run(int program, bytes data, uint32_t ifindex=0, uint32_t queue=0):
    """One frame (at least 14 octets) through a program without a network: (verdict, frame afterwards). OSError."""
    cdef bytearray out = bytearray(MOST_OCTETS)
    cdef uint8_t[::1] view = out
    cdef uint32_t octets = MOST_OCTETS
    cdef uint32_t verdict
    if bpf_test(program, <const char *>data, len(data), &view[0], &octets, ifindex, queue, &verdict) != 0:
        raise OSError(errno, f"BPF test run: {numbers.errorcode.get(errno, errno)}")
    return verdict, bytes(out[:octets])
