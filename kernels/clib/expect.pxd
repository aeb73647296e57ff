# Which way a branch of the packet path usually goes: the compiler lays that way out straight and keeps its registers.

cdef extern from * nogil:
    """
    #define USUAL(condition) __builtin_expect(!!(condition), 1)
    #define RARE(condition) __builtin_expect(!!(condition), 0)
    """
    bint usual "USUAL"(bint condition) noexcept
    bint rare "RARE"(bint condition) noexcept
