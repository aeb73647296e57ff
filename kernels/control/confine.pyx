# cython: language_level=3
"""What a process may say about itself to the kernel: its name, and that it dies with its parent."""
import os
import signal

from libc.errno cimport errno

from kernels.clib.linux cimport PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_PDEATHSIG, keep_only, prctl


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


def keep_through_change():
    """Capabilities survive the next change of user (`limit_capabilities` has to follow). OSError."""
    if prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0:
        raise OSError(errno, "PR_SET_KEEPCAPS")


def limit_capabilities(*numbers):
    """Of the capabilities we have, keep these (CAP_* numbers) in effect and lose all others for good. OSError."""
    if keep_only(sum(1 << number for number in numbers)) != 0:
        raise OSError(errno, "capset")
