# cython: language_level=3
"""What a process may say about itself to the kernel: its name, and that it dies with its parent."""
import os
import signal

from libc.errno cimport errno

from kernels.clib.linux cimport PR_SET_NAME, PR_SET_PDEATHSIG, prctl


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
