# cython: language_level=3
"""What a process may say about itself to the kernel: its name, that it dies with its parent, what it may do no more."""
import os
import signal

from libc.errno cimport errno
from libc.stdint cimport uint64_t

from kernels.clib.linux cimport (
    PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_PDEATHSIG, capabilities_limit, prctl,
)


def die_with_parent():
    """SIGKILL when the parent ends: a worker without holder has nobody to replace or stop it. OSError."""
    parent = os.getppid()
    if prctl(PR_SET_PDEATHSIG, <unsigned long><int>signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(errno, "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        raise OSError("parent is gone")


def name_process(str name):
    """The name that `ps` shows, at most 15 octets."""
    cdef bytes text = name.encode()[:15]
    prctl(PR_SET_NAME, <const char *>text, 0, 0, 0)


def keep_capabilities():
    """The next change of user leaves the permitted set as it is. OSError."""
    if prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0:
        raise OSError(errno, "PR_SET_KEEPCAPS")


def limit_capabilities(wanted):
    """Of what this process may, keep these (numbers of linux/capability.h), for it and its children. OSError."""
    cdef uint64_t mask = sum(1 << number for number in wanted)
    if prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 or capabilities_limit(mask) != 0:
        raise OSError(errno, os.strerror(errno))
