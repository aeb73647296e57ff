# A stream on its way from one worker to another: its flows and cryptos in a record of the arena.
#
#   EXPORT at A   copy -> record is full -> homes: B, moving -> A's slots wiped: gone before B may have it
#   IMPORT at B   copy -> homes: B -> record is taken, wiped
#   DISCARD       the call ended, or the record is needed no more: wiped, sockets go back to the worker of their range
#
# Each may be done again (a worker died in it, a control process died and a new one repeats it): the record's state and
# id say what was done already. Nobody reads a socket whose home is `moving`: datagrams wait in the kernel or the rings.
from libc.stdint cimport uint32_t

from kernels.control.records cimport MoveCommand
from kernels.flow.pipeline cimport Path

# 0, or a positive errno: ENOENT (nothing there, or another id), EBUSY (record in use), E2BIG (more keys and SSRCs than
# a record holds), ENOSPC, EADDRINUSE.
cdef int move_export(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil
cdef int move_import(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil
cdef int move_discard(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil
